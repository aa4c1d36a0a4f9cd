#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "codec/page.hpp"
#include "core/clock.hpp"
#include "core/error.hpp"
#include "servicetitan/catalogue.hpp"
#include "stsync/v1/command.pb.h"
#include "stsync/v1/journal.pb.h"

namespace stsync::servicetitan {

using Parameters = std::vector<std::pair<std::string, std::string>>;

/// A call about a report. Whoever makes it waits before, repeats it when it failed, and keeps its refusals out of the tenant's
/// quota: those of reports are counted by report (facts 3).
struct Turn {
  bool run = false;       ///< it counts as a run of the report
  bool at_once = false;   ///< a run that need not wait for its turn: the one before did not take place
  bool may_fail = false;  ///< the job goes on without its answer
  core::Duration wait{};  ///< before it
};

/// One call to make.
struct Request {
  const Resource* resource = nullptr;  ///< whose rows these are; of a fan-out also the parents'
  const Endpoint* endpoint = nullptr;
  Parameters places;  ///< what fills the places of the path, not yet percent-encoded
  Query query;        ///< everything else
  std::string body;   ///< of a POST
  codec::RecordFields fields;
  int page_size = 0;  ///< rows asked for; 0: that cannot be chosen. A page that takes too long is then asked for in a smaller size
  std::string method{}, path{};  ///< where they are not the endpoint's
  std::optional<Turn> turn{};    ///< reports
  std::size_t max_file = 0;      ///< bytes that a file may have
  bool wants_file() const { return endpoint->shape == Shape::binary; }
};

/// An answer of the API, checked and cut.
struct PageView {
  std::string_view body;
  const codec::Page& page;
  int status = 200;  ///< reports also get 202 (a token instead of rows) and 204
};

/// What a page means for the job.
struct Step {
  std::vector<std::uint32_t> publish;  ///< indices into page.records, in order
  RecordContext context;               ///< of those records
  const KeySpec* key = nullptr;        ///< how their keys are made
  bool page = true;                    ///< false: no page of rows, only the crawl's state has moved
  bool done = false;                   ///< the crawl is complete with this page
  bool snapshot = false;               ///< with `done`: exactly the rows of one moment are published, and they were `rows`
  std::int64_t rows = 0;
  std::optional<core::Error> left_out{};  ///< why the one record of this answer cannot be published
  std::string note;                       ///< what the user should hear although nothing failed
};

/// Rows outside [from, to) are not published (milliseconds UTC; 0 and max: open).
struct Bounds {
  std::int64_t from_ms = 0;
  std::int64_t to_ms = INT64_MAX;
  bool contains(std::int64_t t) const noexcept { return (from_ms == 0 || t >= from_ms) && t < to_ms; }
};

/// How one job reads one resource: pure decisions, no I/O. next() is the request to make; on_page() takes its answer and moves on;
/// state() is what to journal with the rows of that page, and what a successor is made from.
class Crawl {
 public:
  virtual ~Crawl() = default;
  virtual Request next() const = 0;
  /// malformed, no_progress: the page cannot be used and nothing has moved; ask again. Others end the job.
  virtual core::Result<Step> on_page(const PageView& view) = 0;
  /// The call was refused for good: what that means for the crawl, else the error itself.
  virtual core::Result<Step> on_refusal(const core::Error& error) { return core::fail(error); }
  virtual v1::CrawlState state() const = 0;
  /// How the stream's cursor stands once everything read so far is published.
  virtual void move_cursor(v1::StreamState& stream) const = 0;
  /// The call that gives back what the vendor holds for this crawl; for a job that will not go on.
  virtual std::optional<Request> farewell() const { return std::nullopt; }
  /// It was made: the crawl, if it goes on after all, begins that page anew.
  virtual void said_farewell() {}
  /// Pages of `of` of this many rows from now on, where the size can be asked for.
  virtual void resize(const Endpoint& /*of*/, int /*page_size*/) {}
};

/// What a crawl reads: an endpoint, with the parameters that a parent, an id or a stretch of time gives it.
struct Target {
  const Resource* resource = nullptr;
  const Endpoint* endpoint = nullptr;
  Parameters parameters{};  ///< for the path, the query or the body; also "begin" and "end" of a stretch
  const KeySpec& key() const { return endpoint->key ? *endpoint->key : resource->key; }
  Request request() const;
  /// A step that publishes rows of this target; the first on the page is `first_row` of its list.
  Step step(std::int64_t first_row = 0) const;
};

/// Export feed: follows continueFrom (facts 6). `bounds`: window mode, else open.
std::unique_ptr<Crawl> make_feed_crawl(Target target, const v1::FeedState& state, Bounds bounds);

/// Watches over the cursor that `inner` (a feed or a list of `target`) goes on from, and ends with cursor_lost where the server
/// does not know it or has not reached it: a token that is refused although the feed can be read, or a job that finds nothing
/// on a server that lacks what was published last (an environment that was overwritten by an older copy). Where the state says so,
/// a feed reads on from the latest change that was published instead.
std::unique_ptr<Crawl> make_cursor_guard(std::unique_ptr<Crawl> inner, Target target, const v1::GuardState& state);

/// List inside a closed window, backward over a total order or by splitting (design 5).
std::unique_ptr<Crawl> make_list_crawl(Target target, const v1::ListState& state);

/// The same in two windows: by modification, then by creation for the rows that lack a time of change.
std::unique_ptr<Crawl> make_undated_crawl(Target target, const v1::ListState& state);

/// List without a window (design 5).
std::unique_ptr<Crawl> make_snapshot_crawl(Target target, const v1::SnapshotState& state);

/// Everything in one answer.
std::unique_ptr<Crawl> make_once_crawl(Target target, const v1::OnceState& state);

/// What a command names, `ids_filter` of the endpoint permitting 50 at a time.
std::unique_ptr<Crawl> make_ids_crawl(Target target, const v1::IdsState& state, std::vector<std::string> ids);

/// Stretches of time, oldest first.
std::unique_ptr<Crawl> make_period_crawl(Target target, const v1::PeriodState& state);

/// The rows of a report.
std::unique_ptr<Crawl> make_report_crawl(Target target, const v1::ReportState& state, v1::Report report);

/// The rows of every parent. Errors of make_crawl(), for the parents.
core::Result<std::unique_ptr<Crawl>> make_fanout_crawl(const Catalogue& catalogue, Target target, const v1::FanoutState& state);

/// The crawl of a job from what its plan or its journal says. `state.role` names the endpoint. unknown_resource: the catalogue does
/// not have what the state is of; it was journalled by another version of the program, or with other overrides.
core::Result<std::unique_ptr<Crawl>> make_crawl(const Catalogue& catalogue, const Resource& resource, const v1::CrawlState& state,
                                                const v1::Sync& sync);

}  // namespace stsync::servicetitan
