#pragma once
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

namespace stsync::app {

using JsonLine = rapidjson::Writer<rapidjson::StringBuffer>;
using JsonPage = rapidjson::PrettyWriter<rapidjson::StringBuffer>;

/// One object of what a command prints as JSON, member by member: a JsonLine's or a JsonPage's. Texts and lists that are empty are
/// left out.
template <class Writer>
class JsonObject {
 public:
  explicit JsonObject(Writer& out) : out_(out) { out_.StartObject(); }
  JsonObject(const JsonObject&) = delete;
  JsonObject& operator=(const JsonObject&) = delete;
  ~JsonObject() { out_.EndObject(); }

  void text(const char* name, const std::string& value) {
    if (value.empty()) return;
    out_.Key(name);
    put(value);
  }
  void number(const char* name, std::int64_t value) {
    out_.Key(name);
    out_.Int64(value);
  }
  /// Only where it is true.
  void flag(const char* name, bool value) {
    if (!value) return;
    out_.Key(name);
    out_.Bool(true);
  }
  void texts(const char* name, const std::vector<std::string>& values) {
    if (values.empty()) return;
    out_.Key(name);
    out_.StartArray();
    for (const auto& value : values) put(value);
    out_.EndArray();
  }
  void pairs(const char* name, const std::vector<std::pair<std::string, std::string>>& values) {
    if (values.empty()) return;
    out_.Key(name);
    JsonObject inner(out_);
    for (const auto& [key, value] : values) inner.text(key.c_str(), value);
  }

 private:
  void put(const std::string& text) { out_.String(text.data(), static_cast<rapidjson::SizeType>(text.size())); }

  Writer& out_;
};

/// On stdout, one line: a list of objects, each filled by `fill(JsonObject<JsonLine>&, item)`.
template <class Items, class Fill>
void print_json_list(const Items& items, Fill fill) {
  rapidjson::StringBuffer buffer;
  JsonLine out(buffer);
  out.StartArray();
  for (const auto& item : items) {
    JsonObject<JsonLine> object(out);
    fill(object, item);
  }
  out.EndArray();
  std::printf("%s\n", buffer.GetString());
}

}  // namespace stsync::app
