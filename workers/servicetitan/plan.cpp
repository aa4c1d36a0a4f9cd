#include "servicetitan/plan.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.hpp"

namespace stsync::servicetitan {
namespace {

using core::ErrorKind;
using core::Result;

constexpr std::int64_t kDay = 86'400'000;

std::int64_t ms(core::Duration d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); }
std::int64_t ms(const google::protobuf::Timestamp& t) { return t.seconds() * 1000 + t.nanos() / 1'000'000; }

std::string_view name_of(v1::Mode mode) { return v1::Mode_Name(mode); }

/// What reads single rows.
const Endpoint* by_id(const Resource& r) {
  if (const auto* list = r.endpoint(Role::list); list != nullptr && list->ids_filter) return list;
  if (const auto* get = r.endpoint(Role::get)) return get;
  const auto* children = r.endpoint(Role::children);  // of the parents that are named
  return children != nullptr && children->path.find('{') != children->path.rfind('{') && children->batch == 1 ? children : nullptr;
}

bool has_window(const Endpoint& e) { return e.role == Role::export_feed || e.modified_filter || e.period.has_value(); }

/// What the parents of a child are read from.
const Endpoint* parents_source(const Resource& parent) {
  const auto* list = parent.endpoint(Role::list);
  const auto* source = list != nullptr && !list->ids_only ? list : parent.endpoint(Role::children);
  return source != nullptr ? source : parent.source();
}

/// Files do not change, and come with a change of their parents: they alone are read of the parents that changed.
bool has_parents_window(const Catalogue& catalogue, const Endpoint& e) {
  return e.shape == Shape::binary && e.role == Role::children && parents_source(*catalogue.find(e.parent))->modified_filter;
}

const char* why_source(const Endpoint& e) {
  switch (e.role) {
    case Role::export_feed:
      return "the export feed: it alone tells of deleted rows";
    case Role::list:
      return "the list: there is no export feed";
    default:
      return "parent by parent: there is neither an export feed nor a list";
  }
}

v1::CrawlState begin_feed(const v1::Sync& sync, const v1::StreamState& stream, v1::Mode mode) {
  v1::CrawlState out;
  out.mutable_feed()->set_token(mode == v1::incremental && sync.mode() == v1::incremental ? stream.token() : "");
  return out;
}

v1::CrawlState begin_fanout(const Catalogue& catalogue, const Endpoint& e, std::int64_t from_ms, std::int64_t to_ms) {
  v1::CrawlState out;
  auto& fanout = *out.mutable_fanout();
  fanout.set_from_ms(from_ms);
  fanout.set_to_ms(to_ms);
  const auto& parent = *catalogue.find(e.parent);
  const auto* source = parents_source(parent);
  // Of the parents every row counts, whenever it changed: a window would lose the children of those that left it.
  if (has_parents_window(catalogue, e)) {
    *fanout.mutable_parents() = begin_all(parent, *source, from_ms, to_ms);
  } else if (source->role == Role::children) {
    *fanout.mutable_parents() = begin_fanout(catalogue, *source, 0, to_ms);
  } else if (source->role == Role::export_feed) {
    fanout.mutable_parents()->mutable_feed();
  } else if (source->shape == Shape::page) {
    auto& snapshot = *fanout.mutable_parents()->mutable_snapshot();
    if (!source->unique_sort.empty()) {
      snapshot.mutable_sorted()->set_unfiltered(true);
      snapshot.mutable_sorted()->set_to_ms(INT64_MAX);
    }
  } else {
    fanout.mutable_parents()->mutable_once();
  }
  fanout.mutable_parents()->set_role(to_string(source->role));
  return out;
}

/// Where an incremental begins. Of a list nothing is read again before there is something new: its watermark would go backwards.
std::int64_t look_back(const Resource& resource, const Endpoint& e, std::int64_t watermark, std::int64_t to) {
  const bool anything = e.period || watermark < to;
  return anything ? std::max<std::int64_t>(1, watermark - ms(resource.look_back)) : watermark;
}

v1::GuardState begin_guard(const PlanInput& in, const Endpoint& e, v1::Mode mode) {
  v1::GuardState out;
  const bool askable = e.role == Role::export_feed || (e.modified_filter && e.page_size > 0);
  out.set_newest_ms(mode == v1::incremental ? in.stream.newest_ms() : 0);
  out.set_now_ms(in.now_ms);
  out.set_check(askable && out.newest_ms() > 0 && in.now_ms - in.stream.checked_ms() > kDay);
  out.set_from_newest(in.lost_cursor == LostCursor::from_watermark);
  return out;
}

Result<Plan> plan_ids(const PlanInput& in) {
  const auto* e = by_id(in.resource);
  Plan out;
  out.mode = v1::ids;
  out.start.mutable_ids();
  out.start.set_role(to_string(e->role));
  out.why = e->ids_filter ? "the list, 50 ids a call" : e->role == Role::children ? "one call a parent's id" : "one call an id";
  return out;
}

Plan plan_report(const PlanInput& in) {
  Plan out;
  out.mode = v1::report;
  out.start.mutable_report()->set_layout(in.stream.report_layout());
  out.start.set_role(to_string(Role::report));
  out.why = "the report, page by page";
  return out;
}

}  // namespace

