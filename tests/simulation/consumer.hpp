#pragma once
#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "core/task_group.hpp"
#include "kafka/consumer.hpp"
#include "simulation/cluster.hpp"
#include "simulation/lane_client.hpp"

namespace stsync::simulation {

/// A member of the model's group, with the habits of librdkafka's.
class SimConsumer final : public kafka::GroupConsumer, public Member {
 public:
  SimConsumer(Port port, kafka::GroupOptions options, kafka::GroupListener& listener);
  ~SimConsumer() override;

  boost::asio::awaitable<void> run(core::StopToken stop, core::Duration close_timeout) override;
  std::optional<kafka::Message> poll(std::int32_t partition) override;
  void complete_revoke() override;
  std::int64_t end_offset(std::int32_t partition) const override;
  core::TimePoint last_heartbeat() const noexcept override;
  std::unique_ptr<kafka::LaneClient> lane_client(kafka::TransactionalOptions options) override;

  const GroupModel::Identity& identity() const noexcept override { return who_; }
  void seek(std::int32_t partition, std::int64_t offset) override;

 private:
  struct Partition {
    std::int64_t position = -1;  ///< of the next fetch; -1: not before seek()
    std::int64_t end = -1;
    std::uint64_t seeks = 0;
    std::deque<kafka::Message> queue;
  };
  using Fetched = std::pair<std::vector<kafka::Message>, std::pair<std::int64_t, std::int64_t>>;

  boost::asio::awaitable<void> join_group(core::StopToken stop);
  boost::asio::awaitable<bool> take_assignment(core::StopToken stop);
  boost::asio::awaitable<void> beat(core::StopToken stop, core::Duration close_timeout);
  boost::asio::awaitable<void> give_back(bool lost, core::StopToken stop, core::Duration close_timeout);
  boost::asio::awaitable<std::optional<Code>> heartbeat();
  boost::asio::awaitable<void> leave(core::Duration close_timeout);
  boost::asio::awaitable<void> fetch();
  boost::asio::awaitable<bool> fetch_from(std::int32_t partition);
  void fence();
  void hear(core::TimePoint asked);
  core::TimePoint now() const { return port_.clock.now(); }
  core::Duration interval() const { return options_.session_timeout / 15; }

  const Port port_;
  const kafka::GroupOptions options_;
  kafka::GroupListener& listener_;
  GroupModel::Identity who_;
  std::unique_ptr<core::Signal> wake_, changed_;
  std::map<std::int32_t, Partition> partitions_;
  core::TimePoint heard_{};
  bool assigned_ = false, revoking_ = false, fenced_ = false, closing_ = false;
  core::TaskGroup tasks_;
};

}  // namespace stsync::simulation
