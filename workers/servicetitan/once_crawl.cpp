#include "core/text.hpp"
#include "servicetitan/crawl.hpp"

namespace stsync::servicetitan {
namespace {

using core::ErrorKind;

class OnceCrawl final : public Crawl {
 public:
  OnceCrawl(Target target, v1::OnceState state) : target_(std::move(target)), state_(state) {}

  Request next() const override { return target_.request(); }

  core::Result<Step> on_page(const PageView& view) override {
    const auto shape = target_.endpoint->shape;
    const bool rows = shape != Shape::object && shape != Shape::scalar && shape != Shape::binary;
    if (rows && !view.page.has_data) return core::fail(ErrorKind::malformed, "the answer lacks data");
    if (view.page.has_more.in(view.body) == "true")
      return core::fail(ErrorKind::bad_data,
                        target_.resource->name + ": more rows are promised, but there is no way to ask for them");
    auto step = target_.step();
    for (std::uint32_t i = 0; i < view.page.records.size(); ++i)
      // A scalar that is null says that there is nothing.
      if (shape != Shape::scalar || view.page.records[i].bytes.in(view.body) != "null") step.publish.push_back(i);
    step.rows = static_cast<std::int64_t>(step.publish.size());
    step.done = step.snapshot = true;
    state_.set_done(true);
    return step;
  }

  /// A file that is too large is left out; the others are not its fault.
  core::Result<Step> on_refusal(const core::Error& error) override {
    if (error.kind() != ErrorKind::too_large || target_.endpoint->shape != Shape::binary) return core::fail(error);
    auto step = target_.step();
    step.left_out = error;
    step.done = true;
    state_.set_done(true);
    return step;
  }

  v1::CrawlState state() const override {
    v1::CrawlState out;
    *out.mutable_once() = state_;
    return out;
  }
  void move_cursor(v1::StreamState&) const override {}

 private:
  const Target target_;
  v1::OnceState state_;
};

}  // namespace

std::unique_ptr<Crawl> make_once_crawl(Target target, const v1::OnceState& state) {
  return std::make_unique<OnceCrawl>(std::move(target), state);
}

}  // namespace stsync::servicetitan