Result<void> check_mode(const Catalogue& catalogue, const Resource& r, const v1::Sync& sync) {
  const auto mode = sync.mode();
  const auto refuse = [&](std::string_view why) {
    return core::fail(ErrorKind::unsupported, fmt::format("{} cannot be read in mode {}: {}", r.name, name_of(mode), why));
  };
  const auto* source = r.source();
  const bool report = r.endpoint(Role::report) != nullptr;
  if (mode == v1::report) return report ? Result<void>{} : refuse("it is no report");
  if (report && source == nullptr) return refuse("reports have a mode of their own");
  const auto* used = mode == v1::ids ? by_id(r) : source;
  if (used != nullptr && used->shape == Shape::binary && !r.files)
    return refuse("its files are read only where catalogue.overrides says so (files: true)");
  if (mode == v1::ids) return by_id(r) != nullptr ? Result<void>{} : refuse("the vendor gives no row by id");
  if (source == nullptr) return refuse("it needs ids");
  if (mode == v1::window && !has_window(*source) && !has_parents_window(catalogue, *source))
    return refuse("its list has no modified window");
  return {};
}

std::int64_t end_of(const v1::CrawlState& state) {
  switch (state.kind_case()) {
    case v1::CrawlState::kList:
      return state.list().to_ms();
    case v1::CrawlState::kSnapshot:
      return state.snapshot().to_ms();
    case v1::CrawlState::kPeriod:
      return state.period().end_ms();
    case v1::CrawlState::kFanout:
      return state.fanout().to_ms();
    default:
      return 0;
  }
}

v1::CrawlState begin_all(const Resource& resource, const Endpoint& e, std::int64_t from_ms, std::int64_t to_ms) {
  v1::CrawlState out;
  if (e.period) {
    auto& period = *out.mutable_period();
    const auto today = to_ms / kDay * kDay;
    const auto full = today - ms(e.period->back);
    const auto again = from_ms / kDay * kDay - ms(e.period->again);
    period.set_begin_ms(from_ms == 0 ? full : std::max(full, again));
    period.set_end_ms(today + ms(e.period->ahead));
    return out;
  }
  if (e.shape != Shape::page || e.page_size == 0) {
    out.mutable_once();
    return out;
  }
  // Rows without a time of change match no modified window: all of them are found by their creation.
  const bool by_creation = resource.modified_nullable && from_ms == 0 && e.created_filter;
  if (to_ms > 0 && (e.modified_filter || by_creation)) {
    auto& list = *out.mutable_list();
    list.set_from_ms(from_ms);
    list.set_to_ms(to_ms);
    list.set_created(by_creation);
    return out;
  }
  auto& snapshot = *out.mutable_snapshot();
  snapshot.set_to_ms(to_ms);
  if (!e.unique_sort.empty()) {
    snapshot.mutable_sorted()->set_unfiltered(true);
    snapshot.mutable_sorted()->set_to_ms(INT64_MAX);
  }
  return out;
}

