#include <algorithm>
#include <array>
#include <unordered_map>

#include <fmt/format.h>

#include "core/text.hpp"
#include "servicetitan/crawl.hpp"

namespace stsync::servicetitan {
namespace {

using core::ErrorKind;

constexpr std::int64_t kMaxPasses = 6;
constexpr std::int64_t kMaxKeys = 2'000'000;    // about 100 MB of memory
constexpr std::int64_t kMaxJournalled = 4'096;  // 64 KiB in each journal entry
constexpr std::int64_t kMaxPageSize = 1'000'000;

/// A hash of a record's key.
using Key = std::array<char, 16>;
struct KeyHash {
  std::size_t operator()(const Key& k) const noexcept {
    std::size_t h = 0;
    std::copy_n(k.begin(), sizeof h, reinterpret_cast<char*>(&h));
    return h;
  }
};

Key key_of(const std::string& text) {
  Key key{};
  const auto hex = core::sha256_hex(text);
  for (std::size_t i = 0; i < key.size(); ++i) {
    const auto digit = [&](std::size_t at) { return hex[at] <= '9' ? hex[at] - '0' : hex[at] - 'a' + 10; };
    key[i] = static_cast<char>(digit(2 * i) * 16 + digit(2 * i + 1));
  }
  return key;
}

/// One answer is one snapshot. A longer list without a window is read from its first page to its last, again and again, until what
/// two passes have in common is as many rows as the list held between them: each of those rows was there before that moment and
/// after it, so they are exactly the rows of that moment. Whatever order the list has, and whatever changes, a false agreement
/// would need a row that vanished and came back.
/// Where a unique sort is offered, the first pass goes backward over it and is exact by itself: rows that are still to be read move
/// towards the front only. It is complete when it published as many rows as there were when it found the end.
class SnapshotCrawl final : public Crawl {
 public:
  SnapshotCrawl(Target target, v1::SnapshotState state)
      : target_(std::move(target)), state_(std::move(state)), asked_size_(target_.endpoint->page_size) {
    const bool knows_all = static_cast<std::int64_t>(state_.published().size() / sizeof(Key)) == state_.keys();
    for (std::size_t i = 0; i + sizeof(Key) <= state_.published().size(); i += sizeof(Key)) {
      Key key{};
      std::copy_n(state_.published().begin() + static_cast<std::ptrdiff_t>(i), sizeof(Key), key.begin());
      seen_[key] = -1;
    }
    if (state_.has_sorted()) {
      sorted_ = make_list_crawl(target_, state_.sorted());
    } else {
      lost_ = !knows_all;
      state_.set_offset(0);  // a pass that was interrupted proves nothing
      state_.set_pass(0);
    }
    forgot_ = !knows_all;
  }

  Request next() const override {
    if (sorted_) return with_created_bound(sorted_->next());
    auto request = with_created_bound(target_.request());
    const auto size = state_.page_size() > 0 && state_.offset() > 0 ? state_.page_size() : std::int64_t{asked_size_};
    request.query.emplace_back("page", std::to_string(state_.offset() / size + target_.endpoint->first_page));
    request.query.emplace_back("pageSize", std::to_string(size));
    request.query.emplace_back("includeTotal", "true");
    if (state_.offset() == 0) request.page_size = asked_size_;
    return request;
  }

  void resize(const Endpoint& of, int page_size) override {
    asked_size_ = page_size;
    if (!sorted_) return;
    sorted_->resize(of, page_size);
    *state_.mutable_sorted() = sorted_->state().list();
  }

  core::Result<Step> on_refusal(const core::Error& error) override {
    if (!sorted_) return core::fail(error);
    auto step = sorted_->on_refusal(error);
    return step || step.error().kind() != ErrorKind::unstable_list ? step : give_up_order();
  }

  core::Result<Step> on_page(const PageView& view) override {
    if (lost_)
      return core::fail(ErrorKind::restarted, name() + ": what this snapshot had read was lost with its worker; it runs again");
    auto step = sorted_ ? on_sorted(view) : on_pass(view);
    if (step) {
      const auto whose = target_.step(first_row_);
      step->context = whose.context;
      step->key = whose.key;
    }
    return step;
  }

  v1::CrawlState state() const override {
    v1::CrawlState out;
    *out.mutable_snapshot() = state_;
    return out;
  }

  void move_cursor(v1::StreamState& stream) const override {
    stream.set_watermark_ms(state_.to_ms());
    stream.set_full_ms(state_.to_ms());
  }

 private:
  const std::string& name() const { return target_.resource->name; }

  Request with_created_bound(Request request) const {
    if (target_.endpoint->created_filter && state_.to_ms() > 0)
      request.query.emplace_back("createdBefore", core::format_utc(core::WallTime(std::chrono::milliseconds(state_.to_ms()))));
    return request;
  }

  core::Result<Step> on_sorted(const PageView& view) {
    auto step = sorted_->on_page(view);
    if (!step && step.error().kind() == ErrorKind::unstable_list) return give_up_order();
    if (!step) return step;
    if (!step->publish.empty() && state_.keys() == 0) state_.set_total(total(view).value_or(-1));
    if (step->done && state_.keys() == 0 && step->publish.empty()) state_.set_total(total(view).value_or(0));
    for (const auto i : step->publish) remember(view, i);
    state_.set_keys(state_.keys() + static_cast<std::int64_t>(step->publish.size()));
    *state_.mutable_sorted() = sorted_->state().list();
    keep_journalled();
    if (!step->done) return step;
    if (state_.keys() == state_.total()) {
      step->snapshot = true;
      step->rows = state_.keys();
      return step;
    }
    if (state_.total() < 0) return unproven(std::move(*step));
    return next_pass(std::move(*step));
  }

