#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "core/text.hpp"
#include "servicetitan/crawl.hpp"
#include "servicetitan/plan.hpp"

namespace stsync::servicetitan {
namespace {

using core::ErrorKind;

constexpr std::size_t kIdsACall = 50;  // the most that `ids` takes (facts 5)

/// What a command names: up to 50 ids a call where the list takes `ids`, else one call (or one small list) an id. Ids of several
/// parts ("7/12") fill the places of the path one after the other.
class IdsCrawl final : public Crawl {
 public:
  IdsCrawl(Target target, v1::IdsState state, std::vector<std::string> ids)
      : target_(std::move(target)), state_(std::move(state)), ids_(std::move(ids)) {
    if (!batched()) open();
  }

  Request next() const override {
    if (inner_) return inner_->next();
    auto request = target_.request();
    std::string joined;
    for (std::size_t i = at(); i < end_of_batch(); ++i) joined += (joined.empty() ? "" : ",") + ids_[i];
    request.query.emplace_back("ids", joined);
    if (target_.endpoint->page_size > 0) {
      request.query.emplace_back("page", std::to_string(target_.endpoint->first_page));
      request.query.emplace_back("pageSize", std::to_string(kIdsACall));
    }
    return request;
  }

  core::Result<Step> on_page(const PageView& view) override {
    if (!inner_) return on_batch(view);
    auto step = inner_->on_page(view);
    if (step && step->done) end_id(*step);
    return step;
  }

  core::Result<Step> on_refusal(const core::Error& error) override {
    if (!inner_) return core::fail(error);
    auto step = inner_->on_refusal(error);
    if (!step) {
      if (error.kind() != ErrorKind::not_found) return step;
      state_.set_missing(state_.missing() + 1);
      step = Step{};
    } else if (!step->done) {
      return step;
    }
    end_id(*step);
    return step;
  }

  void resize(const Endpoint& of, int page_size) override {
    if (inner_) inner_->resize(of, page_size);
  }

  v1::CrawlState state() const override {
    v1::CrawlState out;
    *out.mutable_ids() = state_;
    if (inner_) *out.mutable_ids()->mutable_inner() = inner_->state();
    return out;
  }
  void move_cursor(v1::StreamState&) const override {}

 private:
  bool batched() const { return target_.endpoint->ids_filter; }
  std::size_t at() const { return static_cast<std::size_t>(state_.next()); }
  std::size_t end_of_batch() const { return std::min(ids_.size(), at() + kIdsACall); }

  void open() {
    Target target = target_;
    std::string_view rest = ids_[at()];
    const auto places = places_of(target_.endpoint->path);
    for (std::size_t i = 0; i < places.size(); ++i) {
      const auto slash = i + 1 < places.size() ? std::min(rest.find('/'), rest.size()) : rest.size();
      target.parameters.emplace_back(places[i], rest.substr(0, slash));
      rest.remove_prefix(std::min(slash + 1, rest.size()));
    }
    // Files are named by a parameter, lists of a POST by its body.
    if (places.empty()) {
      const bool in_body = target_.endpoint->body.find("{ids}") != std::string::npos;
      target.parameters.emplace_back(in_body ? "ids" : "path", in_body ? "\"" + ids_[at()] + "\"" : ids_[at()]);
    }
    const auto start = state_.has_inner() ? state_.inner() : begin_all(*target.resource, *target.endpoint, 0, 0);
    inner_ = make_unit(std::move(target), start);
  }

  void end_id(Step& step) {
    state_.set_next(state_.next() + 1);
    state_.clear_inner();
    finish(step);
    if (!step.done) open();
  }

  core::Result<Step> on_batch(const PageView& view) {
    if (!view.page.has_data) return core::fail(ErrorKind::malformed, "the page lacks data");
    const std::set<std::string> wanted(ids_.begin() + static_cast<std::ptrdiff_t>(at()),
                                       ids_.begin() + static_cast<std::ptrdiff_t>(end_of_batch()));
    std::set<std::string> found;
    auto step = target_.step();
    for (std::uint32_t i = 0; i < view.page.records.size(); ++i) {
      std::string key;
      step.key->append(key, view.body, view.page.records[i], i, step.context);
      if (!wanted.contains(key))
        return core::fail(ErrorKind::bad_data, fmt::format("{}: the filter ids has no effect: asked for {} ids, got {}",
                                                           target_.resource->name, wanted.size(), core::printable(key, 60)));
      if (found.insert(key).second) step.publish.push_back(i);
    }
    state_.set_missing(state_.missing() + static_cast<std::int64_t>(wanted.size() - found.size()));
    state_.set_next(static_cast<std::int64_t>(end_of_batch()));
    finish(step);
    return step;
  }

  void finish(Step& step) const {
    step.done = at() == ids_.size();
    step.snapshot = false;
    if (step.done && state_.missing() > 0) step.note = fmt::format("{} of {} ids were not found", state_.missing(), ids_.size());
  }

  const Target target_;
  v1::IdsState state_;
  const std::vector<std::string> ids_;
  std::unique_ptr<Crawl> inner_;
};

}  // namespace

std::unique_ptr<Crawl> make_ids_crawl(Target target, const v1::IdsState& state, std::vector<std::string> ids) {
  return std::make_unique<IdsCrawl>(std::move(target), state, std::move(ids));
}

}  // namespace stsync::servicetitan
