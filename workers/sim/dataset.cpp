#include "sim/dataset.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include <fmt/format.h>
#include <openssl/evp.h>

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

std::uint64_t name_seed(std::string_view name) {
  std::uint64_t h = 0;
  for (const char c : name) h = mix(h, static_cast<unsigned char>(c));
  return h;
}

Ticks round_up(Ticks t, Ticks unit) { return (t + unit - 1) / unit * unit; }

}  // namespace

Sum128& Sum128::operator+=(const Sum128& o) noexcept {
  low += o.low;
  high += o.high + (low < o.low ? 1 : 0);
  return *this;
}

Sum128& Sum128::operator-=(const Sum128& o) noexcept {
  high -= o.high + (low < o.low ? 1 : 0);
  low -= o.low;
  return *this;
}

std::string Sum128::hex() const { return fmt::format("{:016x}{:016x}", high, low); }

Sum128 record_hash(std::string_view key, std::string_view bytes) {
  thread_local const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  EVP_DigestInit_ex(context.get(), sha256, nullptr);
  EVP_DigestUpdate(context.get(), key.data(), key.size());
  EVP_DigestUpdate(context.get(), "", 1);  // the NUL
  EVP_DigestUpdate(context.get(), bytes.data(), bytes.size());
  EVP_DigestFinal_ex(context.get(), digest.data(), nullptr);
  Sum128 out;
  for (std::size_t i = 0; i < 8; ++i) out.high = out.high << 8 | digest[i];
  for (std::size_t i = 8; i < 16; ++i) out.low = out.low << 8 | digest[i];
  return out;
}

