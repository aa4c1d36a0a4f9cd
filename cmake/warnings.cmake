# Warnings are errors in our own code; third-party headers are system headers.
add_library(stsync_warnings INTERFACE)
target_compile_options(stsync_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wcast-align
  -Woverloaded-virtual -Wconversion -Wno-sign-conversion -Wnull-dereference -Wimplicit-fallthrough -Werror>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 14 reports these in coroutine frames and std::string at -O2 where there is nothing wrong.
  target_compile_options(stsync_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-null-dereference -Wno-maybe-uninitialized>)
endif()
