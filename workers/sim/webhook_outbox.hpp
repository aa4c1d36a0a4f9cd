#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "core/clock.hpp"
#include "sim/webhook_events.hpp"

namespace stsync::sim {

/// What became of an event.
struct WebhookRecord {
  WebhookEvent event;
  std::optional<core::WallTime> first_sent, accepted;
  std::size_t tries = 0;    ///< requests
  std::size_t waiting = 0;  ///< deliveries that are not over
  bool given_up = false;    ///< accepted by nobody, and no delivery goes on
};

/// Which event is sent when: as it comes, then again 10, 30, 60 and 300 s after a failure, then never unless somebody asks for it
/// (facts 9). Bounded: events beyond the bound are given up at once; of what is over, the newest are remembered. Loop thread only.
class WebhookOutbox {
 public:
  struct Limits {
    std::size_t waiting = 20'000;     ///< deliveries
    std::size_t remembered = 20'000;  ///< events
    std::size_t bytes = 64u << 20;    ///< of the data of events, for each of the two
  };
  struct Counts {
    std::uint64_t events = 0, sent = 0, accepted = 0, retried = 0, given_up = 0;
  };
  /// One way of an event to its receiver, over all its tries.
  struct Delivery {
    std::shared_ptr<WebhookRecord> record;
    std::string id;  ///< of the CloudEvent
    std::size_t failures = 0;
  };

  WebhookOutbox(std::uint64_t seed, Limits limits) : seed_(seed), limits_(limits) {}

  double retry_scale = 1;  ///< waits are so many times shorter
  double duplicates = 0;   ///< the share of events that are delivered twice, both at once

  void add(WebhookEvent event, core::TimePoint now);
  /// The delivery that has waited longest of those whose time has come; it is under way then until finish().
  std::optional<Delivery> take(core::TimePoint now, core::WallTime wall);
  void finish(Delivery delivery, bool accepted, core::TimePoint now, core::WallTime wall);
  /// The earliest time at which take() has something.
  std::optional<core::TimePoint> next_due() const;

  /// The portal's button: delivers a remembered event again, whatever became of it. False when it is not known.
  bool replay(const std::string& event, core::TimePoint now);
  std::size_t replay_all(core::TimePoint now);

  const Counts& counts() const noexcept { return counts_; }
  std::size_t waiting() const noexcept { return due_.size(); }
  /// The newest events, oldest first.
  const std::deque<std::shared_ptr<WebhookRecord>>& remembered() const noexcept { return remembered_; }

 private:
  bool deliver(const std::shared_ptr<WebhookRecord>& record, core::TimePoint when);
  void put(Delivery delivery, core::TimePoint when);
  void remember(const std::shared_ptr<WebhookRecord>& record);
  void give_up(WebhookRecord& record);

  std::uint64_t seed_;
  Limits limits_;
  std::multimap<core::TimePoint, Delivery> due_;
  std::size_t due_bytes_ = 0, remembered_bytes_ = 0;
  std::deque<std::shared_ptr<WebhookRecord>> remembered_;
  std::unordered_map<std::string, std::shared_ptr<WebhookRecord>> by_id_;
  Counts counts_;
  std::uint64_t deliveries_ = 0;
};

}  // namespace stsync::sim
