#include <algorithm>

#include <fmt/format.h>

#include "core/text.hpp"
#include "servicetitan/crawl.hpp"

namespace stsync::servicetitan {
namespace {

using core::ErrorKind;

/// Splitting an open window needs a lower end to halve against; the oldest part stays open below.
constexpr std::int64_t kOldest = 1'104'537'600'000;  // 2005-01-01

std::string time_text(std::int64_t ms) { return core::format_utc(core::WallTime(std::chrono::milliseconds(ms))); }

/// One answer is one snapshot, so a window that fits a page is simply published. A longer one is read from its last page to its
/// first along the unique sort: a row that changes meanwhile leaves the closed window and moves later rows towards the front, where
/// they are still to be read. The lowest id published tells exactly which rows were seen. Where there is no such sort, or it is not
/// honoured, the window is halved until each part fits a page.
class ListCrawl final : public Crawl {
 public:
  ListCrawl(const Resource& resource, v1::ListState state) : resource_(resource), state_(std::move(state)) {}

  Query next() const override {
    auto query = resource_.query;
    const auto [from, to] = window();
    if (!unfiltered()) {
      if (from > 0) query.emplace_back("modifiedOnOrAfter", time_text(from));
      query.emplace_back("modifiedBefore", time_text(to));
    }
    if (sorted()) query.emplace_back("sort", resource_.unique_sort);
    query.emplace_back("page", std::to_string(page_number()));
    query.emplace_back("pageSize", std::to_string(resource_.page_size));
    query.emplace_back("includeTotal", "true");
    return query;
  }

  core::Result<Step> on_page(const PageView& view) override {
    const auto has_more = view.page.has_more.in(view.body);
    if (!view.page.has_data || (has_more != "true" && has_more != "false"))
      return core::fail(ErrorKind::malformed, "the page lacks data or hasMore");
    const bool more = has_more == "true";
    if (auto ok = check_bounds(view); !ok) return ignored_filter(ok.error());
    if (state_.splitting()) return split(view, more);
    if (!state_.located()) return locate(view, more);
    return backward(view, more);
  }

  v1::CrawlState state() const override {
    v1::CrawlState out;
    *out.mutable_list() = state_;
    return out;
  }

  void move_cursor(v1::StreamState& stream) const override { stream.set_watermark_ms(state_.to_ms()); }

 private:
  bool sorted() const { return !resource_.unique_sort.empty() && !state_.splitting(); }
  bool unfiltered() const { return state_.unfiltered(); }
  std::int64_t page_size() const { return state_.page_size(); }

  std::pair<std::int64_t, std::int64_t> window() const {
    if (!state_.splitting()) return {state_.from_ms(), state_.to_ms()};
    const auto& part = state_.parts(state_.parts_size() - 1);
    return {part.from_ms(), part.to_ms()};
  }

  std::int64_t page_number() const {
    if (state_.splitting() || page_size() == 0) return 1;
    return state_.offset() / page_size() + 1;
  }

  static std::optional<std::int64_t> modified(const PageView& view, const codec::Record& record) {
    const auto text = codec::json_text(record.modified.in(view.body));
    const auto time = text ? core::parse_utc(*text) : std::nullopt;
    if (!time) return std::nullopt;
    return time->time_since_epoch().count();
  }

  bool inside(const PageView& view, const codec::Record& record) const {
    const auto t = modified(view, record);
    return !t || (*t >= state_.from_ms() && *t < state_.to_ms());
  }

  /// The filter was asked for; a row outside it proves that the endpoint ignores it (unknown parameters are ignored silently).
  core::Result<void> check_bounds(const PageView& view) const {
    if (unfiltered()) return {};
    const auto [from, to] = window();
    for (const auto& record : view.page.records) {
      const auto t = modified(view, record);
      if (t && (*t < from || *t >= to))
        return core::fail(ErrorKind::bad_request,
                          fmt::format("{}: the modified window has no effect, the list is read whole", resource_.name));
    }
    return {};
  }

