#include <fmt/format.h>

#include "core/text.hpp"
#include "sim/call.hpp"
#include "sim/feed_token.hpp"

namespace stsync::sim {
namespace {

/// Where a feed is to go on; nothing when it is no place in this feed.
std::optional<Dataset::Position> start_of(const Call& call, const std::string& from) {
  if (from.empty()) return Dataset::Position{};
  if (const auto date = core::parse_utc(from)) return Dataset::Position{to_ticks(*date), -1};
  return read_feed_token(call.tenant.feed_seed, call.data(), from);
}

/// Rows with the state of activity that two of the feeds can be asked for.
bool wanted(const Call& call, const RowFacts& row) {
  const auto* active = call.parameter("active");
  return active == nullptr || same_word(*active, "any") || row.active == same_word(*active, "true");
}

}  // namespace

http::ServerResponse answer_feed(const Call& call) {
  auto& world = call.world;
  const auto* parameter = call.parameter("from");
  const auto from = parameter == nullptr ? std::string() : *parameter;
  // The tokens of a circle are no places in the feed: every round begins at the beginning.
  const bool circle = call.fault != nullptr && call.fault->mangle == "token_cycle";
  const auto start = start_of(call, circle ? std::string() : from);
  if (!start) return bad_parameter(call, "from", from);
  auto until = to_ticks(world.clock.wall_now());
  if (!call.is_true("includeRecentChanges")) until -= to_ticks(world.scaled(world.options.export_delay));
  count_fetch(call, from);
  if (auto page = from_cache(call)) return std::move(*page);
  auto& data = call.data();
  const auto slice = data.feed(*start, until, world.options.export_page);
  std::string body;
  body.reserve(slice.rows.size() * (world.options.record_bytes + world.options.record_bytes / 4) + 256);
  body += R"({"data":[)";
  bool first = true;
  for (const auto index : slice.rows) {
    if (!wanted(call, data.facts(index))) continue;
    if (!first) body += ',';
    first = false;
    call.store().append(body, call.endpoint, index);
  }
  const bool repeat = call.fault != nullptr && call.fault->repeat_token;
  const auto token = repeat ? from : make_feed_token(call.tenant.feed_seed, data, slice.last);
  body += fmt::format(R"(],"hasMore":{},"continueFrom":"{}"}})", slice.more || repeat, token);
  // Only a full page is final: the last one grows.
  return finish(call, std::move(body), slice.more);
}

}  // namespace stsync::sim
