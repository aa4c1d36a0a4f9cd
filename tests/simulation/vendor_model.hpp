#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/rng.hpp"
#include "http/client.hpp"
#include "simulation/network.hpp"

namespace stsync::simulation {

/// A vendor with export feeds that only grow: each change of a row is a row of its own, `n` counts them. The truth is exact:
/// whoever reads a feed from the beginning gets n = 0, 1, 2 … up to its end.
class VendorModel {
 public:
  VendorModel(core::Clock& clock, core::Rng& rng) : clock_(clock), rng_(rng) {}

  struct Habits {
    double refuses = 0;  ///< 429 with Retry-After
    double fails = 0;    ///< 500, 503
    double breaks = 0;   ///< connections that cannot be made or are reset
    core::Duration slowest = std::chrono::milliseconds(300);
    std::int64_t page = 20;
  };
  Habits habits;

  /// Rows changed or added to a tenant's feed of `resource` ("jpm/jobs").
  void grow(std::int64_t tenant, const std::string& resource, int rows);
  std::int64_t size(std::int64_t tenant, const std::string& resource) const;
  /// The row as it is sent.
  std::string row(std::int64_t tenant, const std::string& resource, std::int64_t n) const;
  /// The newest version of the row with this id; -1: none.
  std::int64_t newest(std::int64_t tenant, const std::string& resource, std::int64_t id) const;
  static std::int64_t id_of(std::int64_t n) { return 100 + n % kIds; }

  core::Result<http::Response> answer(const http::Request& request);
  /// A worker's way to it, on the worker's own clock.
  std::unique_ptr<http::Client> client(core::Clock& own, std::shared_ptr<Link> link);

  int calls = 0;

 private:
  class Client;
  class Line;
  static constexpr std::int64_t kIds = 70;
  using Feed = std::vector<core::WallTime>;  ///< when each n was changed

  http::Response feed_page(std::int64_t tenant, const std::string& resource, const Feed& feed, const std::string& from) const;
  http::Response rows_by_id(std::int64_t tenant, const std::string& resource, const std::string& ids) const;
  core::Duration some(core::Duration most);

  core::Clock& clock_;
  core::Rng& rng_;
  std::map<std::pair<std::int64_t, std::string>, Feed> feeds_;
};

}  // namespace stsync::simulation
