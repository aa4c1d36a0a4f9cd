#include "sim/flat_json.hpp"

#include <fmt/format.h>
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

namespace stsync::sim {
namespace {

/// Every event that is not part of a flat object ends the parse.
class FlatHandler : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, FlatHandler> {
 public:
  std::map<std::string, std::string> fields;

  bool Default() { return false; }
  bool StartObject() { return !std::exchange(begun_, true); }
  bool EndObject(rapidjson::SizeType) { return true; }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    key_.assign(text, size);
    return true;
  }
  bool String(const char* text, rapidjson::SizeType size, bool) { return put(std::string(text, size)); }
  bool Bool(bool value) { return put(value ? "true" : "false"); }
  bool Int(int value) { return put(std::to_string(value)); }
  bool Uint(unsigned value) { return put(std::to_string(value)); }
  bool Int64(std::int64_t value) { return put(std::to_string(value)); }
  bool Uint64(std::uint64_t value) { return put(std::to_string(value)); }
  bool Double(double value) { return put(fmt::format("{}", value)); }

 private:
  bool put(std::string value) {
    if (!begun_) return false;
    fields[key_] = std::move(value);
    return true;
  }
  std::string key_;
  bool begun_ = false;
};

}  // namespace

core::Result<std::map<std::string, std::string>> parse_flat(std::string_view json) {
  rapidjson::MemoryStream stream(json.data(), json.size());
  FlatHandler handler;
  rapidjson::Reader reader;
  const auto result = reader.Parse(stream, handler);
  if (result) return std::move(handler.fields);
  return core::fail(core::ErrorKind::bad_data, fmt::format("expected a flat JSON object: {} at byte {}",
                                                           rapidjson::GetParseError_En(result.Code()), result.Offset()));
}

}  // namespace stsync::sim
