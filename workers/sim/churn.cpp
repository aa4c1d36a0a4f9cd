#include "sim/churn.hpp"

#include <algorithm>
#include <array>

namespace stsync::sim {
namespace {

using Index = Dataset::Index;

/// A living row by chance; nothing when a few tries meet none.
std::optional<Index> living(const Dataset& dataset, Draw& draw) {
  constexpr int kTries = 20;
  for (int i = 0; i < kTries && dataset.size() > 0; ++i) {
    const auto index = static_cast<Index>(draw.below(dataset.size()));
    if (dataset.alive(index)) return index;
  }
  return std::nullopt;
}

void change_some(Dataset& dataset, Draw& draw, Ticks now, Churned& out) {
  std::vector<Index> rows;
  for (auto n = 1 + draw.below(3); n > 0; --n)
    if (const auto row = living(dataset, draw); row && std::find(rows.begin(), rows.end(), *row) == rows.end())
      rows.push_back(*row);
  dataset.change(rows, now);
  out.changed += rows.size();
}

/// Every new row has what every row of its kind has.
void appear(const Store& store, Dataset& dataset, Ticks now) {
  dataset.appear(now);
  for (auto* other : store.made())
    if (other->owner().parents == &dataset && other->owner().one_each) appear(store, *other, now);
}

}  // namespace

Churned churn(Store& store, Dataset& dataset, std::size_t count, std::uint64_t seed, Ticks now, bool only_changes) {
  Churned out;
  Draw draw(seed);
  const bool single = only_changes || dataset.owner().one_each || dataset.base() <= 1;
  for (std::size_t i = 0; i < count; ++i) {
    const auto what = draw.below(10);
    if (single || what < 6) {
      change_some(dataset, draw, now, out);
    } else if (what < 8) {
      appear(store, dataset, now);
      ++out.appeared;
    } else if (const auto row = living(dataset, draw)) {
      dataset.vanish(*row, now);
      ++out.vanished;
    }
  }
  return out;
}

}  // namespace stsync::sim