  /// From now on the list is read without the filter; rows are chosen here.
  core::Result<Step> ignored_filter(const core::Error& why) {
    v1::ListState fresh;
    fresh.set_from_ms(state_.from_ms());
    fresh.set_to_ms(state_.to_ms());
    fresh.set_unfiltered(true);
    state_ = fresh;
    Step step;
    step.note = why.message();
    return step;
  }

  /// First answer: does the window fit one page, and if not, where is its end?
  core::Result<Step> locate(const PageView& view, bool more) {
    if (!more && page_number() == 1) return finish(view);
    if (!sorted()) return start_splitting();
    const auto echoed = codec::json_int(view.page.page_size.in(view.body)).value_or(0);
    if (echoed <= 0) return core::fail(ErrorKind::malformed, "the page does not tell its pageSize");
    state_.set_page_size(echoed);
    Step step;
    if (!more) {  // walked forward to the end, without a total
      state_.set_located(true);
      return step;
    }
    const auto total = codec::json_int(view.page.total_count.in(view.body)).value_or(0);
    const auto last = total > 0 ? (total - 1) / echoed * echoed : state_.offset() + echoed;
    state_.set_located(total > 0);
    state_.set_offset(last);
    return step;
  }

  core::Result<Step> backward(const PageView& view, bool more) {
    const auto echoed = codec::json_int(view.page.page_size.in(view.body)).value_or(0);
    if (echoed <= 0) return core::fail(ErrorKind::malformed, "the page does not tell its pageSize");
    if (echoed != page_size()) return relocate(echoed);
    Step step;
    const bool first_read = state_.lowest_id() == 0 && !read_one_;
    if (first_read && more) {  // the end moved on: rows arrived behind it
      state_.set_offset(state_.offset() + echoed);
      return step;
    }
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

  /// Ids strictly ascending, and none above what is published that the page read before did not have.
  bool total_order(const PageView& view, std::set<std::int64_t>& ids) const {
    std::optional<std::int64_t> last;
    for (const auto& record : view.page.records) {
      const auto id = codec::json_int(record.key.in(view.body));
      if (!id || *id <= 0 || (last && *id <= *last)) return false;
      if (read_one_ && state_.lowest_id() != 0 && *id >= state_.lowest_id() && !previous_.contains(*id)) return false;
      last = id;
      ids.insert(*id);
    }
    return true;
  }

  /// The page size is not what the offset was counted in: find the end again; lowest_id still tells what was published.
  core::Result<Step> relocate(std::int64_t size) {
    state_.set_page_size(size);
    state_.set_offset((state_.offset() + size - 1) / size * size);
    return Step{};
  }

  core::Result<Step> start_splitting() {
    if (unfiltered()) return core::fail(ErrorKind::unstable_list, resource_.name + ": no order and no window to read it by");
    state_.set_splitting(true);
    state_.set_lowest_id(0);  // without the order it says nothing about what was published
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
    const auto low = std::max(from, std::min(kOldest, to - 2));
    const auto middle = low + (to - low) / 2;
    if (middle <= low)
      return core::fail(ErrorKind::unstable_list,
                        fmt::format("{}: more than a page of rows changed at {}", resource_.name, time_text(low)));
    state_.mutable_parts()->RemoveLast();
    for (const auto& [a, b] : {std::pair(middle, to), std::pair(from, middle)}) {
      auto* part = state_.add_parts();
      part->set_from_ms(a);
      part->set_to_ms(b);
    }
    return Step{};
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

  const Resource& resource_;
  v1::ListState state_;
  bool read_one_ = false;  ///< previous_ holds the page read before
  std::set<std::int64_t> previous_;
};

}  // namespace

std::unique_ptr<Crawl> make_list_crawl(const Resource& resource, const v1::ListState& state) {
  return std::make_unique<ListCrawl>(resource, state);
}

}  // namespace stsync::servicetitan
