#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sim/row_plan.hpp"
#include "sim/values.hpp"

namespace stsync::sim {

/// What decides every byte of a row.
struct RowFacts {
  std::uint64_t seed = 0;  ///< of this version of this row
  std::uint32_t index = 0;
  std::int64_t id = 0;
  std::int64_t parent = 0;  ///< id of the row it belongs to
  bool active = true;
  Ticks created = 0, modified = 0;
  bool ever_modified = true;  ///< false: modifiedOn is null where it may be
  std::size_t extra = 0;      ///< bytes on top of the usual size
};

/// Finds rows of other resources, so that a job's customer exists.
class Related {
 public:
  virtual ~Related() = default;
  /// One of a resource's ids, chosen by `draw`; 0 where it has no rows.
  virtual std::int64_t any_id(const Resource& resource, std::uint64_t draw) const = 0;
  /// The id of a resource's row of this number, as far as it has one.
  virtual std::int64_t id_at(const Resource& resource, std::uint32_t index) const = 0;
};

/// Writes the rows of one endpoint as compact JSON. What a row says under a name is the same whichever endpoint is asked.
/// Immutable, any thread.
class RowWriter {
 public:
  /// Rows come out at about `bytes` each (a fifth up or down), but not below what their fields need, and only where there is a
  /// text to fill.
  RowWriter(const Endpoint& endpoint, std::size_t bytes);
  void append(std::string& out, const RowFacts& row, const Related& related) const;

 private:
  struct Context;
  void append_piece(std::string& out, const Piece& piece, Draw& draw, const Context& context) const;
  void append_one(std::string& out, const Piece& piece, Draw& draw, const Context& context, int arrays) const;
  bool append_fact(std::string& out, const Piece& piece, Draw& draw, const Context& context) const;

  std::vector<Piece> pieces_;
  bool object_ = true;
  std::size_t filler_ = 0;  // bytes
};

/// Whether rows of an endpoint may have no time of change.
bool modified_nullable(const Endpoint& endpoint);

}  // namespace stsync::sim
