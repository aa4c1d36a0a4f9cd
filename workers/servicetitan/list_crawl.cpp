#include <algorithm>
#include <climits>

#include <fmt/format.h>

#include "core/text.hpp"
#include "servicetitan/crawl.hpp"

namespace stsync::servicetitan {
namespace {

using core::ErrorKind;

/// Splitting an open window needs a lower end to halve against; the oldest part stays open below.
constexpr std::int64_t kOldest = 1'104'537'600'000;  // 2005-01-01

// What a server may tell of itself: larger numbers are no sizes, and would not fit the sums here.
constexpr std::int64_t kMaxPageSize = 1'000'000;
constexpr std::int64_t kMaxTotal = 1'000'000'000'000;
constexpr int kMaxRelocations = 100;

std::string time_text(std::int64_t ms) { return core::format_utc(core::WallTime(std::chrono::milliseconds(ms))); }

/// One answer is one snapshot, so a window that fits a page is simply published. A longer one is read from its last page to its
/// first along the unique sort: a row that changes meanwhile leaves the closed window and moves later rows towards the front, where
/// they are still to be read. The lowest id published tells exactly which rows were seen. Where there is no such sort, or it is not
/// honoured, the window is halved until each part fits a page. What cannot be halved any more (many rows of one moment), or has no
/// window either, is read as a snapshot is: until two passes agree.
class ListCrawl final : public Crawl {
 public:
  ListCrawl(Target target, v1::ListState state)
      : target_(std::move(target)), state_(std::move(state)), asked_size_(target_.endpoint->page_size) {
    // A predecessor may have found another size to be better.
    if (state_.page_size() > 0 && state_.page_size() <= target_.endpoint->max_page_size)
      asked_size_ = static_cast<int>(state_.page_size());
    if (state_.has_bulk()) bulk_ = make_snapshot_crawl(bulk_target(), state_.bulk());
  }

  Request next() const override {
    auto request = bulk_ ? bulk_->next() : target_.request();
    if (state_.created()) request.fields.modified = "createdOn";
    if (bulk_) return request;
    auto& query = request.query;
    const auto bounds = bound_parameters();
    query.insert(query.end(), bounds.begin(), bounds.end());
    if (sorted()) query.emplace_back("sort", target_.endpoint->unique_sort);
    query.emplace_back("page", std::to_string(page_number() + target_.endpoint->first_page - 1));
    query.emplace_back("pageSize", std::to_string(asked_size_));
    query.emplace_back("includeTotal", "true");
    request.page_size = asked_size_;
    return request;
  }

  /// The offset moves to where a page of the new size holds the last row not read.
  void resize(const Endpoint& of, int page_size) override {
    page_size = std::min(page_size, most_);
    if (page_size == asked_size_) return;
    asked_size_ = page_size;
    if (bulk_) return bulk_->resize(of, page_size);
    if (state_.splitting() || state_.page_size() == 0) return;
    if (state_.located()) return realign(page_size);
    // On the way to the end rows may be stepped over.
    state_.set_offset((state_.offset() + page_size - 1) / page_size * page_size);
    state_.set_page_size(page_size);
  }

  /// A sort that is not even understood is no sort.
  core::Result<Step> on_refusal(const core::Error& error) override {
    if (error.kind() != ErrorKind::bad_request || !sorted() || state_.located() || state_.lowest_id() != 0)
      return core::fail(error);
    return start_splitting();
  }

  core::Result<Step> on_page(const PageView& view) override {
    const auto has_more = view.page.has_more.in(view.body);
    // A list that is a bare array on some tenants: everything at once.
    const bool all_at_once = view.page.bare && page_number() == 1;
    if (!view.page.has_data || (has_more != "true" && has_more != "false" && !all_at_once))
      return core::fail(ErrorKind::malformed, "the page lacks data or hasMore");
    const bool more = has_more == "true";
    if (more && view.page.records.empty()) return core::fail(ErrorKind::malformed, "a page without rows promises more");
    // To ask for more than the server gives would only lead astray.
    if (const auto echoed = echoed_size(view); echoed && *echoed < asked_size_) most_ = static_cast<int>(*echoed);
    if (auto ok = check_bounds(view); !ok) return ignored_filter(ok.error());
    auto step = bulk_                ? read_bulk(view)
                : state_.splitting() ? split(view, more)
                : !state_.located()  ? locate(view, more)
                                     : backward(view, more);
    if (step && !bulk_ && !step->publish.empty()) {
      const auto whose = target_.step();
      step->context = whose.context;
      step->key = whose.key;
    }
    return step;
  }

