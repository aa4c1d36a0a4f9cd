#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/rng.hpp"
#include "http/client.hpp"
#include "simulation/list_model.hpp"
#include "simulation/network.hpp"

namespace stsync::simulation {

/// A vendor with lists, and with export feeds that only grow: each change of a row is a row of its own, `n` counts them. The truth
/// is exact: whoever reads a feed from the beginning gets n = 0, 1, 2 … up to its end.
class VendorModel {
 public:
  VendorModel(core::Clock& clock, core::Rng& rng) : clock_(clock), rng_(rng) {}

  /// "/jpm/v2/tenant/1001/export/jobs?from=x" is a page of the feed "jpm/jobs" of 1001, and x its token.
  struct Called {
    std::int64_t tenant = 0;
    std::string resource;
    bool feed = false;
    std::map<std::string, std::string> query;
    static Called of(const std::string& target);
  };
  struct Habits {
    double refuses = 0;    ///< 429 with Retry-After
    double fails = 0;      ///< 500, 503
    double breaks = 0;     ///< connections that cannot be made or are reset
    double locks_out = 0;  ///< clients that ask for a token
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
  /// When it was changed.
  core::WallTime changed(std::int64_t tenant, const std::string& resource, std::int64_t n) const;

  ListModel& make_list(std::int64_t tenant, const std::string& resource, ListModel::Kind kind);
  /// Null: it is a feed.
  const ListModel* list(std::int64_t tenant, const std::string& resource) const;
  /// By tenant and resource.
  const std::map<std::pair<std::int64_t, std::string>, ListModel>& lists() const noexcept { return lists_; }
  /// Some row of some list is added, changed or taken away.
  void change_lists();
  /// The tokens given so far are good for nothing any more.
  void revoke_tokens() { first_good_token_ = tokens_ + 1; }

  core::Result<http::Response> answer(const http::Request& request);
  /// A worker's way to it, on the worker's own clock.
  std::unique_ptr<http::Client> client(core::Clock& own, std::shared_ptr<Link> link);

  int calls = 0;
  /// Pages of feeds that came to who had asked for them, and whose tenant it was then.
  struct Delivered {
    std::int64_t tenant = 0;
    std::string resource;
    std::string from;
    core::WallTime asked;
  };
  std::vector<Delivered> delivered;
  /// A worker calls for a tenant. Whether he is its.
  std::function<bool(const Link&, std::int64_t tenant)> on_call = [](const Link&, std::int64_t) { return true; };

 private:
  class Client;
  class Line;
  static constexpr std::int64_t kIds = 70;
  using Feed = std::vector<core::WallTime>;  ///< when each n was changed

  http::Response feed_page(std::int64_t tenant, const std::string& resource, const Feed& feed, const std::string& from) const;
  http::Response rows_by_id(std::int64_t tenant, const std::string& resource, const std::string& ids) const;
  http::Response token();
  bool good(const http::Request& request) const;
  core::Duration some(core::Duration most);

  core::Clock& clock_;
  core::Rng& rng_;
  std::map<std::pair<std::int64_t, std::string>, Feed> feeds_;
  std::map<std::pair<std::int64_t, std::string>, ListModel> lists_;
  std::int64_t tokens_ = 0, first_good_token_ = 1;
};

}  // namespace stsync::simulation