Result<Plan> plan(const PlanInput& in) {
  if (auto ok = check_mode(in.catalogue, in.resource, in.sync); !ok) return core::fail(ok.error());
  if (in.sync.mode() == v1::ids) return plan_ids(in);
  if (in.sync.mode() == v1::report) return plan_report(in);
  const auto& e = *in.resource.source();
  const bool feed = e.role == Role::export_feed;
  Plan out;
  out.mode = in.sync.mode();
  out.why = why_source(e);
  if (out.mode == v1::incremental) {
    const bool has_cursor = feed ? !in.stream.token().empty() : in.stream.watermark_ms() > 0;
    // Rows without a time of change that came in late are found by reading everything now and then.
    const bool overdue = !feed && in.resource.modified_nullable && in.now_ms - in.stream.full_ms() > kDay;
    if (!has_cursor || overdue) out.mode = v1::full;
  }
  std::int64_t from = 0, to = in.settled_ms;
  if (out.mode == v1::incremental) from = look_back(in.resource, e, in.stream.watermark_ms(), to);
  if (out.mode == v1::window) {
    from = std::max<std::int64_t>(1, ms(in.sync.from()));  // there is nothing before 1970, and 0 would be without a bound
    to = std::min(ms(in.sync.to()), in.settled_ms);
  }
  if (feed)
    out.start = begin_feed(in.sync, in.stream, out.mode);
  else if (e.role == Role::children)
    out.start = begin_fanout(in.catalogue, e, from, to);
  else
    out.start = begin_all(in.resource, e, from, to);
  if (out.mode == v1::window && out.start.has_period()) {
    out.start.mutable_period()->set_begin_ms(from / kDay * kDay);
    out.start.mutable_period()->set_end_ms(to);
  }
  if (out.mode == v1::incremental && out.start.has_list() && in.resource.modified_nullable && e.created_filter)
    out.start.mutable_list()->set_undated(true);
  out.start.set_role(to_string(e.role));
  if (out.start.has_feed() || out.start.has_list()) *out.start.mutable_guard() = begin_guard(in, e, out.mode);
  return out;
}

std::unique_ptr<Crawl> make_unit(Target target, const v1::CrawlState& state) {
  switch (state.kind_case()) {
    case v1::CrawlState::kList:
      return state.list().undated() ? make_undated_crawl(std::move(target), state.list())
                                    : make_list_crawl(std::move(target), state.list());
    case v1::CrawlState::kSnapshot:
      return make_snapshot_crawl(std::move(target), state.snapshot());
    case v1::CrawlState::kPeriod:
      return make_period_crawl(std::move(target), state.period());
    case v1::CrawlState::kFeed:
      return make_feed_crawl(std::move(target), state.feed(), {});
    default:
      return make_once_crawl(std::move(target), state.once());
  }
}

namespace {

/// Whether an endpoint of the catalogue is still what a journalled state says of it.
bool fits(const Endpoint& e, const v1::CrawlState& state) {
  const auto period_fits = [&e](const v1::PeriodState& period) {
    const auto variants = static_cast<std::int64_t>(e.variants.size());
    return e.period && (e.vary.empty() || (period.variant() >= 0 && period.variant() < variants));
  };
  switch (state.kind_case()) {
    case v1::CrawlState::kPeriod:
      return period_fits(state.period());
    case v1::CrawlState::kFanout:  // and of its child, where that is under way
      return e.role == Role::children && (!state.fanout().has_child() || fits(e, state.fanout().child()));
    case v1::CrawlState::kReport:
      return e.role == Role::report;
    case v1::CrawlState::kIds:
      return !state.ids().has_inner() || fits(e, state.ids().inner());
    default:
      return true;
  }
}

}  // namespace

namespace {

Result<std::unique_ptr<Crawl>> make_of(const Catalogue& catalogue, Target target, const v1::CrawlState& state,
                                       const v1::Sync& sync) {
  switch (state.kind_case()) {
    case v1::CrawlState::kFeed: {
      Bounds bounds;
      if (sync.mode() == v1::window) bounds = {ms(sync.from()), ms(sync.to())};
      return make_feed_crawl(std::move(target), state.feed(), bounds);
    }
    case v1::CrawlState::kIds:
      return make_ids_crawl(std::move(target), state.ids(), {sync.ids().begin(), sync.ids().end()});
    case v1::CrawlState::kReport:
      return make_report_crawl(std::move(target), state.report(), sync.report());
    case v1::CrawlState::kFanout:
      return make_fanout_crawl(catalogue, std::move(target), state.fanout());
    default:
      return make_unit(std::move(target), state);
  }
}

}  // namespace

Result<std::unique_ptr<Crawl>> make_crawl(const Catalogue& catalogue, const Resource& resource, const v1::CrawlState& state,
                                          const v1::Sync& sync) {
  auto role = state.has_feed() ? Role::export_feed : Role::list;
  for (const auto r : kRoles)
    if (state.role() == to_string(r)) role = r;
  const auto* endpoint = resource.endpoint(role);
  if (endpoint == nullptr || !fits(*endpoint, state))
    return core::fail(ErrorKind::unknown_resource,
                      fmt::format("{} has no endpoint '{}' as it had when the job was begun (see: stsync catalog show)",
                                  resource.name, to_string(role)));
  Target target{&resource, endpoint, {}};
  auto crawl = make_of(catalogue, target, state, sync);
  if (!crawl || !state.has_guard()) return crawl;
  return make_cursor_guard(std::move(*crawl), std::move(target), state.guard());
}

}  // namespace stsync::servicetitan
