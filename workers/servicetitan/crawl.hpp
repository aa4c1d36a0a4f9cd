#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "codec/page.hpp"
#include "core/clock.hpp"
#include "core/error.hpp"
#include "servicetitan/catalogue.hpp"
#include "stsync/v1/journal.pb.h"

namespace stsync::servicetitan {

using Query = std::vector<std::pair<std::string, std::string>>;  ///< not yet percent-encoded

/// An answer of the API, checked and cut.
struct PageView {
  std::string_view body;
  const codec::Page& page;
};

/// What a page means for the job.
struct Step {
  std::vector<std::uint32_t> publish;  ///< indices into page.records, in order
  bool done = false;                   ///< the crawl is complete with this page
  std::string note;                    ///< what the user should hear although nothing failed
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
  virtual Query next() const = 0;
  /// malformed, no_progress: the page cannot be used and nothing has moved; ask again. Others end the job.
  virtual core::Result<Step> on_page(const PageView& view) = 0;
  virtual v1::CrawlState state() const = 0;
  /// How the stream's cursor stands once everything read so far is published.
  virtual void move_cursor(v1::StreamState& stream) const = 0;
};

/// Export feed: follows continueFrom (facts 6). `bounds`: window mode, else open. `include_all`: nothing is filtered.
std::unique_ptr<Crawl> make_feed_crawl(const Resource& resource, const v1::FeedState& state, Bounds bounds);

/// List inside a closed window, backward over a total order or by splitting (design 5).
std::unique_ptr<Crawl> make_list_crawl(const Resource& resource, const v1::ListState& state);

std::unique_ptr<Crawl> make_crawl(const Resource& resource, const v1::CrawlState& state, Bounds bounds);

}  // namespace stsync::servicetitan
