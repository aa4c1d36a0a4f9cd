#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/text.hpp"
#include "servicetitan/crawl.hpp"

namespace stsync::servicetitan {
namespace {

using core::ErrorKind;

constexpr std::int64_t kMaxEmptyPages = 1000;
/// An old answer may come once more by accident, and asking again helps. A feed that leads back again and again does so whatever
/// each answer says: from then on none is good.
constexpr int kMostTimesBack = 3;

class FeedCrawl final : public Crawl {
 public:
  FeedCrawl(Target target, v1::FeedState state, Bounds bounds)
      : target_(std::move(target)), state_(std::move(state)), bounds_(bounds) {
    const auto from = std::max(bounds_.from_ms, state_.from_ms());
    if (state_.token().empty() && from > 0) start_ = core::format_utc(core::WallTime(std::chrono::milliseconds(from)));
  }

  Request next() const override {
    auto request = target_.request();
    const auto& from = state_.token().empty() ? start_ : state_.token();
    if (!from.empty()) request.query.emplace_back("from", from);
    return request;
  }

  core::Result<Step> on_page(const PageView& view) override {
    const auto has_more = view.page.has_more.in(view.body);
    if (!view.page.has_data || (has_more != "true" && has_more != "false"))
      return core::fail(ErrorKind::malformed, "the page lacks data or hasMore");
    const auto token = codec::json_text(view.page.continue_from.in(view.body)).value_or("");
    const bool empty = view.page.records.empty();
    const bool more = has_more == "true";
    const bool stands_still = more && (token.empty() || token == state_.token());
    auto step = target_.step();
    if (stands_still && !empty)
      return core::fail(ErrorKind::no_progress, "the feed has more rows but repeats its continuation token");
    const bool leads_back = !stands_still && token == mark_;
    if (more && (leads_back || times_back_ >= kMostTimesBack)) {
      ++times_back_;
      stood_still_ = false;
      return core::fail(ErrorKind::no_progress, "the feed leads back to a continuation token that was read before");
    }
    if (stands_still) {
      // The third ending seen in the field: more promised, nothing given, no way on. Once may be a hiccup.
      if (!std::exchange(stood_still_, true)) return step;
      step.note = "the feed ended with hasMore but neither rows nor a new token";
    }
    if (more && empty && state_.empty_pages() >= kMaxEmptyPages)
      return core::fail(ErrorKind::no_progress, fmt::format("{} empty pages in a row", kMaxEmptyPages));
    state_.set_empty_pages(empty ? state_.empty_pages() + 1 : 0);
    if (!token.empty()) state_.set_token(token);
    stood_still_ = false;
    remember(token);
    select(view, step);
    step.done = !more || stands_still;
    return step;
  }

  v1::CrawlState state() const override {
    v1::CrawlState out;
    *out.mutable_feed() = state_;
    return out;
  }

  void move_cursor(v1::StreamState& stream) const override { stream.set_token(state_.token()); }

 private:
  void select(const PageView& view, Step& step) const {
    const bool open = bounds_.from_ms == 0 && bounds_.to_ms == INT64_MAX;
    step.publish.reserve(view.page.records.size());
    for (std::uint32_t i = 0; i < view.page.records.size(); ++i) {
      if (!open) {
        const auto text = codec::json_text(view.page.records[i].modified.in(view.body));
        const auto time = text ? core::parse_utc(*text) : std::nullopt;
        if (time && !bounds_.contains(time->time_since_epoch().count())) continue;
      }
      step.publish.push_back(i);
    }
  }

  /// One token is kept, for twice as many pages each time (Brent): a circle of any length is noticed within a few rounds.
  void remember(const std::string& token) {
    if (token.empty() || ++since_mark_ < keep_mark_) return;
    mark_ = token;
    since_mark_ = 0;
    keep_mark_ *= 2;
  }

  const Target target_;
  v1::FeedState state_;
  const Bounds bounds_;
  std::string start_;
  std::string mark_;  ///< not journalled: a successor notices by itself
  std::int64_t since_mark_ = 0;
  std::int64_t keep_mark_ = 1;
  int times_back_ = 0;        ///< that an answer led to the mark
  bool stood_still_ = false;  ///< the answer before had neither rows nor a new token
};

}  // namespace

std::unique_ptr<Crawl> make_feed_crawl(Target target, const v1::FeedState& state, Bounds bounds) {
  return std::make_unique<FeedCrawl>(std::move(target), state, bounds);
}

}  // namespace stsync::servicetitan
