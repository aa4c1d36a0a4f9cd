// The page slicer against another reader of JSON: what one accepts the other must, and slices must be records of their own.
#include <cstdint>
#include <string_view>

#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include "codec/page.hpp"
#include "core/error.hpp"

namespace {

struct Handler : rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Handler> {
  unsigned depth = 0, deepest = 0;
  bool open() {
    deepest = std::max(deepest, ++depth);
    return true;
  }
  bool StartObject() { return open(); }
  bool StartArray() { return open(); }
  bool EndObject(rapidjson::SizeType) { return --depth, true; }
  bool EndArray(rapidjson::SizeType) { return --depth, true; }
};

bool other_reader(std::string_view text, unsigned& deepest) {
  constexpr unsigned kFlags =
      rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag | rapidjson::kParseNumbersAsStringsFlag;
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::Reader reader;
  Handler handler;
  const bool ok = !reader.Parse<kFlags>(stream, handler).IsError();
  deepest = handler.deepest;
  return ok;
}

/// What RFC 8259 allows and RapidJSON refuses: lone surrogates, and numbers beyond a double's range even when kept as text.
bool beyond_rapidjson(std::string_view text) {
  std::size_t digits = 0;
  for (const char c : text) {
    digits = c >= '0' && c <= '9' ? digits + 1 : 0;
    if (digits > 300) return true;
  }
  return text.find("\\u") != std::string_view::npos || text.find_first_of("eE") != std::string_view::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stsync;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.find('\0') != std::string_view::npos) return 0;  // RapidJSON takes it for the end
  unsigned deepest = 0;
  const bool theirs = other_reader(text, deepest);
  const bool ours = codec::check_json(text, 1000).has_value();
  if (deepest < 900 && theirs) core::check(ours, "RapidJSON takes what the slicer refuses");
  if (deepest < 900 && ours && !beyond_rapidjson(text)) core::check(theirs, "the slicer takes what RapidJSON refuses");
  const auto page = codec::cut_page(text, {});
  if (!page) return 0;
  core::check(ours, "a page that is not JSON");
  for (const auto& record : page->records)
    core::check(codec::check_json(record.bytes.in(text)).has_value(), "a slice that is not JSON");
  return 0;
}
