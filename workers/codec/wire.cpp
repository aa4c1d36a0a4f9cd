#include "codec/wire.hpp"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/json_util.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "codec/page.hpp"
#include "core/text.hpp"
#include "stsync/v1/command.pb.h"
#include "stsync/v1/status.pb.h"

namespace stsync::codec {
namespace {

namespace pb = google::protobuf;
using Field = pb::FieldDescriptor;
using Writer = rapidjson::Writer<rapidjson::StringBuffer>;

constexpr unsigned kMaxCommandDepth = 16;

/// Writes any message of the wire contract: scalars, enums, strings, nested and repeated fields, timestamps.
class Printer {
 public:
  explicit Printer(Writer& out) : out_(out) {}

  void message(const pb::Message& m) {
    if (m.GetDescriptor() == pb::Timestamp::descriptor()) return timestamp(static_cast<const pb::Timestamp&>(m));
    const bool whole = m.GetDescriptor() == v1::Counts::descriptor();
    const auto* reflection = m.GetReflection();
    const auto* type = m.GetDescriptor();
    out_.StartObject();
    for (int i = 0; i < type->field_count(); ++i) {
      const auto* field = type->field(i);
      if (field->is_repeated()) {
        if (reflection->FieldSize(m, field) == 0) continue;
        out_.Key(field->name().c_str());
        list(m, field);
      } else if (whole || reflection->HasField(m, field)) {
        out_.Key(field->name().c_str());
        value(m, field, -1);
      }
    }
    out_.EndObject();
  }

 private:
  void timestamp(const pb::Timestamp& t) {
    const auto ms = std::chrono::seconds(t.seconds()) + std::chrono::milliseconds(t.nanos() / 1'000'000);
    out_.String(core::format_utc(core::WallTime(ms)));
  }

  void list(const pb::Message& m, const Field* field) {
    out_.StartArray();
    for (int i = 0; i < m.GetReflection()->FieldSize(m, field); ++i) value(m, field, i);
    out_.EndArray();
  }

  /// `at`: index in a repeated field, -1 for a single one.
  void value(const pb::Message& m, const Field* field, int at) {
    const auto* r = m.GetReflection();
    const bool one = at < 0;
    switch (field->cpp_type()) {
      case Field::CPPTYPE_INT32:
        out_.Int(one ? r->GetInt32(m, field) : r->GetRepeatedInt32(m, field, at));
        break;
      case Field::CPPTYPE_INT64:
        out_.Int64(one ? r->GetInt64(m, field) : r->GetRepeatedInt64(m, field, at));
        break;
      case Field::CPPTYPE_UINT32:
        out_.Uint(one ? r->GetUInt32(m, field) : r->GetRepeatedUInt32(m, field, at));
        break;
      case Field::CPPTYPE_UINT64:
        out_.Uint64(one ? r->GetUInt64(m, field) : r->GetRepeatedUInt64(m, field, at));
        break;
      case Field::CPPTYPE_BOOL:
        out_.Bool(one ? r->GetBool(m, field) : r->GetRepeatedBool(m, field, at));
        break;
      case Field::CPPTYPE_ENUM:
        out_.String((one ? r->GetEnum(m, field) : r->GetRepeatedEnum(m, field, at))->name());
        break;
      case Field::CPPTYPE_STRING:
        out_.String(one ? r->GetString(m, field) : r->GetRepeatedString(m, field, at));
        break;
      case Field::CPPTYPE_MESSAGE:
        message(one ? r->GetMessage(m, field) : r->GetRepeatedMessage(m, field, at));
        break;
      case Field::CPPTYPE_DOUBLE:
      case Field::CPPTYPE_FLOAT:
        core::check(false, "the wire contract has no floating point");
    }
  }

  Writer& out_;
};

/// Writes a list of texts and numbers as one of texts; anything else ends it.
struct TextsOfList : rapidjson::BaseReaderHandler<rapidjson::UTF8<>, TextsOfList> {
  explicit TextsOfList(Writer& w) : out(w) {}
  Writer& out;
  bool Default() { return false; }
  bool String(const char* s, rapidjson::SizeType n, bool) { return out.String(s, n); }
  bool RawNumber(const char* s, rapidjson::SizeType n, bool) { return out.String(s, n); }
  bool StartArray() { return out.StartArray(); }
  bool EndArray(rapidjson::SizeType) { return out.EndArray(); }
};

/// Ids may be written as numbers, which the mapping of texts does not take.
std::string with_texts_as_ids(std::string_view json) {
  std::string out(json);
  const auto ids = json_field(json, "sync.ids");
  if (ids.empty() || ids.front() != '[') return out;
  rapidjson::StringBuffer buffer;
  Writer writer(buffer);
  TextsOfList handler(writer);
  rapidjson::MemoryStream stream(ids.data(), ids.size());
  rapidjson::Reader reader;
  if (!reader.Parse<rapidjson::kParseNumbersAsStringsFlag>(stream, handler)) return out;
  return out.replace(static_cast<std::size_t>(ids.data() - json.data()), ids.size(), buffer.GetString(), buffer.GetSize());
}

}  // namespace

std::string to_json(const pb::Message& message) {
  rapidjson::StringBuffer buffer;
  Writer writer(buffer);
  Printer(writer).message(message);
  return {buffer.GetString(), buffer.GetSize()};
}

core::Result<void> from_json(std::string_view json, pb::Message& message) {
  if (auto ok = check_json(json, kMaxCommandDepth); !ok) return core::fail(core::ErrorKind::bad_data, ok.error().message());
  const bool command = message.GetDescriptor() == v1::Command::descriptor();
  const auto text = command ? with_texts_as_ids(json) : std::string(json);
  const auto status = pb::util::JsonStringToMessage(text, &message);
  if (!status.ok())
    return core::fail(core::ErrorKind::bad_data,
                      core::printable(std::string_view(status.message().data(), status.message().size())));
  return {};
}

}  // namespace stsync::codec
