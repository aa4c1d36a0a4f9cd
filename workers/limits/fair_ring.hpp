#pragma once
#include <array>
#include <cstddef>
#include <list>
#include <map>

namespace stsync::limits {

/// Work by how soon somebody wants it.
enum class WorkClass { interactive, incremental, backfill };
inline constexpr std::size_t kWorkClasses = 3;

template <class T>
using ByClass = std::array<T, kWorkClasses>;

inline std::size_t index_of(WorkClass c) noexcept { return static_cast<std::size_t>(c); }

/// Which class goes next, of those that have work. Each has a least share (5, 3 and 2 of ten); what one does not use the others
/// get. None is served before the others for good. Pure.
class ClassShares {
 public:
  /// At least one of them has work.
  WorkClass next(const ByClass<bool>& has_work) {
    for (;;) {
      for (std::size_t c = 0; c < kWorkClasses; ++c) {
        if (!has_work[c]) left_[c] = 0;
        if (left_[c] > 0) return static_cast<WorkClass>(c);
      }
      for (std::size_t c = 0; c < kWorkClasses; ++c) left_[c] = has_work[c] ? kOfTen[c] : 0;
    }
  }
  void served(WorkClass c) { --left_[index_of(c)]; }

 private:
  static constexpr ByClass<int> kOfTen{5, 3, 2};
  ByClass<int> left_{};
};

/// Whose turn it is among flows (tenants) that share something: deficit round robin, a flow of weight 2 gets twice as much. Cost
/// may be told after the turn: who had more than its share is passed over until that is made up for. A flow that had no work for
/// a round goes before those that always have; one that comes and goes keeps its place in the round. Pure.
template <class Flow>
class FairRing {
 public:
  /// It has work. `weight`: 1 or more.
  void add(Flow* flow, int weight) {
    auto [at, is_new] = places_.try_emplace(flow);
    if (is_new) at->second = new_.insert(new_.end(), {flow, static_cast<double>(weight), static_cast<double>(weight)});
    present_ += at->second->present ? 0 : 1;
    at->second->present = true;
  }
  /// It has none.
  void remove(Flow* flow) {
    const auto at = places_.find(flow);
    if (at == places_.end() || !at->second->present) return;
    at->second->present = false;
    --present_;
  }
  bool empty() const noexcept { return present_ == 0; }
  /// Not empty. The same flow until charge() says that it has used its turn up.
  Flow* next() {
    for (;;) {
      auto& from = new_.empty() ? round_ : new_;
      auto& first = from.front();
      if (first.present && first.credit > 0) return first.flow;
      if (!first.present && &from == &round_) {
        places_.erase(first.flow);
        round_.pop_front();
        continue;
      }
      if (first.credit <= 0) first.credit += first.weight;
      round_.splice(round_.end(), from, from.begin());
    }
  }
  /// The flow's work cost so much; 1 is what a weight of 1 may do in a turn.
  void charge(Flow* flow, double cost) {
    if (const auto at = places_.find(flow); at != places_.end()) at->second->credit -= cost;
  }

 private:
  struct Place {
    Flow* flow;
    double weight, credit;
    bool present = false;
  };
  std::list<Place> new_, round_;
  std::map<Flow*, typename std::list<Place>::iterator> places_;
  std::size_t present_ = 0;
};

}  // namespace stsync::limits
