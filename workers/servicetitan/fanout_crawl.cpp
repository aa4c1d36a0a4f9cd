#include <algorithm>

#include <fmt/format.h>

#include "core/text.hpp"
#include "servicetitan/crawl.hpp"
#include "servicetitan/plan.hpp"

namespace stsync::servicetitan {
namespace {

using core::ErrorKind;

/// Parents a page at a time, each page in the order of their keys, and of every parent its rows. What is kept across a restart is
/// where that page of parents began, the last parent done and a hash of the page's keys: a page that reads differently now begins
/// anew.
class FanoutCrawl final : public Crawl {
 public:
  FanoutCrawl(Target target, v1::FanoutState state, std::unique_ptr<Crawl> parents)
      : target_(std::move(target)), state_(std::move(state)), parents_(std::move(parents)) {}

  Request next() const override { return child_ ? child_->next() : parents_->next(); }

  core::Result<Step> on_page(const PageView& view) override {
    if (!child_) return on_parents(view);
    auto step = child_->on_page(view);
    if (step && step->done) end_parent(*step);
    return step;
  }

  /// A parent that is gone or inactive by now has no rows to give (facts 4: 404, 409 "… is not active").
  core::Result<Step> on_refusal(const core::Error& error) override {
    if (!child_) return parents_->on_refusal(error);
    auto step = child_->on_refusal(error);
    if (!step) {
      if (error.kind() != ErrorKind::not_found && error.http_status() != 409) return step;
      step = Step{};
    } else if (!step->done) {
      return step;
    }
    end_parent(*step);
    return step;
  }

  void resize(const Endpoint& of, int page_size) override {
    if (&of == target_.endpoint) {
      if (child_) child_->resize(of, page_size);
      return;
    }
    parents_->resize(of, page_size);
    if (!child_) keep_parents();  // else they are kept when this page of parents is done
  }

  v1::CrawlState state() const override {
    v1::CrawlState out;
    *out.mutable_fanout() = state_;
    if (child_ && at_ < batches_.size()) *out.mutable_fanout()->mutable_child() = child_->state();
    return out;
  }

  void move_cursor(v1::StreamState& stream) const override {
    stream.set_watermark_ms(state_.to_ms());
    if (state_.from_ms() == 0) stream.set_full_ms(state_.to_ms());
  }

 private:
  /// Parents that one call asks for: one, or up to `batch`.
  struct Batch {
    std::string key;  ///< of the last of them
    Parameters parameters;
  };

  core::Result<Step> on_parents(const PageView& view) {
    auto step = parents_->on_page(view);
    if (!step) return step;
    const auto parents = keys_of(view, *step);
    parents_end_ = step->done;
    Step out;
    out.note = std::move(step->note);
    batches_.clear();
    at_ = 0;
    if (parents.empty()) {  // none that is new: whatever was under way goes on with the next page
      next_page(out);
      return out;
    }
    std::string all;
    for (const auto& parent : parents) all += parent.key + '\n';
    auto hash = core::sha256_hex(all).substr(0, 32);
    if (state_.page() != hash) {
      state_.set_done("");
      state_.clear_child();
    }
    state_.set_page(std::move(hash));
    group(parents);
    open_next(out);
    return out;
  }

  std::vector<Batch> keys_of(const PageView& view, const Step& step) const {
    std::vector<Batch> out;
    for (const auto i : step.publish)
      if (auto parent = bind(view.page.records[i].bytes.in(view.body), step.context)) out.push_back(std::move(*parent));
    std::sort(out.begin(), out.end(), [](const Batch& a, const Batch& b) { return a.key < b.key; });
    out.erase(std::unique(out.begin(), out.end(), [](const Batch& a, const Batch& b) { return a.key == b.key; }), out.end());
    return out;
  }

  /// The parameters that a parent's row gives; nothing when it lacks one.
  std::optional<Batch> bind(std::string_view row, const RecordContext& context) const {
    Batch out;
    for (const auto& [parameter, source] : target_.endpoint->bind) {
      std::string value;
      if (source.starts_with('$')) {
        for (const auto& [name, given] : context.parameters)
          if (name == source.substr(1)) value = given;
      } else {
        const auto raw = codec::json_field(row, source);
        if (raw.empty() || raw == "null") return std::nullopt;
        value = raw.front() == '"' ? codec::json_text(raw).value_or("") : std::string(raw);
      }
      if (value.empty() || value == "." || value == "..") return std::nullopt;
      out.key += (out.key.empty() ? "" : "\t") + value;
      out.parameters.emplace_back(parameter, std::move(value));
    }
    return out;
  }

  void group(const std::vector<Batch>& parents) {
    batches_.clear();
    const auto most = static_cast<std::size_t>(target_.endpoint->batch);
    for (std::size_t i = 0; i < parents.size(); i += most) {
      auto batch = parents[i];
      for (std::size_t j = i + 1; j < std::min(i + most, parents.size()); ++j) {
        batch.key = parents[j].key;
        batch.parameters.front().second += "," + parents[j].parameters.front().second;
      }
      batches_.push_back(std::move(batch));
    }
  }

  void end_parent(Step& step) {
    state_.set_done(batches_[at_].key);
    state_.clear_child();
    ++at_;
    step.done = step.snapshot = false;
    open_next(step);
  }

  /// Opens the next parent of this page, or goes on to the next page of parents.
  void open_next(Step& step) {
    child_.reset();
    while (at_ < batches_.size() && !state_.done().empty() && batches_[at_].key <= state_.done()) ++at_;
    if (at_ < batches_.size()) {
      auto target = target_;
      target.parameters = batches_[at_].parameters;
      const auto start =
          state_.has_child() ? state_.child() : begin_all(*target_.resource, *target_.endpoint, state_.from_ms(), state_.to_ms());
      child_ = make_unit(std::move(target), start);
      return;
    }
    state_.set_done("");
    state_.clear_page();
    next_page(step);
  }

  void next_page(Step& step) {
    keep_parents();
    step.done = parents_end_;
  }

  /// The next page of parents is asked for from here.
  void keep_parents() {
    const auto role = state_.parents().role();
    *state_.mutable_parents() = parents_->state();
    state_.mutable_parents()->set_role(role);
  }

  const Target target_;
  v1::FanoutState state_;
  std::unique_ptr<Crawl> parents_, child_;
  std::vector<Batch> batches_;
  std::size_t at_ = 0;
  bool parents_end_ = false;
};

}  // namespace

core::Result<std::unique_ptr<Crawl>> make_fanout_crawl(const Catalogue& catalogue, Target target, const v1::FanoutState& state) {
  const auto* parent = catalogue.find(target.endpoint->parent);
  if (parent == nullptr) return core::fail(ErrorKind::unknown_resource, fmt::format("{} has no parents", target.resource->name));
  auto parents = make_crawl(catalogue, *parent, state.parents(), {});
  if (!parents) return parents;
  return std::make_unique<FanoutCrawl>(std::move(target), state, std::move(*parents));
}

}  // namespace stsync::servicetitan