  /// The sort is not honoured. What was published is known, unless a restart came between.
  core::Result<Step> give_up_order() { return next_pass(Step{}); }

  core::Result<Step> next_pass(Step step) {
    step.done = false;
    if (forgot_) lost_ = true;
    sorted_.reset();
    state_.clear_sorted();
    for (auto& [key, pass] : seen_) pass = state_.pass();
    return begin_pass(std::move(step));
  }

  core::Result<Step> begin_pass(Step step) {
    state_.set_pass(state_.pass() + 1);
    state_.set_offset(0);
    state_.set_page_size(0);
    both_ = 0;
    alike_.clear();
    if (state_.pass() >= kMaxPasses)
      return core::fail(ErrorKind::unstable_list, name() + ": the list changes faster than it can be read");
    return step;
  }

  core::Result<Step> on_pass(const PageView& view) {
    const auto has_more = view.page.has_more.in(view.body);
    if (!view.page.has_data || (!view.page.bare && has_more != "true" && has_more != "false"))
      return core::fail(ErrorKind::malformed, "the page lacks data or hasMore");
    const bool more = has_more == "true";
    if (more && view.page.records.empty()) return core::fail(ErrorKind::malformed, "a page without rows promises more");
    const auto echoed = codec::json_int(view.page.page_size.in(view.body));
    if (more && (!echoed || *echoed <= 0 || *echoed > kMaxPageSize))
      return core::fail(ErrorKind::malformed, "the page does not tell its pageSize");
    const bool first = state_.offset() == 0;
    if (!first && more && *echoed != state_.page_size()) return begin_pass(Step{});  // the rows in between are unknown
    if (first) state_.set_total(total(view).value_or(-1));
    if (first && echoed) state_.set_page_size(*echoed);
    first_row_ = state_.offset();
    Step step;
    for (std::uint32_t i = 0; i < view.page.records.size(); ++i)
      if (take(view, i)) step.publish.push_back(i);
    state_.set_keys(static_cast<std::int64_t>(seen_.size()));
    keep_journalled();
    if (static_cast<std::int64_t>(seen_.size()) > kMaxKeys)
      return core::fail(ErrorKind::too_large, fmt::format("{}: more than {} rows in a list without a window", name(), kMaxKeys));
    if (more) {
      state_.set_offset(state_.offset() + *echoed);
      return step;
    }
    return end_pass(std::move(step), first, static_cast<std::int64_t>(view.page.records.size()));
  }

  core::Result<Step> end_pass(Step step, bool one_answer, std::int64_t rows) {
    if (one_answer || (proven_possible() && both_ == state_.total())) {
      step.done = step.snapshot = true;
      step.rows = one_answer ? rows : state_.total();
      return step;
    }
    if (state_.total() < 0 && state_.pass() > 0) return unproven(std::move(step));
    return begin_pass(std::move(step));
  }

  bool proven_possible() const { return state_.pass() > 0 && state_.total() >= 0; }

  /// Without a total nothing can be proved: the rows are there, but no marker follows.
  static core::Result<Step> unproven(Step step) {
    step.done = true;
    step.note = "the list does not tell its total: its completeness is not proved, and there is no marker";
    return step;
  }

  static std::optional<std::int64_t> total(const PageView& view) { return codec::json_int(view.page.total_count.in(view.body)); }

  Key key_at(const PageView& view, std::uint32_t i) {
    std::string text;
    target_.key().append(text, view.body, view.page.records[i], i, {target_.parameters, state_.offset()});
    // Rows without a key may be alike and yet be two.
    if (text.starts_with('#')) text += "#" + std::to_string(alike_[text]++);
    return key_of(text);
  }

  void remember(const PageView& view, std::uint32_t i) {
    if (static_cast<std::int64_t>(seen_.size()) < kMaxKeys)
      seen_[key_at(view, i)] = 0;
    else
      forgot_ = true;
  }

  /// Whether this row is new to the job.
  bool take(const PageView& view, std::uint32_t i) {
    const auto [at, added] = seen_.try_emplace(key_at(view, i), state_.pass());
    if (!added && at->second == state_.pass() - 1) ++both_;
    at->second = state_.pass();
    return added;
  }

  void keep_journalled() {
    state_.clear_published();
    if (state_.keys() > kMaxJournalled || forgot_) return;
    auto& bytes = *state_.mutable_published();
    bytes.reserve(seen_.size() * sizeof(Key));
    for (const auto& [key, pass] : seen_) bytes.append(key.data(), key.size());
  }

  const Target target_;
  v1::SnapshotState state_;
  int asked_size_;
  std::unique_ptr<Crawl> sorted_;                        ///< during a first pass over a unique sort
  std::unordered_map<Key, std::int64_t, KeyHash> seen_;  ///< what was published, and the pass that saw it last
  std::unordered_map<std::string, std::int64_t> alike_;  ///< of this pass: how often each row without a key was seen
  std::int64_t both_ = 0;                                ///< of this pass: rows that the pass before had seen too
  std::int64_t first_row_ = 0;
  bool forgot_ = false;  ///< seen_ lacks something that was published
  bool lost_ = false;    ///< and that would be needed now
};

}  // namespace

std::unique_ptr<Crawl> make_snapshot_crawl(Target target, const v1::SnapshotState& state) {
  return std::make_unique<SnapshotCrawl>(std::move(target), state);
}

}  // namespace stsync::servicetitan
