# STSYNC_SANITIZE applies to everything, so that no object is built without it.
if(STSYNC_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
    "-fsanitize-ignorelist=${CMAKE_CURRENT_LIST_DIR}/sanitizer_ignore.txt")
  add_link_options(-fsanitize=address,undefined)
elseif(STSYNC_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
  add_library(stsync_tsan_threads OBJECT "${CMAKE_CURRENT_LIST_DIR}/tsan_threads.c")
  target_compile_options(stsync_tsan_threads PRIVATE -std=gnu17)
elseif(STSYNC_SANITIZE STREQUAL "fuzzer")
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-omit-frame-pointer
    "-fsanitize-ignorelist=${CMAKE_CURRENT_LIST_DIR}/sanitizer_ignore.txt")
  add_link_options(-fsanitize=address,undefined)
elseif(STSYNC_SANITIZE)
  message(FATAL_ERROR "STSYNC_SANITIZE is '${STSYNC_SANITIZE}', expected address, thread, fuzzer or nothing")
endif()
if(STSYNC_SANITIZE)
  # Recycled coroutine frames would hide a use after free.
  add_compile_definitions(BOOST_ASIO_DISABLE_AWAITABLE_FRAME_RECYCLING)
endif()
