#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kafka/lane_client.hpp"
#include "simulation/cluster.hpp"

namespace stsync::simulation {

/// What a lane client has of its member of the group.
class Member {
 public:
  virtual ~Member() = default;
  virtual const GroupModel::Identity& identity() const noexcept = 0;
  virtual void seek(std::int32_t partition, std::int64_t offset) = 0;
};

/// The transactional producer of a lane over the model, with the retries, time-outs and outcomes of the real one.
class SimLaneClient final : public kafka::LaneClient {
 public:
  SimLaneClient(Port port, kafka::TransactionalOptions options, Member& member)
      : port_(std::move(port)), options_(std::move(options)), member_(member) {}

  boost::asio::awaitable<core::Result<void>> init(std::chrono::milliseconds timeout) override;
  boost::asio::awaitable<core::Result<void>> warm_up(std::vector<std::string> topics) override;
  boost::asio::awaitable<core::Result<void>> read_to_end(std::string topic, std::chrono::milliseconds timeout,
                                                         std::function<void(const kafka::Message&)> each) override;
  boost::asio::awaitable<core::Result<std::optional<std::int64_t>>> committed(std::chrono::milliseconds timeout) override;
  boost::asio::awaitable<core::Result<std::pair<std::int64_t, std::int64_t>>> watermarks(
      std::chrono::milliseconds timeout) override;
  boost::asio::awaitable<core::Result<void>> seek(std::int64_t offset) override;
  boost::asio::awaitable<kafka::CommitReport> commit(kafka::Batch batch) override;
  boost::asio::awaitable<void> close() override { co_return; }

 private:
  using Place = std::pair<std::string, std::int32_t>;
  struct Piece {
    Place place;
    std::vector<Entry> entries;
  };

  /// Again and again until it is answered, or `deadline`; `sent` counts the copies.
  template <class F>
  boost::asio::awaitable<std::optional<std::invoke_result_t<F&>>> insist(F carry_out, core::TimePoint deadline,
                                                                         bool may_be_late = false, int* sent = nullptr);
  boost::asio::awaitable<core::Result<void>> fence();
  boost::asio::awaitable<kafka::CommitReport> transaction(kafka::Batch batch, std::uint64_t number);
  boost::asio::awaitable<std::optional<kafka::CommitReport>> write(Piece piece);
  boost::asio::awaitable<std::optional<kafka::CommitReport>> send_offset(std::int64_t offset);
  boost::asio::awaitable<kafka::CommitReport> end();
  boost::asio::awaitable<kafka::CommitReport> abort(core::Error why);
  boost::asio::awaitable<std::optional<Code>> end_transaction(bool commit);
  std::vector<Piece> cut(const kafka::Batch& batch, std::uint64_t number);
  void publish(std::size_t bytes);
  bool aborts_now() { return port_.cluster.rng.unit() < port_.cluster.network.trouble.aborted; }
  core::TimePoint now() const { return port_.clock.now(); }

  const Port port_;
  const kafka::TransactionalOptions options_;
  Member& member_;
  ProducerId producer_;
  std::map<Place, std::int64_t> sequences_;
  core::TimePoint deadline_{};  ///< of the transaction
  std::size_t publishing_ = 0;  ///< bytes of records in the transaction
  int ends_sent_ = 0;           ///< copies of EndTxn of the transaction that may still be on their way
  bool opened_ = false;         ///< the broker may know of the transaction
  bool broken_ = false;         ///< fatal, as librdkafka calls it
};

kafka::Message message_of(const std::string& topic, std::int32_t partition, std::int64_t offset, const Entry& entry);

}  // namespace stsync::simulation
