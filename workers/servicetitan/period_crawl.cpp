#include <algorithm>

#include "core/text.hpp"
#include "servicetitan/crawl.hpp"
#include "servicetitan/plan.hpp"

namespace stsync::servicetitan {
namespace {

std::string time_text(std::int64_t ms) { return core::format_utc(core::WallTime(std::chrono::milliseconds(ms))); }

/// Endpoints that must be told a stretch of time: one stretch after the other, each with each variant of the parameter that varies.
class PeriodCrawl final : public Crawl {
 public:
  PeriodCrawl(Target target, v1::PeriodState state) : target_(std::move(target)), state_(std::move(state)) { open(); }

  Request next() const override { return inner_->next(); }

  core::Result<Step> on_page(const PageView& view) override {
    auto step = inner_->on_page(view);
    if (step && step->done) advance(*step);
    return step;
  }

  core::Result<Step> on_refusal(const core::Error& error) override {
    auto step = inner_->on_refusal(error);
    if (step && step->done) advance(*step);
    return step;
  }

  void resize(const Endpoint& of, int page_size) override { inner_->resize(of, page_size); }

  v1::CrawlState state() const override {
    v1::CrawlState out;
    *out.mutable_period() = state_;
    *out.mutable_period()->mutable_inner() = inner_->state();
    return out;
  }

  void move_cursor(v1::StreamState& stream) const override { stream.set_watermark_ms(state_.end_ms()); }

 private:
  const Period& period() const { return *target_.endpoint->period; }
  std::int64_t end_of_stretch() const {
    const auto step = std::chrono::duration_cast<std::chrono::milliseconds>(period().step).count();
    return std::min(state_.begin_ms() + step, state_.end_ms());
  }

  void open() {
    auto target = target_;
    const auto begin = time_text(state_.begin_ms());
    const auto end = time_text(end_of_stretch());
    // "@": for keys, not sent by itself.
    target.parameters.emplace_back("@begin", begin);
    if (period().begin.empty()) {  // the body holds them
      target.parameters.emplace_back("begin", begin);
      target.parameters.emplace_back("end", end);
    }
    if (!period().begin.empty()) target.parameters.emplace_back(period().begin, begin);
    if (!period().end.empty()) target.parameters.emplace_back(period().end, end);
    if (!target_.endpoint->vary.empty())
      target.parameters.emplace_back(target_.endpoint->vary,
                                     target_.endpoint->variants[static_cast<std::size_t>(state_.variant())]);
    v1::CrawlState start = state_.inner();
    if (!state_.has_inner()) {
      if (target_.endpoint->shape == Shape::page)
        start.mutable_snapshot();
      else
        start.mutable_once();
    }
    inner_ = make_unit(std::move(target), start);
  }

  void advance(Step& step) {
    step.done = step.snapshot = false;
    state_.clear_inner();
    const auto variants = std::max<std::int64_t>(1, static_cast<std::int64_t>(target_.endpoint->variants.size()));
    state_.set_variant((state_.variant() + 1) % variants);
    if (state_.variant() == 0) state_.set_begin_ms(end_of_stretch());
    step.done = state_.begin_ms() >= state_.end_ms();
    if (!step.done) open();
  }

  const Target target_;
  v1::PeriodState state_;
  std::unique_ptr<Crawl> inner_;
};

}  // namespace

std::unique_ptr<Crawl> make_period_crawl(Target target, const v1::PeriodState& state) {
  return std::make_unique<PeriodCrawl>(std::move(target), state);
}

}  // namespace stsync::servicetitan
