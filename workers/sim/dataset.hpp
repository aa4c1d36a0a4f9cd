#pragma once
#include <compare>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "sim/resources.hpp"
#include "sim/rows.hpp"

namespace stsync::sim {

/// Sum modulo 2^128.
struct Sum128 {
  std::uint64_t high = 0, low = 0;
  Sum128& operator+=(const Sum128& o) noexcept;
  Sum128& operator-=(const Sum128& o) noexcept;
  std::string hex() const;
};

/// The first 16 bytes (big endian) of SHA-256(key, NUL, bytes).
Sum128 record_hash(std::string_view key, std::string_view bytes);

/// The rows of one tenant and resource. Nothing is stored but what was changed after the start: a row follows from the seed and
/// its index. Rows have two orders: by id (the index) and by modification (the rank), tied by a permutation. Loop thread only.
class Dataset {
 public:
  using Index = std::uint32_t;
  Dataset(const Resource& resource, std::int64_t tenant, std::uint64_t seed, Index rows, std::size_t record_bytes);

  const Resource& resource() const noexcept { return resource_; }
  std::int64_t tenant() const noexcept { return tenant_; }
  Index size() const noexcept { return rows_; }
  /// Moves on with every change of a row.
  std::uint64_t generation() const noexcept { return generation_; }

  std::int64_t id_of(Index index) const noexcept;
  std::optional<Index> find(std::int64_t id) const noexcept;
  RowFacts facts(Index index) const;
  void append(std::string& out, Index index) const { writer_.append(out, facts(index)); }

  /// A place in the order of modification; rows after it are those with a larger (modified, id).
  struct Position {
    Ticks modified = 0;
    std::int64_t id = 0;
    auto operator<=>(const Position&) const = default;
  };
  struct Slice {
    std::size_t rows = 0;
    bool more = false;
    Position last;  ///< the last row's, or where it began when there was none
  };
  /// Appends up to `limit` rows after `from` and not modified after `until`, separated by commas.
  Slice append_export(std::string& out, Position from, Ticks until, std::size_t limit) const;

  struct Filter {
    std::optional<Ticks> modified_from, modified_before, created_from, created_before;
    std::optional<bool> active = true;
    std::string sort = "-Id";
    bool operator==(const Filter&) const = default;
  };
  /// The rows of a list in its order. A few are kept, so that paging does not select again.
  std::shared_ptr<const std::vector<Index>> select(const Filter& filter);

  /// Changes `count` rows (others than last time, as far as there are any): new content, modifiedOn = `modified` and up, but
  /// always after every change before.
  void touch(std::size_t count, Ticks modified);
  /// Makes one row larger by `extra` bytes; its modifiedOn stays.
  void enlarge(std::size_t extra);

  /// Adds the next rows to the truth; true when all are in.
  bool advance_truth(std::size_t rows);
  Sum128 truth();

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
  void change(Index index, const Change& to);
  Sum128 hash_of(Index index) const;

  const Resource& resource_;
  std::int64_t tenant_;
  std::uint64_t seed_;
  Index rows_;
  RowWriter writer_;
  std::uint64_t factor_ = 1, inverse_ = 1, offset_ = 0;  // index = rank * factor + offset (mod rows)
  Ticks step_ = 1;
  std::int64_t first_id_ = 0;
  std::unordered_map<Index, Change> changes_;
  std::map<Position, Index> moved_;  // changed rows in their order
  std::uint64_t touched_ = 0;
  Ticks last_touch_ = 0;
  std::uint64_t generation_ = 0;
  std::list<View> views_;
  Index truth_done_ = 0;
  Sum128 truth_;
};

}  // namespace stsync::sim