  v1::CrawlState state() const override {
    v1::CrawlState out;
    *out.mutable_list() = state_;
    // Parts that fit a page of this size would be split further by a successor that asks for less.
    if (state_.splitting()) out.mutable_list()->set_page_size(asked_size_);
    return out;
  }

  void move_cursor(v1::StreamState& stream) const override {
    stream.set_watermark_ms(state_.to_ms());
    if (state_.from_ms() == 0) stream.set_full_ms(state_.to_ms());
  }

 private:
  bool sorted() const { return !target_.endpoint->unique_sort.empty() && !state_.splitting(); }
  const std::string& name() const { return target_.resource->name; }
  bool unfiltered() const { return state_.unfiltered(); }
  std::int64_t page_size() const { return state_.page_size(); }

  std::pair<std::int64_t, std::int64_t> window() const {
    if (!state_.splitting()) return {state_.from_ms(), state_.to_ms()};
    const auto& part = state_.parts(state_.parts_size() - 1);
    return {part.from_ms(), part.to_ms()};
  }

  /// The window as the endpoint is asked for it.
  Parameters bound_parameters() const {
    Parameters out;
    if (unfiltered()) return out;
    const auto [from, to] = window();
    if (from > 0) out.emplace_back(state_.created() ? "createdOnOrAfter" : "modifiedOnOrAfter", time_text(from));
    out.emplace_back(state_.created() ? "createdBefore" : "modifiedBefore", time_text(to));
    return out;
  }

  std::int64_t page_number() const {
    if (state_.splitting() || page_size() == 0) return 1;
    return state_.offset() / page_size() + (looking_back_ ? 2 : 1);
  }

  static std::optional<std::int64_t> modified(const PageView& view, const codec::Record& record) {
    const auto text = codec::json_text(record.modified.in(view.body));
    const auto time = text ? core::parse_utc(*text) : std::nullopt;
    if (!time) return std::nullopt;
    return time->time_since_epoch().count();
  }

  bool inside(const PageView& view, const codec::Record& record) const {
    const auto t = modified(view, record);
    return !t || Bounds{state_.from_ms(), state_.to_ms()}.contains(*t);
  }

  /// The filter was asked for; a row outside it proves that the endpoint ignores it (unknown parameters are ignored silently).
  core::Result<void> check_bounds(const PageView& view) const {
    if (unfiltered()) return {};
    const auto [from, to] = window();
    const Bounds bounds{from, to};
    for (const auto& record : view.page.records) {
      const auto t = modified(view, record);
      if (t && !bounds.contains(*t))
        return core::fail(ErrorKind::bad_request, fmt::format("{}: the {} window has no effect, the list is read whole", name(),
                                                              state_.created() ? "created" : "modified"));
    }
    return {};
  }

  /// From now on the list is read without the filter; rows are chosen here. A backward crawl has read the whole list all along and
  /// stands where it stood.
  core::Result<Step> ignored_filter(const core::Error& why) {
    bulk_.reset();
    state_.clear_bulk();
    if (state_.splitting()) {
      state_.set_splitting(false);
      state_.clear_parts();
      state_.set_located(false);
      state_.set_offset(0);
      walked_to_ = 0;
    }
    state_.set_unfiltered(true);
    Step step;
    step.note = why.message();
    return step;
  }

  /// The page size that the server works with; nothing when it makes no sense.
  static std::optional<std::int64_t> echoed_size(const PageView& view) {
    const auto size = codec::json_int(view.page.page_size.in(view.body));
    if (!size || *size <= 0 || *size > kMaxPageSize) return std::nullopt;
    return size;
  }

  /// Where the last page starts by the server's count; nothing when it does not tell.
  static std::optional<std::int64_t> last_page(const PageView& view, std::int64_t size) {
    const auto total = codec::json_int(view.page.total_count.in(view.body));
    if (!total || *total <= 0 || *total > kMaxTotal) return std::nullopt;
    return (*total - 1) / size * size;
  }

