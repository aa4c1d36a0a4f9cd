// Any bytes as a command: an error or a message that survives its own encoding.
#include <cstdint>
#include <string_view>

#include "codec/wire.hpp"
#include "core/error.hpp"
#include "stsync/v1/command.pb.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stsync;
  v1::Command command;
  if (!codec::from_json({reinterpret_cast<const char*>(data), size}, command)) return 0;
  v1::Command again;
  core::check(codec::from_json(codec::to_json(command), again).has_value(), "a command does not read what it wrote");
  return 0;
}
