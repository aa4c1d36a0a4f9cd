#include <algorithm>

#include <fmt/format.h>

#include "codec/page.hpp"
#include "core/text.hpp"
#include "servicetitan/crawl.hpp"

namespace stsync::servicetitan {
namespace {

using core::ErrorKind;

/// Later times of change than this after now are not believed: a cursor must not hang on them.
constexpr std::int64_t kFuture = 86'400'000;
/// Rows come "usually sorted" by their change, and up to a quarter of an hour late (facts 6).
constexpr std::int64_t kOverlap = 3'600'000;
constexpr int kProbeRows = 1;

std::string utc(std::int64_t ms) { return core::format_utc(core::WallTime(std::chrono::milliseconds(ms))); }

class CursorGuard final : public Crawl {
 public:
  CursorGuard(std::unique_ptr<Crawl> inner, Target target, v1::GuardState state)
      : inner_(std::move(inner)), target_(std::move(target)), state_(std::move(state)) {}

  Request next() const override {
    if (state_.probe() == v1::GuardState::none) return inner_->next();
    auto request = target_.request();
    if (state_.probe() == v1::GuardState::unknown) return request;
    if (is_feed()) {
      request.query.emplace_back("from", utc(state_.newest_ms()));
    } else {
      request.query.emplace_back("modifiedOnOrAfter", utc(state_.newest_ms()));
      request.query.emplace_back("page", std::to_string(target_.endpoint->first_page));
      request.query.emplace_back("pageSize", std::to_string(kProbeRows));
    }
    return request;
  }

  core::Result<Step> on_page(const PageView& view) override {
    if (state_.probe() != v1::GuardState::none) return after_probe(view);
    auto step = inner_->on_page(view);
    if (!step) return step;
    for (const auto row : step->publish) see(view.page.records[row].modified.in(view.body));
    state_.set_rows(state_.rows() + static_cast<std::int64_t>(step->publish.size()));
    if (step->done && state_.rows() == 0 && state_.check()) {
      step->done = false;
      state_.set_probe(v1::GuardState::ahead);
    }
    return step;
  }

  core::Result<Step> on_refusal(const core::Error& error) override {
    if (state_.probe() == v1::GuardState::unknown) return core::fail(error);  // it is not the token
    if (state_.probe() == v1::GuardState::ahead) return finish();             // it cannot be asked
    if (!is_feed() || inner_->state().feed().token().empty()) return inner_->on_refusal(error);
    state_.set_probe(v1::GuardState::unknown);
    state_.set_why(error.message());
    return target_.step();
  }

  v1::CrawlState state() const override {
    auto out = inner_->state();
    *out.mutable_guard() = state_;
    return out;
  }

  void move_cursor(v1::StreamState& stream) const override {
    inner_->move_cursor(stream);
    stream.set_newest_ms(std::max(stream.newest_ms(), state_.newest_ms()));
    if (state_.probe() == v1::GuardState::ahead) stream.set_checked_ms(state_.now_ms());
  }

  void resize(const Endpoint& of, int page_size) override { inner_->resize(of, page_size); }

 private:
  bool is_feed() const { return target_.endpoint->role == Role::export_feed; }

  void see(std::string_view modified) {
    const auto text = codec::json_text(modified);
    const auto time = text ? core::parse_utc(*text) : std::nullopt;
    if (!time) return;
    const auto ms = time->time_since_epoch().count();
    if (ms <= state_.now_ms() + kFuture) state_.set_newest_ms(std::max(state_.newest_ms(), ms));
  }

  core::Result<Step> after_probe(const PageView& view) {
    if (!view.page.has_data) return core::fail(ErrorKind::malformed, "the answer lacks data");
    if (state_.probe() == v1::GuardState::unknown) return after_unknown();
    const bool nothing = view.page.records.empty() && view.page.has_more.in(view.body) != "true";
    if (!nothing) return finish();
    return core::fail(
        ErrorKind::cursor_lost,
        fmt::format("{}: the cursor stands behind everything that the server has (nothing changed at or after {}); was "
                    "its newest row deleted, or the environment overwritten by a copy?",
                    target_.resource->name, utc(state_.newest_ms())));
  }

  core::Result<Step> after_unknown() {
    if (!state_.from_newest() || state_.newest_ms() == 0)
      return core::fail(ErrorKind::cursor_lost, fmt::format("{}: the server no longer knows the continuation token: {}",
                                                            target_.resource->name, state_.why()));
    v1::FeedState on;
    on.set_from_ms(std::max<std::int64_t>(1, state_.newest_ms() - kOverlap));
    inner_ = make_feed_crawl(target_, on, {});
    state_.set_probe(v1::GuardState::none);
    auto step = target_.step();
    step.note =
        fmt::format("the server no longer knows the continuation token ({}); reading on from {}", state_.why(), utc(on.from_ms()));
    return step;
  }

  core::Result<Step> finish() const {
    auto step = target_.step();
    step.done = true;
    return step;
  }

  std::unique_ptr<Crawl> inner_;
  const Target target_;
  v1::GuardState state_;
};

}  // namespace

std::unique_ptr<Crawl> make_cursor_guard(std::unique_ptr<Crawl> inner, Target target, const v1::GuardState& state) {
  return std::make_unique<CursorGuard>(std::move(inner), std::move(target), state);
}

}  // namespace stsync::servicetitan
