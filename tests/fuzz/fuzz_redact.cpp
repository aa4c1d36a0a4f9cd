// Records with fields taken out: still JSON, as long as was told, none of the fields left, and nothing more to take out.
#include <cstdint>
#include <string>
#include <string_view>

#include "codec/page.hpp"
#include "codec/redact.hpp"
#include "core/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stsync;
  static const codec::Redactor drop({"a", "b.c", "b.b.b"}, {}), both({"a"}, {"b.c", "e"}, core::Secret("key"));
  const std::string_view record(reinterpret_cast<const char*>(data), size);
  if (!codec::check_json(record)) return 0;
  std::string once, twice, hashed;
  drop.append(once, record);
  both.append(hashed, record);
  core::check(once.size() == drop.size(record) && hashed.size() == both.size(record), "another size than was told");
  core::check(codec::check_json(once).has_value() && codec::check_json(hashed).has_value(), "no JSON any more");
  core::check(once.size() <= record.size(), "dropping adds something");
  core::check(codec::json_field(once, "a").empty(), "a field is left");
  drop.append(twice, once);
  core::check(once == twice, "not everything was dropped at once");
  return 0;
}
