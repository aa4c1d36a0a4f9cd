#include "sim/dataset.hpp"

#include <algorithm>
#include <numeric>

#include "core/error.hpp"

namespace stsync::sim {
namespace {

// Every row was last modified within these years, so the same seed gives the same rows in every run.
constexpr Ticks kBegin = 1'640'995'200 * kTicksPerSecond;  // 2022-01-01
constexpr Ticks kEnd = 1'766'000'000 * kTicksPerSecond;    // 2025-12-17
constexpr std::int64_t kIdStride = 7;
constexpr std::size_t kMaxViews = 8;

std::uint64_t inverse_of(std::uint64_t a, std::uint64_t modulus) {
  std::int64_t t = 0, next_t = 1;
  auto r = static_cast<std::int64_t>(modulus), next_r = static_cast<std::int64_t>(a % modulus);
  while (next_r != 0) {
    const auto q = r / next_r;
    t = std::exchange(next_t, t - q * next_t);
    r = std::exchange(next_r, r - q * next_r);
  }
  return static_cast<std::uint64_t>(t < 0 ? t + static_cast<std::int64_t>(modulus) : t);
}

Ticks round_up(Ticks t, Ticks unit) { return (t + unit - 1) / unit * unit; }

bool passes(const RowFacts& row, const Dataset::Filter& f) {
  const bool by_change = f.modified_from.has_value() || f.modified_before.has_value();
  if (f.active && row.active != *f.active) return false;
  if (by_change && !row.ever_modified) return false;
  if (row.modified < f.modified_from.value_or(INT64_MIN) || row.modified >= f.modified_before.value_or(INT64_MAX)) return false;
  return row.created >= f.created_from.value_or(INT64_MIN) && row.created < f.created_before.value_or(INT64_MAX);
}

}  // namespace

Dataset::Dataset(const Resource& resource, std::int64_t tenant, std::uint64_t seed, Index rows, Owner owner, const Watcher* watcher)
    : resource_(resource),
      tenant_(tenant),
      owner_(owner),
      watcher_(watcher),
      seed_(mix(mix(seed, static_cast<std::uint64_t>(tenant)), mix(0, resource.name))),
      base_(rows) {
  // Beyond 2^53 for one resource: whoever reads ids as doubles shall fail.
  first_id_ = resource.name == "jpm.jobs" ? (std::int64_t{1} << 53) + 1
                                          : static_cast<std::int64_t>(1'000'000 + mix(0, resource.name) % 90'000'000'000);
  if (base_ == 0) return;
  step_ = (kEnd - kBegin) / base_;
  offset_ = mix(seed_, 1) % base_;
  factor_ = mix(seed_, 2) % base_;
  while (std::gcd(factor_, std::uint64_t{base_}) != 1) ++factor_;
  inverse_ = inverse_of(factor_, base_);
}

std::int64_t Dataset::id_of(Index index) const noexcept {
  return first_id_ + kIdStride * index + static_cast<std::int64_t>(mix(seed_ ^ 3, index) % kIdStride);
}

std::optional<Dataset::Index> Dataset::find(std::int64_t id) const noexcept {
  if (id < first_id_ || (id - first_id_) / kIdStride >= size()) return std::nullopt;
  const auto index = static_cast<Index>((id - first_id_) / kIdStride);
  return id_of(index) == id ? std::optional(index) : std::nullopt;
}

Dataset::Index Dataset::index_at(Index rank) const noexcept { return static_cast<Index>((rank * factor_ + offset_) % base_); }

Dataset::Index Dataset::rank_of(Index index) const noexcept {
  return static_cast<Index>((index + base_ - offset_) % base_ * inverse_ % base_);
}

Ticks Dataset::base_modified(Index rank) const noexcept {
  const auto h = mix(seed_ ^ 4, rank);
  const auto exact = kBegin + rank * step_ + static_cast<Ticks>(h % static_cast<std::uint64_t>(step_ / 2 + 1));
  // Rounding up stays below the next rank's beginning, so the order by time is the order by rank.
  if (step_ >= 4 * kTicksPerSecond && h >> 60 < 4) return round_up(exact, kTicksPerSecond);
  if (step_ >= 4 * kTicksPerMs && h >> 60 < 8) return round_up(exact, kTicksPerMs);
  return exact;
}

Dataset::Position Dataset::position_at(Index rank) const noexcept { return {base_modified(rank), id_of(index_at(rank))}; }

bool Dataset::alive(Index index) const noexcept {
  if (gone_.contains(index)) return false;
  return !owner_.tied || (owner_.parents->size() > 0 && owner_.parents->alive(parent_of(index)));
}

Dataset::Index Dataset::parent_of(Index index) const noexcept {
  const auto parents = owner_.parents == nullptr ? 0 : owner_.parents->base();
  if (owner_.one_each || parents == 0) return index;
  return static_cast<Index>(mix(seed_ ^ 7, index) % parents);
}

const std::vector<Dataset::Index>& Dataset::of_parent(Index parent) {
  if (by_parent_of_ != generation()) {
    by_parent_.clear();
    for (Index i = size(); i-- > 0;)
      if (alive(i)) by_parent_[parent_of(i)].push_back(i);
    by_parent_of_ = generation();
  }
  return by_parent_[parent];
}

RowFacts Dataset::facts(Index index) const {
  core::check(index < size(), "a row that never was");
  const auto changed = changes_.find(index);
  const auto base = index < base_ ? base_modified(rank_of(index)) : changed->second.modified;
  RowFacts out;
  out.seed = mix(mix(seed_, index), changed == changes_.end() ? 0 : changed->second.version);
  out.index = index;
  out.id = id_of(index);
  if (owner_.parents != nullptr) out.parent = owner_.parents->id_of(parent_of(index));
  out.active = !gone_.contains(index) && mix(seed_ ^ 5, index) % 20 != 0;
  const auto age = static_cast<Ticks>(mix(seed_ ^ 6, index) % static_cast<std::uint64_t>(400 * kTicksPerDay));
  out.created = index < base_ ? base - age : base;
  out.modified = base;
  if (changed != changes_.end()) {
    out.modified = changed->second.modified;
    out.extra = changed->second.extra;
  }
  out.ever_modified = !nullable_ || mix(seed_ ^ 8, index) % 8 != 0 || (changed != changes_.end() && changed->second.version > 0);
  return out;
}

Dataset::Slice Dataset::feed(Position from, Ticks until, std::size_t limit) const {
  Slice slice{.rows = {}, .last = from};
  Index rank = 0;
  for (Index count = base_; count > 0;) {  // the first rank after `from`
    const auto half = count / 2;
    if (position_at(rank + half) <= from) {
      rank += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  auto moved = moved_.upper_bound(from);
  while (true) {
    while (rank < base_ && !changes_.empty() && changes_.contains(index_at(rank))) ++rank;
    const bool have_base = rank < base_;
    const bool have_moved = moved != moved_.end();
    if (!have_base && !have_moved) return slice;
    const auto base = have_base ? position_at(rank) : Position{};
    const bool take_moved = have_moved && (!have_base || moved->first < base);
    const auto next = take_moved ? moved->first : base;
    if (next.modified > until) return slice;
    if (slice.rows.size() == limit) {
      slice.more = true;
      return slice;
    }
    slice.rows.push_back(take_moved ? moved->second : index_at(rank));
    slice.last = next;
    take_moved ? void(++moved) : void(++rank);
  }
}

std::vector<Dataset::Index> Dataset::select(const Filter& filter, std::vector<Index> rows) const {
  struct Row {
    Ticks key;
    Index index;
  };
  const auto field = std::string_view(filter.sort).substr(1);
  std::vector<Row> chosen;
  for (const auto i : rows) {
    const auto row = facts(i);
    if (!passes(row, filter)) continue;
    chosen.push_back({field == "ModifiedOn" ? row.modified : field == "CreatedOn" ? row.created : Ticks{i}, i});
  }
  std::sort(chosen.begin(), chosen.end(),
            [](const Row& a, const Row& b) { return std::tie(a.key, a.index) < std::tie(b.key, b.index); });
  if (filter.sort.front() == '-') std::reverse(chosen.begin(), chosen.end());
  rows.resize(chosen.size());
  std::transform(chosen.begin(), chosen.end(), rows.begin(), [](const Row& r) { return r.index; });
  return rows;
}

std::shared_ptr<const std::vector<Dataset::Index>> Dataset::select(const Filter& filter) {
  std::erase_if(views_, [&](const View& v) { return v.generation != generation(); });
  for (const auto& view : views_)
    if (view.filter == filter) return view.rows;
  std::vector<Index> living;
  for (Index i = 0; i < size(); ++i)
    if (alive(i)) living.push_back(i);
  auto chosen = std::make_shared<const std::vector<Index>>(select(filter, std::move(living)));
  views_.push_back({generation(), filter, chosen});
  if (views_.size() > kMaxViews) views_.pop_front();
  return chosen;
}

void Dataset::set(Index index, const Change& to) {
  if (const auto before = changes_.find(index); before != changes_.end()) moved_.erase({before->second.modified, id_of(index)});
  changes_[index] = to;
  moved_.emplace(Position{to.modified, id_of(index)}, index);
  ++generation_;
}

void Dataset::change_one(Index index, Ticks modified) {
  core::check(index < size(), "a change of a row that is not there");
  auto to = changes_.contains(index) ? changes_[index] : Change{};
  ++to.version;
  to.modified = modified;
  set(index, to);
}

void Dataset::tell(Index index, Happened what) const {
  if (watcher_ != nullptr && *watcher_) (*watcher_)(*this, index, what);
}

Ticks Dataset::next_change(Ticks modified) noexcept { return last_change_ = std::max(modified, last_change_ + 1); }

void Dataset::change(std::span<const Index> indices, Ticks modified) {
  const auto when = next_change(modified);
  for (const auto index : indices) change_one(index, when);
  for (const auto index : indices) tell(index, Happened::changed);
}

void Dataset::vanish(Index index, Ticks modified) {
  gone_.insert(index);
  change_one(index, next_change(modified));
  tell(index, Happened::vanished);
}

Dataset::Index Dataset::appear(Ticks modified) {
  const auto index = size();
  ++added_;
  set(index, {.version = 0, .modified = next_change(modified), .extra = 0});
  tell(index, Happened::appeared);
  return index;
}

void Dataset::enlarge(std::size_t extra) {
  if (base_ == 0) return;
  const auto index = index_at(0);
  Change to{.version = 0, .modified = facts(index).modified, .extra = extra};
  if (const auto before = changes_.find(index); before != changes_.end()) to.version = before->second.version;
  set(index, to);
}

Dataset::Index Dataset::next_in_turn() noexcept {
  return base_ == 0 ? 0 : index_at(static_cast<Index>((turn_++ * 31 + 7) % base_));
}

}  // namespace stsync::sim
