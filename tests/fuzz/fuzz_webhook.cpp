// Any bytes as a webhook: an error, or an event whose ids could stand in a command.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "core/error.hpp"
#include "webhook/event.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stsync;
  const auto event = webhook::parse_event({reinterpret_cast<const char*>(data), size});
  if (!event) return 0;
  core::check(!event->id.empty() && !event->type.empty(), "an event without id or type");
  core::check(!event->tenant || *event->tenant > 0, "a tenant that is no number of one");
  for (const auto& id : event->ids)
    core::check(
        id.size() <= 64 && std::none_of(id.begin(), id.end(), [](char c) { return c <= ' ' || c == ',' || c == '/' || c == '.'; }),
        "an id that is none");
  return 0;
}