  /// On the way to the end every page must stand behind the one before; else the sort or the page number is ignored.
  bool walk(const PageView& view) {
    for (const auto& record : view.page.records) {
      const auto id = codec::json_int(record.key.in(view.body));
      if (!id || *id <= walked_to_) return false;
      walked_to_ = *id;
    }
    return true;
  }

  /// First answer: does the window fit one page, and if not, where is its end?
  core::Result<Step> locate(const PageView& view, bool more) {
    if (!more && page_number() == 1) return finish(view);
    const auto echoed = echoed_size(view);
    if (!sorted() || !walk(view)) return start_splitting();
    if (!echoed) return core::fail(ErrorKind::malformed, "the page does not tell its pageSize");
    const auto last = last_page(view, *echoed);
    state_.set_offset((page_number() - 1) * *echoed);  // the page may not begin where one of the size before would have
    state_.set_page_size(*echoed);
    state_.set_located(last || !more);
    if (state_.located()) walked_to_ = 0;
    if (!more) return backward(view, more);
    state_.set_offset(last ? *last : state_.offset() + *echoed);
    return Step{};
  }

  /// Before anything is read: the end may lie behind the place that the total told, or before it.
  core::Result<Step> seek_end(const PageView& view, bool more, std::int64_t size) {
    if (more) {
      if (!walk(view)) return start_splitting();
      state_.set_offset(state_.offset() + size);
      return Step{};
    }
    walked_to_ = 0;
    const auto last = last_page(view, size);
    const auto back = state_.offset() - (size << steps_back_);
    steps_back_ = std::min(steps_back_ + 1, 20);
    state_.set_offset(std::max<std::int64_t>(0, last && *last < state_.offset() ? *last : back));
    return Step{};
  }

  core::Result<Step> backward(const PageView& view, bool more) {
    const auto size = echoed_size(view);
    if (!size) return core::fail(ErrorKind::malformed, "the page does not tell its pageSize");
    const auto echoed = *size;
    if (echoed != page_size()) return relocate(echoed);
    if (looking_back_) return look_back(view);
    if (more && previous_.empty() && holds_published(view)) {
      looking_back_ = true;
      return Step{};
    }
    const bool first_read = state_.lowest_id() == 0 && !read_one_;
    if (first_read && (more || (view.page.records.empty() && state_.offset() > 0))) return seek_end(view, more, echoed);
    Step step;
    std::set<std::int64_t> ids;
    if (!total_order(view, ids)) return start_splitting();
    auto lowest = state_.lowest_id();
    for (std::uint32_t i = 0; i < view.page.records.size(); ++i) {
      const auto id = *codec::json_int(view.page.records[i].key.in(view.body));
      if (state_.lowest_id() != 0 && id >= state_.lowest_id()) continue;  // moved here after it was published
      lowest = lowest == 0 ? id : std::min(lowest, id);
      if (inside(view, view.page.records[i])) step.publish.push_back(i);
    }
    previous_ = std::move(ids);
    read_one_ = true;
    state_.set_lowest_id(lowest);
    step.done = state_.offset() == 0;
    state_.set_offset(std::max<std::int64_t>(0, state_.offset() - echoed));
    return step;
  }

  /// Ids strictly ascending, and all before those of the page behind it, but for the rows that moved over from there.
  bool total_order(const PageView& view, std::set<std::int64_t>& ids) const {
    std::optional<std::int64_t> last;
    for (const auto& record : view.page.records) {
      const auto id = codec::json_int(record.key.in(view.body));
      if (!id || *id <= 0 || (last && *id <= *last)) return false;
      if (!previous_.empty() && *id >= *previous_.begin() && !previous_.contains(*id)) return false;
      last = id;
      ids.insert(*id);
    }
    return true;
  }

  bool holds_published(const PageView& view) const {
    return state_.lowest_id() != 0 && std::any_of(view.page.records.begin(), view.page.records.end(), [&](const auto& record) {
             return codec::json_int(record.key.in(view.body)).value_or(0) >= state_.lowest_id();
           });
  }

  /// A successor does not know the page that was read before. Where it meets rows that seem to be published, it looks at that page:
  /// either they moved over from behind, or there is no order and nothing is known about them.
  core::Result<Step> look_back(const PageView& view) {
    looking_back_ = false;
    std::set<std::int64_t> ids;
    if (!total_order(view, ids) || (!ids.empty() && *ids.begin() < state_.lowest_id())) return start_splitting();
    previous_ = std::move(ids);
    return Step{};
  }

