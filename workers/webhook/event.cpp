#include "webhook/event.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include "core/text.hpp"

namespace stsync::webhook {
namespace {

constexpr std::size_t kMaxDepth = 64;
constexpr std::size_t kMaxId = 64;
constexpr std::size_t kMaxAttribute = 500;
constexpr std::string_view kTenantPath = "tenantId";

/// Ids end up in commands; what is none of these is read as if it were not there.
bool is_record_id(std::string_view text) {
  return !text.empty() && text.size() <= kMaxId && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

enum Attribute { specversion, id, source, type, userassignedid, attribute_count };
constexpr std::array<std::string_view, attribute_count> kAttributes{"specversion", "id", "source", "type", "userassignedid"};

/// Takes what is needed out of the events of a parser.
class Handler {
 public:
  bool Null() { return scalar(Sort::null, {}); }
  bool Bool(bool) { return scalar(Sort::other, {}); }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) { return scalar(Sort::number, {text, size}); }
  bool String(const char* text, rapidjson::SizeType size, bool) { return scalar(Sort::text, {text, size}); }
  bool StartObject() { return enter(); }
  bool StartArray() {
    if (depth_ == 0) return stop("it is no JSON object");
    return enter();
  }
  bool EndObject(rapidjson::SizeType) { return leave(); }
  bool EndArray(rapidjson::SizeType) { return leave(); }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    const std::string_view key(text, size);
    if (depth_ == 1) {
      attribute_ = static_cast<std::size_t>(std::find(kAttributes.begin(), kAttributes.end(), key) - kAttributes.begin());
      in_data_ = key == "data";
      if (in_data_ && std::exchange(had_data_, true)) return stop("data is there twice");
    } else if (in_data_ && depth_ == 2) {
      member_ = path_ = plain(key);
    } else if (in_data_ && depth_ == 3) {
      path_.assign(member_).append(".").append(plain(key));
    }
    return true;
  }
  // The parser is told to hand numbers out as text; these are never called.
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(std::int64_t) { return false; }
  bool Uint64(std::uint64_t) { return false; }
  bool Double(double) { return false; }

  const std::string& why() const noexcept { return why_; }
  core::Result<Event> finish() {
    for (const auto wanted : {specversion, id, source, type})
      if (values_[wanted].empty()) return core::fail(core::ErrorKind::bad_data, fmt::format("{} is missing", kAttributes[wanted]));
    if (values_[specversion] != "1.0") return core::fail(core::ErrorKind::bad_data, "specversion is not 1.0");
    event_.id = std::move(values_[values_[userassignedid].empty() ? id : userassignedid]);
    event_.type = std::move(values_[type]);
    return std::move(event_);
  }

 private:
  enum class Sort { null, text, number, other };

  bool stop(std::string why) {
    why_ = std::move(why);
    return false;
  }
  bool enter() {
    ++depth_;
    if (depth_ > kMaxDepth) return stop(fmt::format("it is more than {} levels deep", kMaxDepth));
    if (depth_ == 2 && attribute_ < attribute_count) return stop(fmt::format("{} is no text", kAttributes[attribute_]));
    return true;
  }
  bool leave() {
    --depth_;
    return true;
  }
  /// Without what is in no path of ours.
  static std::string_view plain(std::string_view key) {
    return key.size() <= kMaxId && key.find('.') == std::string_view::npos ? key : std::string_view();
  }
  bool scalar(Sort sort, std::string_view text) {
    if (depth_ == 0) return stop("it is no JSON object");
    if (depth_ == 1) return attribute(sort, text);
    // Elements of an array stand as deep as members of an object, without a path of their own.
    const bool member = depth_ == 2 || (depth_ == 3 && path_.find('.') != std::string::npos);
    if (in_data_ && member && !text.empty()) member_of_data(text);
    return true;
  }
  bool attribute(Sort sort, std::string_view text) {
    if (attribute_ >= attribute_count || sort == Sort::null) return true;
    // An extension of CloudEvents may be a number, its own attributes may not.
    if (sort != Sort::text && !(sort == Sort::number && attribute_ == userassignedid))
      return stop(fmt::format("{} is no text", kAttributes[attribute_]));
    auto& value = values_[attribute_];
    if (!value.empty()) return stop(fmt::format("{} is there twice", kAttributes[attribute_]));
    if (text.size() > kMaxAttribute) return stop(fmt::format("{} has more than {} bytes", kAttributes[attribute_], kMaxAttribute));
    value = text;
    return true;
  }
  void member_of_data(std::string_view text) {
    if (depth_ == 2 && path_ == kTenantPath) {
      const auto number = core::parse_int(text);
      if (number && *number > 0 && !event_.tenant) event_.tenant = number;
      return;
    }
    for (std::size_t i = 0; i < kIdPlaces; ++i)
      if (path_ == path_of(static_cast<IdAt>(i)) && event_.ids[i].empty() && is_record_id(text)) event_.ids[i] = text;
  }

  Event event_;
  std::array<std::string, attribute_count> values_;
  std::string member_, path_;  ///< within data: "job"; "job" or "job.id"
  std::string why_;
  std::size_t depth_ = 0;
  std::size_t attribute_ = attribute_count;
  bool in_data_ = false, had_data_ = false;
};

}  // namespace

core::Result<Event> parse_event(std::string_view body) {
  constexpr auto kFlags =
      rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag | rapidjson::kParseNumbersAsStringsFlag;
  Handler handler;
  rapidjson::MemoryStream stream(body.data(), body.size());
  rapidjson::Reader reader;
  const auto parsed = reader.Parse<kFlags>(stream, handler);
  if (!handler.why().empty()) return core::fail(core::ErrorKind::bad_data, handler.why());
  // An embedded NUL ends the stream for the parser.
  if (parsed.IsError() || stream.Tell() != body.size())
    return core::fail(core::ErrorKind::bad_data, fmt::format("no JSON, at byte {}", std::min(stream.Tell(), body.size())));
  return handler.finish();
}

}  // namespace stsync::webhook
