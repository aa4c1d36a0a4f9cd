# Every third-party library, found under the names of Debian 12 and 13.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(Boost 1.81 CONFIG REQUIRED COMPONENTS url)
find_package(simdjson REQUIRED)
find_package(prometheus-cpp REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(fmt REQUIRED)
find_package(Protobuf REQUIRED)
find_package(tl-expected REQUIRED)
pkg_check_modules(RDKAFKA REQUIRED IMPORTED_TARGET rdkafka)
pkg_check_modules(HIREDIS REQUIRED IMPORTED_TARGET hiredis)
find_library(CCTZ cctz REQUIRED)
find_path(RAPIDJSON_INCLUDE rapidjson/reader.h REQUIRED)

add_library(stsync_rapidjson INTERFACE)
target_include_directories(stsync_rapidjson SYSTEM INTERFACE "${RAPIDJSON_INCLUDE}")
target_compile_definitions(stsync_rapidjson INTERFACE RAPIDJSON_HAS_STDSTRING=1)

# Debian 12 names the target yaml-cpp, Debian 13 yaml-cpp::yaml-cpp.
if(NOT TARGET yaml-cpp::yaml-cpp)
  add_library(yaml-cpp::yaml-cpp ALIAS yaml-cpp)
endif()

# Asio is compiled once (workers/core/asio.cpp), everybody else sees declarations.
add_library(stsync_asio INTERFACE)
target_link_libraries(stsync_asio INTERFACE Boost::headers Threads::Threads)
target_compile_definitions(stsync_asio INTERFACE BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED)
