# Picks clang++-19 where the user named no compiler, and refuses compilers that are known to build wrong programs.
if(NOT DEFINED CMAKE_CXX_COMPILER AND NOT DEFINED ENV{CXX})
  find_program(STSYNC_CLANG NAMES clang++-19)
  if(STSYNC_CLANG)
    set(CMAKE_CXX_COMPILER "${STSYNC_CLANG}" CACHE FILEPATH "C++ compiler")
    string(REPLACE "clang++" "clang" STSYNC_CLANG_C "${STSYNC_CLANG}")
    set(CMAKE_C_COMPILER "${STSYNC_CLANG_C}" CACHE FILEPATH "C compiler")
  endif()
endif()

function(check_compiler)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    message(FATAL_ERROR "g++ ${CMAKE_CXX_COMPILER_VERSION} miscompiles everyday co_await expressions (temporaries are destroyed "
      "twice). Install clang-19 ('apt-get install clang-19', or run scripts/setup) or use g++ 13 or later (CXX=g++-14).")
  elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 17)
    message(FATAL_ERROR "clang ${CMAKE_CXX_COMPILER_VERSION} is not supported: install clang-19 (scripts/setup) or g++ 13 or later.")
  endif()
endfunction()