Dataset::Dataset(const Resource& resource, std::int64_t tenant, std::uint64_t seed, Index rows, std::size_t record_bytes)
    : resource_(resource),
      tenant_(tenant),
      seed_(mix(mix(seed, static_cast<std::uint64_t>(tenant)), name_seed(resource.name))),
      rows_(rows),
      writer_(resource, record_bytes) {
  // Beyond 2^53 for one resource: whoever reads ids as doubles shall fail.
  first_id_ = resource.name == "jpm.jobs" ? (std::int64_t{1} << 53) + 1
                                          : static_cast<std::int64_t>(1'000'000 + name_seed(resource.name) % 90'000'000'000);
  if (rows_ == 0) return;
  step_ = (kEnd - kBegin) / rows_;
  offset_ = mix(seed_, 1) % rows_;
  factor_ = mix(seed_, 2) % rows_;
  while (std::gcd(factor_, std::uint64_t{rows_}) != 1) ++factor_;
  inverse_ = inverse_of(factor_, rows_);
}

std::int64_t Dataset::id_of(Index index) const noexcept {
  return first_id_ + kIdStride * index + static_cast<std::int64_t>(mix(seed_ ^ 3, index) % kIdStride);
}

std::optional<Dataset::Index> Dataset::find(std::int64_t id) const noexcept {
  if (id < first_id_ || (id - first_id_) / kIdStride >= rows_) return std::nullopt;
  const auto index = static_cast<Index>((id - first_id_) / kIdStride);
  return id_of(index) == id ? std::optional(index) : std::nullopt;
}

Dataset::Index Dataset::index_at(Index rank) const noexcept { return static_cast<Index>((rank * factor_ + offset_) % rows_); }

Dataset::Index Dataset::rank_of(Index index) const noexcept {
  return static_cast<Index>((index + rows_ - offset_) % rows_ * inverse_ % rows_);
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

RowFacts Dataset::facts(Index index) const {
  const auto changed = changes_.find(index);
  const auto version = changed == changes_.end() ? 0 : changed->second.version;
  const auto base = base_modified(rank_of(index));
  RowFacts out;
  out.seed = mix(mix(seed_, index), version);
  out.id = id_of(index);
  out.active = mix(seed_ ^ 5, index) % 20 != 0;
  out.created = base - static_cast<Ticks>(mix(seed_ ^ 6, index) % static_cast<std::uint64_t>(400 * kTicksPerDay));
  out.modified = changed == changes_.end() ? base : changed->second.modified;
  out.extra = changed == changes_.end() ? 0 : changed->second.extra;
  return out;
}

Dataset::Slice Dataset::append_export(std::string& out, Position from, Ticks until, std::size_t limit) const {
  Slice slice{.last = from};
  Index rank = 0;
  for (Index count = rows_; count > 0;) {  // the first rank after `from`
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
    while (rank < rows_ && !changes_.empty() && changes_.contains(index_at(rank))) ++rank;
    const bool have_base = rank < rows_;
    const bool have_moved = moved != moved_.end();
    if (!have_base && !have_moved) return slice;
    const auto base = have_base ? position_at(rank) : Position{};
    const bool take_moved = have_moved && (!have_base || moved->first < base);
    const auto next = take_moved ? moved->first : base;
    if (next.modified > until) return slice;
    if (slice.rows == limit) {
      slice.more = true;
      return slice;
    }
    if (slice.rows++ > 0) out += ',';
    append(out, take_moved ? moved->second : index_at(rank));
    slice.last = next;
    take_moved ? void(++moved) : void(++rank);
  }
}

std::shared_ptr<const std::vector<Dataset::Index>> Dataset::select(const Filter& filter) {
  std::erase_if(views_, [&](const View& v) { return v.generation != generation_; });
  for (const auto& view : views_)
    if (view.filter == filter) return view.rows;
  struct Row {
    Ticks key;
    Index index;
  };
  const auto field = std::string_view(filter.sort).substr(1);
  std::vector<Row> rows;
  for (Index i = 0; i < rows_; ++i) {
    const auto row = facts(i);
    if (filter.active && row.active != *filter.active) continue;
    if (filter.modified_from && row.modified < *filter.modified_from) continue;
    if (filter.modified_before && row.modified >= *filter.modified_before) continue;
    if (filter.created_from && row.created < *filter.created_from) continue;
    if (filter.created_before && row.created >= *filter.created_before) continue;
    rows.push_back({field == "ModifiedOn" ? row.modified : field == "CreatedOn" ? row.created : Ticks{i}, i});
  }
  std::sort(rows.begin(), rows.end(),
            [](const Row& a, const Row& b) { return std::tie(a.key, a.index) < std::tie(b.key, b.index); });
  if (filter.sort.front() == '-') std::reverse(rows.begin(), rows.end());
  auto chosen = std::make_shared<std::vector<Index>>();
  chosen->reserve(rows.size());
  for (const auto& row : rows) chosen->push_back(row.index);
  views_.push_back({generation_, filter, chosen});
  if (views_.size() > kMaxViews) views_.pop_front();
  return chosen;
}

void Dataset::change(Index index, const Change& to) {
  const bool counted = index < truth_done_;
  if (counted) truth_ -= hash_of(index);
  moved_.erase({facts(index).modified, id_of(index)});
  changes_[index] = to;
  moved_.emplace(Position{to.modified, id_of(index)}, index);
  if (counted) truth_ += hash_of(index);
  ++generation_;
}

void Dataset::touch(std::size_t count, Ticks modified) {
  for (std::size_t i = 0; i < count && rows_ > 0; ++i) {
    const auto index = index_at(static_cast<Index>((touched_++ * 31 + 7) % rows_));
    const auto before = changes_.find(index);
    Change to = before == changes_.end() ? Change{} : before->second;
    ++to.version;
    last_touch_ = std::max(modified, last_touch_ + 1);
    to.modified = last_touch_;
    change(index, to);
  }
}

void Dataset::enlarge(std::size_t extra) {
  if (rows_ == 0) return;
  const auto index = index_at(0);
  Change to{.version = 0, .modified = facts(index).modified, .extra = extra};
  if (const auto before = changes_.find(index); before != changes_.end()) to.version = before->second.version;
  change(index, to);
}

Sum128 Dataset::hash_of(Index index) const {
  std::string key = std::to_string(tenant_) + ":";
  append_number(key, id_of(index));
  std::string bytes;
  append(bytes, index);
  return record_hash(key, bytes);
}

bool Dataset::advance_truth(std::size_t rows) {
  for (; rows > 0 && truth_done_ < rows_; --rows) truth_ += hash_of(truth_done_++);
  return truth_done_ == rows_;
}

Sum128 Dataset::truth() {
  advance_truth(rows_);
  return truth_;
}

}  // namespace stsync::sim