  /// The page size is not what the offset was counted in: on with the page that holds the last row not read. It may hold many rows
  /// that were published, so it is not compared with the page before.
  core::Result<Step> relocate(std::int64_t size) {
    if (++relocations_ > kMaxRelocations)
      return core::fail(ErrorKind::unstable_list, name() + ": the server changes its page size again and again");
    realign(size);
    return Step{};
  }

  void realign(std::int64_t size) {
    const auto last_unread = state_.offset() + page_size() - 1;
    state_.set_page_size(size);
    state_.set_offset(last_unread / size * size);
    previous_.clear();
    looking_back_ = false;
  }

  core::Result<Step> start_splitting() {
    state_.set_lowest_id(0);  // without the order it says nothing about what was published
    // Without any window this is the first pass of a snapshot, which knows what to do and what was published.
    if (state_.to_ms() == INT64_MAX) return core::fail(ErrorKind::unstable_list, name() + ": the list keeps no order");
    if (unfiltered()) return begin_bulk();
    state_.set_splitting(true);
    state_.clear_parts();
    auto* part = state_.add_parts();
    part->set_from_ms(state_.from_ms());
    part->set_to_ms(state_.to_ms());
    return halve();
  }

  core::Result<Step> split(const PageView& view, bool more) {
    if (more) return halve();
    state_.mutable_parts()->RemoveLast();
    Step step = publish_inside(view);
    step.done = state_.parts_size() == 0;
    return step;
  }

  core::Result<Step> halve() {
    const auto [from, to] = window();
    const auto low = from == 0 ? kOldest : from;
    const auto middle = low + (to - low) / 2;
    if (middle <= low) return begin_bulk();
    state_.mutable_parts()->RemoveLast();
    for (const auto& [a, b] : {std::pair(middle, to), std::pair(from, middle)}) {
      auto* part = state_.add_parts();
      part->set_from_ms(a);
      part->set_to_ms(b);
    }
    return Step{};
  }

  /// The endpoint inside the window that is to be read as a snapshot is.
  Target bulk_target() const {
    auto out = target_;
    const auto bounds = bound_parameters();
    out.parameters.insert(out.parameters.end(), bounds.begin(), bounds.end());
    return out;
  }

  core::Result<Step> begin_bulk() {
    state_.mutable_bulk();
    bulk_ = make_snapshot_crawl(bulk_target(), state_.bulk());
    return Step{};
  }

  core::Result<Step> read_bulk(const PageView& view) {
    auto step = bulk_->on_page(view);
    if (!step) return step;
    *state_.mutable_bulk() = bulk_->state().snapshot();
    std::erase_if(step->publish, [&](std::uint32_t i) { return !inside(view, view.page.records[i]); });
    if (step->done && !step->snapshot)
      return core::fail(ErrorKind::unstable_list, name() + ": neither an order nor a window nor a total to read it by");
    step->snapshot = false;  // it is one of this part only
    if (!step->done) return step;
    bulk_.reset();
    state_.clear_bulk();
    if (state_.splitting()) state_.mutable_parts()->RemoveLast();
    step->done = !state_.splitting() || state_.parts_size() == 0;
    return step;
  }

  core::Result<Step> finish(const PageView& view) {
    Step step = publish_inside(view);
    step.done = true;
    return step;
  }

  Step publish_inside(const PageView& view) const {
    Step step;
    for (std::uint32_t i = 0; i < view.page.records.size(); ++i)
      if (inside(view, view.page.records[i])) step.publish.push_back(i);
    return step;
  }

  const Target target_;
  v1::ListState state_;
  std::unique_ptr<Crawl> bulk_;  ///< what can be neither sorted nor split
  int asked_size_;
  int most_ = INT_MAX;               ///< rows that the server gives, whatever is asked for
  bool read_one_ = false;            ///< the end was found and its page read
  std::set<std::int64_t> previous_;  ///< ids of the page read before
  std::int64_t walked_to_ = 0;       ///< highest id seen on the way to the end
  bool looking_back_ = false;        ///< the next page asked for is the one behind
  int steps_back_ = 0;
  int relocations_ = 0;
};

}  // namespace

std::unique_ptr<Crawl> make_list_crawl(Target target, const v1::ListState& state) {
  return std::make_unique<ListCrawl>(std::move(target), state);
}

}  // namespace stsync::servicetitan
