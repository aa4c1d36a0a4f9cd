#include <algorithm>

#include "servicetitan/crawl.hpp"

namespace stsync::servicetitan {
namespace {

/// Rows that never changed may lack the time of their last change: no window of modification holds them. So a window of creation
/// follows, of which those rows alone are published: the others were in the window of modification, or will be in a later one.
class UndatedCrawl final : public Crawl {
 public:
  UndatedCrawl(Target target, const v1::ListState& state)
      : target_(std::move(target)), inner_(make_list_crawl(target_, state)), created_(state.created()) {}

  Request next() const override { return inner_->next(); }

  core::Result<Step> on_page(const PageView& view) override {
    auto step = inner_->on_page(view);
    if (!step) return step;
    const auto dated = [&](std::uint32_t i) { return !is_undated(view.page.records[i].bytes.in(view.body)); };
    if (created_) std::erase_if(step->publish, dated);
    // A window that has such rows has all of them.
    if (!created_ && !std::all_of(step->publish.begin(), step->publish.end(), dated)) undated_ = false;
    if (step->done) go_on(*step);
    return step;
  }

  core::Result<Step> on_refusal(const core::Error& error) override {
    auto step = inner_->on_refusal(error);
    if (step && step->done) go_on(*step);
    return step;
  }

  void resize(const Endpoint& of, int page_size) override { inner_->resize(of, page_size); }
  v1::CrawlState state() const override {
    auto out = inner_->state();
    out.mutable_list()->set_undated(undated_);
    return out;
  }
  void move_cursor(v1::StreamState& stream) const override { inner_->move_cursor(stream); }

 private:
  bool is_undated(std::string_view row) const {
    const auto& field = target_.endpoint->modified.empty() ? target_.resource->modified : target_.endpoint->modified;
    const auto time = codec::json_field(row, field);
    return time.empty() || time == "null";
  }

  void go_on(Step& step) {
    if (created_ || !undated_) return;
    const auto before = inner_->state();
    v1::ListState next;
    next.set_from_ms(before.list().from_ms());
    next.set_to_ms(before.list().to_ms());
    next.set_created(true);
    created_ = true;
    inner_ = make_list_crawl(target_, next);
    step.done = step.snapshot = false;
  }

  const Target target_;
  std::unique_ptr<Crawl> inner_;
  bool created_;         ///< the second window is being read
  bool undated_ = true;  ///< it is wanted
};

}  // namespace

std::unique_ptr<Crawl> make_undated_crawl(Target target, const v1::ListState& state) {
  return std::make_unique<UndatedCrawl>(std::move(target), state);
}

}  // namespace stsync::servicetitan
