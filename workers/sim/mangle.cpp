#include "sim/mangle.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "codec/gzip.hpp"
#include "codec/page.hpp"
#include "sim/call.hpp"

namespace stsync::sim {
namespace {

constexpr std::array<std::string_view, 19> kNames{"duplicate_rows",
                                                  "empty_page",
                                                  "token_cycle",
                                                  "no_token",
                                                  "unknown_token",
                                                  "without_id",
                                                  "null_modified",
                                                  "future_modified",
                                                  "unknown_choice",
                                                  "new_field",
                                                  "without_active",
                                                  "other_tenant",
                                                  "deep",
                                                  "bad_utf8",
                                                  "bom",
                                                  "nan",
                                                  "gzip_bomb",
                                                  "nested_gzip",
                                                  "unknown_encoding"};
constexpr std::size_t kBomb = 1u << 30;  // bytes that it inflates to
constexpr std::size_t kDepth = 2'000'000;

/// The value of a member, replaced; `all`: of every row.
void replace_member(std::string& body, std::string_view name, std::string_view value, bool all = false) {
  const auto mark = fmt::format("\"{}\":", name);
  for (auto at = body.find(mark); at != std::string::npos; at = all ? body.find(mark, at + mark.size()) : std::string::npos) {
    const auto begin = at + mark.size();
    const auto end = body[begin] == '"' ? body.find('"', begin + 1) + 1 : body.find_first_of(",}]", begin);
    body.replace(begin, end - begin, value);
  }
}

void rename_member(std::string& body, std::string_view name, std::string_view to, bool all) {
  const auto mark = fmt::format("\"{}\":", name), other = fmt::format("\"{}\":", to);
  for (auto at = body.find(mark); at != std::string::npos; at = all ? body.find(mark, at) : std::string::npos)
    body.replace(at, mark.size(), other);
}

/// Behind the "[" of the rows; npos when there are none.
std::size_t first_row(const std::string& body) {
  const auto mark = body.find("\"data\":[{");
  return mark == std::string::npos ? mark : mark + 8;
}

void add_member(std::string& body, std::string_view member) {
  const auto page = codec::cut_page(body, {});
  if (!page) return;
  for (auto row = page->records.rbegin(); row != page->records.rend(); ++row)
    body.insert(row->bytes.offset + 1, fmt::format("{},", member));
}

void mangle_rows(std::string_view what, std::string& body) {
  const auto at = first_row(body);
  if (at == std::string::npos) return;
  auto head = body.substr(0, at);
  auto rows = body.substr(at);
  if (what == "duplicate_rows") {
    const auto page = codec::cut_page(body, {});
    if (page && !page->records.empty()) rows = std::string(page->records.front().bytes.in(body)) + "," + rows;
  } else if (what == "without_id") {
    rename_member(rows, "id", "ident", false);
  } else if (what == "null_modified") {
    replace_member(rows, "modifiedOn", "null");
  } else if (what == "future_modified") {
    replace_member(rows, "modifiedOn", "\"2101-01-01T00:00:00Z\"");
  } else if (what == "unknown_choice") {
    for (const auto* name : {"status", "jobStatus", "type"}) replace_member(rows, name, "\"Quiesced\"");
  } else if (what == "without_active") {
    rename_member(rows, "active", "wasActive", true);
  }
  body = head + rows;
  if (what == "new_field") add_member(body, "\"loyaltyTier\":\"gold\"");
  if (what == "other_tenant") add_member(body, "\"tenantId\":424242");
}

void mangle_feed(std::string_view what, const Call& call, std::string& body) {
  static constexpr std::array<std::string_view, 3> tokens{"first", "second", "third"};
  const auto* from = find_parameter(call.query, "from");
  if (what == "empty_page") {
    const auto page = codec::cut_page(body, {});
    if (!page || page->records.empty()) return;
    const auto begin = page->records.front().bytes.offset;
    const auto& last = page->records.back().bytes;
    body.erase(begin, last.offset + last.length - begin);
  } else if (what == "no_token") {
    replace_member(body, "continueFrom", "null");
  } else {
    const auto at = from == nullptr ? tokens.end() : std::find(tokens.begin(), tokens.end(), *from);
    const auto next = at == tokens.end() ? 0 : (at - tokens.begin() + 1) % static_cast<std::ptrdiff_t>(tokens.size());
    replace_member(body, "continueFrom", fmt::format("\"{}\"", tokens.at(static_cast<std::size_t>(next))));
  }
  replace_member(body, "hasMore", "true");
}

/// Bodies that no reader should take.
void mangle_bytes(std::string_view what, std::string& body) {
  if (what == "deep")
    body = R"({"hasMore":false,"continueFrom":"x","data":[{"id":1,"deep":)" + std::string(kDepth, '[') + std::string(kDepth, ']') +
           "}]}";
  else if (what == "bad_utf8")
    replace_member(body, "hasMore", "\"\xff\xfe\"");
  else if (what == "bom")
    body.insert(0, "\xef\xbb\xbf");
  else
    replace_member(body, "hasMore", "NaN");
}

void set_encoding(http::ServerResponse& response, std::string value) {
  std::erase_if(response.headers, [](const auto& header) { return header.first == "Content-Encoding"; });
  response.headers.emplace_back("Content-Encoding", std::move(value));
}

bool one_of(std::string_view what, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), what) != names.end();
}

}  // namespace

bool is_mangle(std::string_view name) noexcept { return std::find(kNames.begin(), kNames.end(), name) != kNames.end(); }
std::string mangle_names() { return fmt::format("{}", fmt::join(kNames, ", ")); }

void mangle(const Fault& fault, const Call& call, http::ServerResponse& response) {
  if (fault.mangle.empty()) return;
  if (fault.mangle == "unknown_token") {
    if (const auto* from = find_parameter(call.query, "from"); from != nullptr && !from->empty())
      response = bad_parameter(call, "from", *from);
    return;
  }
  const bool gzipped = http::find_header(response.headers, "Content-Encoding") != nullptr;
  if (gzipped) response.body = codec::gunzip(response.body, SIZE_MAX).value_or("");
  if (one_of(fault.mangle, {"gzip_bomb", "nested_gzip"})) {
    response.body = fault.mangle == "gzip_bomb" ? codec::gzip(std::string(kBomb, ' ')) : codec::gzip(codec::gzip(response.body));
    return set_encoding(response, "gzip");
  }
  if (fault.mangle == "unknown_encoding") return set_encoding(response, "zstd");
  if (one_of(fault.mangle, {"empty_page", "token_cycle", "no_token"}))
    mangle_feed(fault.mangle, call, response.body);
  else if (one_of(fault.mangle, {"deep", "bad_utf8", "bom", "nan"}))
    mangle_bytes(fault.mangle, response.body);
  else
    mangle_rows(fault.mangle, response.body);
  if (gzipped) response.body = codec::gzip(response.body);
}

}  // namespace stsync::sim
