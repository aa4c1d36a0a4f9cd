# stsync_embed(<target> <function> <file>...): compiles text files into a target, as
#   std::span<const std::pair<std::string_view, std::string_view>> <function>();   // name without directory, text
# The function may be qualified; its declaration is up to the module.
set(STSYNC_EMBED_SCRIPT "${CMAKE_CURRENT_LIST_DIR}/embed_script.cmake")
function(stsync_embed target function)
  string(MAKE_C_IDENTIFIER "${function}" stem)
  set(out "${CMAKE_CURRENT_BINARY_DIR}/${stem}.cpp")
  add_custom_command(OUTPUT "${out}"
    COMMAND "${CMAKE_COMMAND}" "-DOUT=${out}" "-DFUNCTION=${function}" "-DFILES=${ARGN}" -P "${STSYNC_EMBED_SCRIPT}"
    DEPENDS ${ARGN} "${STSYNC_EMBED_SCRIPT}" VERBATIM)
  target_sources(${target} PRIVATE "${out}")
endfunction()
