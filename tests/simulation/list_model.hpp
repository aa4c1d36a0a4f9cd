#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/clock.hpp"

namespace stsync::simulation {

/// A list endpoint of one tenant: rows that are added, changed and taken away. It forgets nothing: one can ask how it was. Pure.
class ListModel {
 public:
  enum class Kind {
    windowed,  ///< can be asked for a window of modification, and for the order of ids
    sorted,    ///< for the order of ids only
    plain,     ///< newest rows first, whatever is asked for
  };
  struct Version {
    core::WallTime since;
    bool there = true;  ///< false: taken away
  };
  struct Change {
    core::WallTime at;
    std::int64_t id = 0;
    bool there = true;
  };
  using Query = std::map<std::string, std::string>;

  /// `of`: what rows say that they are of.
  ListModel(std::string of, Kind kind) : of_(std::move(of)), kind_(kind) {}

  void add(core::WallTime now);
  /// Nothing where it is not there.
  void change(std::int64_t id, core::WallTime now) { set(id, {now, true}); }
  void take_away(std::int64_t id, core::WallTime now) { set(id, {now, false}); }

  /// A page of at most `most` rows.
  std::string page(const Query& query, std::int64_t most) const;

  Kind kind() const noexcept { return kind_; }
  /// Those that ever were.
  const std::map<std::int64_t, std::vector<Version>>& rows() const noexcept { return rows_; }
  std::int64_t last_id() const noexcept { return next_id_ - 1; }
  const std::vector<Change>& changes() const noexcept { return changes_; }
  /// The row as it was sent in its version n, the first being 0.
  std::string row(std::int64_t id, std::size_t n) const;

 private:
  void set(std::int64_t id, Version version);
  std::vector<std::int64_t> found(const Query& query) const;

  const std::string of_;
  const Kind kind_;
  std::map<std::int64_t, std::vector<Version>> rows_;
  std::vector<Change> changes_;
  std::int64_t next_id_ = 1;
};

}  // namespace stsync::simulation
