#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/dataset.hpp"
#include "sim/rows.hpp"
#include "sim/schema.hpp"

namespace stsync::sim {

using Parameters = std::vector<std::pair<std::string, std::string>>;

/// nullptr when there is none of this name.
const std::string* find_parameter(const Parameters& parameters, std::string_view name) noexcept;

/// Sum modulo 2^128.
struct Sum128 {
  std::uint64_t high = 0, low = 0;
  Sum128& operator+=(const Sum128& o) noexcept;
  std::string hex() const;
};

/// The first 16 bytes (big endian) of SHA-256(key, NUL, bytes).
Sum128 record_hash(std::string_view key, std::string_view bytes);

/// The key that a reader gives a record, as the catalogue writes it; `row` counts those of the list from 0.
std::string record_key(std::string_view spec, std::string_view bytes, const Parameters& parameters, std::size_t row);

/// The writers of all endpoints, made when they are needed. Loop thread only.
class Writers {
 public:
  explicit Writers(std::size_t record_bytes) : record_bytes_(record_bytes) {}
  const RowWriter& of(const Endpoint& endpoint);

 private:
  std::size_t record_bytes_;
  std::map<const Endpoint*, RowWriter> writers_;
};

/// Everything that one tenant has. Datasets are made when they are needed. Loop thread only.
class Store final : public Related {
 public:
  /// `watcher` as of a Dataset.
  Store(std::int64_t tenant, std::uint64_t seed, Dataset::Index rows, Writers& writers, const Dataset::Watcher* watcher = nullptr);

  std::int64_t tenant() const noexcept { return tenant_; }
  Dataset& of(const Resource& resource) const;
  /// Those that were needed so far.
  std::vector<Dataset*> made() const;

  void append(std::string& out, const Endpoint& endpoint, Dataset::Index index) const;
  std::string row(const Endpoint& endpoint, Dataset::Index index) const;

  /// What stands for a parameter of a parent's children, from the parent's row or its own parents'.
  std::string bound(const Endpoint& endpoint, const std::string& parameter, Dataset::Index parent) const;
  /// All of them.
  Parameters bound(const Endpoint& endpoint, Dataset::Index parent) const;
  /// The parent's row that is meant by parameters; nothing when there is none, or none any more.
  std::optional<Dataset::Index> parent_by(const Endpoint& endpoint, const Parameters& parameters) const;

  /// The key and the bytes of every record that a reader can get from the resource's source now.
  using Record = std::function<void(std::string key, const std::string& bytes)>;
  void each_record(const Resource& resource, const Record& record) const;

  std::int64_t any_id(const Resource& resource, std::uint64_t draw) const override;
  std::int64_t id_at(const Resource& resource, std::uint32_t index) const override;

 private:
  struct Found {
    std::uint64_t generation = 0;
    std::map<std::string, Dataset::Index> rows;
  };
  std::unique_ptr<Dataset> make(const Resource& resource) const;
  const Endpoint& row_endpoint(const Resource& resource) const;
  std::optional<Dataset::Index> find_by_fields(const Endpoint& endpoint, const Parameters& wanted) const;

  std::int64_t tenant_;
  std::uint64_t seed_;
  Dataset::Index rows_;
  Writers* writers_;
  const Dataset::Watcher* watcher_;
  mutable std::vector<std::unique_ptr<Dataset>> datasets_;  // by the resource's index
  mutable std::map<const Endpoint*, Found> found_;          // parents' rows by the fields that name them
};

/// Whether the endpoint answers for a stretch of time: what it says follows from that, not from rows.
bool answers_for_period(const Endpoint& endpoint) noexcept;

/// How the id of an endpoint's rows is written.
Scalar id_form(const Endpoint& endpoint) noexcept;

}  // namespace stsync::sim
