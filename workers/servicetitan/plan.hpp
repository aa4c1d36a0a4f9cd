#pragma once
#include <cstdint>
#include <string>

#include "servicetitan/crawl.hpp"

namespace stsync::servicetitan {

/// Where a job begins.
struct Plan {
  v1::Mode mode = v1::full;  ///< as it will be done: an incremental without a cursor is a full
  v1::CrawlState start;
  std::string why;  ///< one line for people: which endpoint, and why that one
};

/// What is done about a cursor that the server does not know or has not reached.
enum class LostCursor {
  fail,            ///< the job fails
  restart,         ///< it fails, and a full begins as a new job
  from_watermark,  ///< a feed reads on from the latest change that was published; anything else restarts
};

/// What a job may go by.
struct PlanInput {
  const Catalogue& catalogue;
  const Resource& resource;
  const v1::Sync& sync;
  const v1::StreamState& stream;
  std::int64_t settled_ms;  ///< everything before this time is visible at the vendor
  std::int64_t now_ms;      ///< the vendor's clock
  LostCursor lost_cursor = LostCursor::fail;
};

/// Chooses the endpoint for the mode: the export feed where there is one (it alone tells of deleted rows), else the list, else the
/// children of every parent; single ids go to the list that takes ids, else one by one. `unsupported`: this resource cannot be
/// read in this mode; the message says what can.
core::Result<Plan> plan(const PlanInput& input);

/// Where the window of a crawl ends (UTC); 0: it has none.
std::int64_t end_of(const v1::CrawlState& state);

/// The state in which reading all of `endpoint` begins: rows of [from, to) where it can be asked for them, else all.
v1::CrawlState begin_all(const Resource& resource, const Endpoint& endpoint, std::int64_t from_ms, std::int64_t to_ms);
/// The crawl that goes on from there.
std::unique_ptr<Crawl> make_unit(Target target, const v1::CrawlState& state);

/// Whether a job of this mode could be planned at all; for refusing commands early.
core::Result<void> check_mode(const Catalogue& catalogue, const Resource& resource, const v1::Sync& sync);

}  // namespace stsync::servicetitan
