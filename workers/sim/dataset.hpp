#pragma once
#include <compare>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "sim/rows.hpp"
#include "sim/schema.hpp"

namespace stsync::sim {

/// What may happen to a row.
enum class Happened { changed, vanished, appeared };

/// The rows of one tenant and resource. Nothing is stored but what was changed after the start: a row follows from the seed and
/// its index. Rows have two orders: by id (the index) and by modification (the rank), tied by a permutation. Loop thread only.
class Dataset {
 public:
  using Index = std::uint32_t;

  /// Whose rows these belong to.
  struct Owner {
    const Dataset* parents = nullptr;  ///< outlives this; nullptr: nobody's
    bool one_each = false;             ///< every parent has one row
    bool tied = false;                 ///< rows are read through their parent only: they go with it
  };
  /// Is told of each row to which something has happened, behind it.
  using Watcher = std::function<void(const Dataset&, Index, Happened)>;
  /// `watcher` outlives this; nullptr: nobody looks.
  Dataset(const Resource& resource, std::int64_t tenant, std::uint64_t seed, Index rows, Owner owner,
          const Watcher* watcher = nullptr);

  const Resource& resource() const noexcept { return resource_; }
  std::int64_t tenant() const noexcept { return tenant_; }
  /// Rows that ever were; those at the start are the first base().
  Index size() const noexcept { return base_ + added_; }
  Index base() const noexcept { return base_; }
  /// Moves on with every change of what can be read.
  std::uint64_t generation() const noexcept { return generation_ + (owner_.tied ? owner_.parents->generation() : 0); }

  std::int64_t id_of(Index index) const noexcept;
  std::optional<Index> find(std::int64_t id) const noexcept;
  RowFacts facts(Index index) const;
  /// False once it has vanished: it is in no list then, and in its feed for ever as inactive.
  bool alive(Index index) const noexcept;
  const Owner& owner() const noexcept { return owner_; }
  Index parent_of(Index index) const noexcept;
  /// The living rows of a parent's row, newest first.
  const std::vector<Index>& of_parent(Index parent);

  /// A place in the order of modification; rows after it are those with a larger (modified, id).
  struct Position {
    Ticks modified = 0;
    std::int64_t id = 0;
    auto operator<=>(const Position&) const = default;
  };
  struct Slice {
    std::vector<Index> rows;
    bool more = false;
    Position last;  ///< the last row's, or where it began when there was none
  };
  /// Up to `limit` rows after `from` and not modified after `until`.
  Slice feed(Position from, Ticks until, std::size_t limit) const;

  struct Filter {
    std::optional<Ticks> modified_from, modified_before, created_from, created_before;
    std::optional<bool> active = true;
    std::string sort = "-Id";
    bool operator==(const Filter&) const = default;
  };
  /// The rows of a list in its order. A few are kept, so that paging does not select again.
  std::shared_ptr<const std::vector<Index>> select(const Filter& filter);
  /// Those of `rows` that pass, in the order of the filter.
  std::vector<Index> select(const Filter& filter, std::vector<Index> rows) const;

  /// What may happen to rows. `modified` is their new time of change, one for all; it is moved on behind every change before.
  void change(std::span<const Index> indices, Ticks modified);
  void vanish(Index index, Ticks modified);
  /// A new row.
  Index appear(Ticks modified);
  /// Makes one row larger by `extra` bytes; its modifiedOn stays.
  void enlarge(std::size_t extra);
  /// The row that comes after all others in turn: every one once before any comes again.
  Index next_in_turn() noexcept;
  std::size_t gone() const noexcept { return gone_.size(); }

  /// Rows without a time of change as long as nothing has happened to them: one in eight.
  void let_modified_be_null() noexcept { nullable_ = true; }

 private:
  struct Change {
    std::uint32_t version = 0;
    Ticks modified = 0;
    std::size_t extra = 0;
  };
  struct View {
    std::uint64_t generation;
    Filter filter;
    std::shared_ptr<const std::vector<Index>> rows;
  };

  Index index_at(Index rank) const noexcept;
  Index rank_of(Index index) const noexcept;
  Ticks base_modified(Index rank) const noexcept;
  Position position_at(Index rank) const noexcept;
  void set(Index index, const Change& to);
  /// Never a moment that could have been read already: a feed's token stands behind it then.
  Ticks next_change(Ticks modified) noexcept;
  void change_one(Index index, Ticks modified);
  void tell(Index index, Happened what) const;

  const Resource& resource_;
  std::int64_t tenant_;
  Owner owner_;
  const Watcher* watcher_;
  std::uint64_t seed_;
  Index base_, added_ = 0;
  bool nullable_ = false;
  std::uint64_t factor_ = 1, inverse_ = 1, offset_ = 0;  // index = rank * factor + offset (mod base)
  Ticks step_ = 1;
  std::int64_t first_id_ = 0;
  std::unordered_map<Index, Change> changes_;
  std::map<Position, Index> moved_;  // changed rows in their order
  std::set<Index> gone_;
  std::uint64_t turn_ = 0;
  Ticks last_change_ = 0;
  std::uint64_t generation_ = 0;
  std::list<View> views_;
  std::unordered_map<Index, std::vector<Index>> by_parent_;
  std::optional<std::uint64_t> by_parent_of_;  // the generation that by_parent_ shows
};

}  // namespace stsync::sim
