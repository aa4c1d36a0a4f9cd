# stsync_module(<name> [USES <module>...] [LIBRARIES <target>...])
#
# A folder of workers/ as one static library stsync_<name>. A header is included as "<module>/<file>.hpp"; the include path of a
# module holds only the modules named in USES (and what those name), so an include against the dependency rule does not compile.
# LIBRARIES are private: headers of third parties stay inside this module's .cpp files.
function(stsync_module name)
  cmake_parse_arguments(M "" "" "USES;LIBRARIES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cpp")
  add_library(stsync_${name} STATIC ${sources})
  set(view "${CMAKE_BINARY_DIR}/include/${name}")
  file(MAKE_DIRECTORY "${view}")
  file(CREATE_LINK "${CMAKE_CURRENT_SOURCE_DIR}" "${view}/${name}" SYMBOLIC)
  target_include_directories(stsync_${name} PUBLIC "${view}")
  list(TRANSFORM M_USES PREPEND "stsync_")
  target_link_libraries(stsync_${name} PUBLIC ${M_USES} PRIVATE ${M_LIBRARIES} stsync_warnings)
endfunction()

# What every executable needs of its build.
function(stsync_program target)
  if(TARGET stsync_tsan_threads)
    target_link_libraries(${target} PRIVATE stsync_tsan_threads)
  endif()
endfunction()

# stsync_test(<module> [USES <target>...]): every *_test.cpp of tests/<module> as one program, each case a ctest of its own.
function(stsync_test name)
  cmake_parse_arguments(T "" "" "USES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*_test.cpp")
  add_executable(${name}_test ${sources})
  target_link_libraries(${name}_test PRIVATE ${T_USES} stsync_test_support GTest::gmock GTest::gtest_main stsync_warnings)
  stsync_program(${name}_test)
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    target_compile_options(${name}_test PRIVATE -O0)
  endif()
  gtest_discover_tests(${name}_test TEST_PREFIX "${name}." NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60 PROPERTIES LABELS unit)
endfunction()
