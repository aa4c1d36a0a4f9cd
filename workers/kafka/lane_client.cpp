#include "kafka/lane_client.hpp"

#include <fmt/format.h>

#include "core/run_on.hpp"
#include "kafka/group_offsets.hpp"
#include "kafka/reader.hpp"

namespace stsync::kafka {
namespace {

using boost::asio::awaitable;
using core::Result;
using std::chrono::milliseconds;

/// librdkafka's calls block: they run on a thread of this client.
class BlockingLaneClient final : public LaneClient {
 public:
  BlockingLaneClient(Cluster cluster, TransactionalOptions options, const GroupOffsets& group)
      : cluster_(std::move(cluster)),
        options_(std::move(options)),
        group_(group),
        thread_(fmt::format("lane-{}", options_.partition), 1) {}

  awaitable<Result<void>> init(milliseconds timeout) override {
    return run([this, timeout]() -> Result<void> {
      auto producer = make_transactional_producer(cluster_, options_);
      if (!producer) return core::fail(producer.error());
      producer_ = std::move(*producer);
      return producer_->init(timeout);
    });
  }
  awaitable<Result<void>> warm_up(std::vector<std::string> topics) override {
    return run([this, topics = std::move(topics)] { return producer_->warm_up(topics); });
  }
  awaitable<Result<void>> read_to_end(std::string topic, milliseconds timeout, std::function<void(const Message&)> each) override {
    return run([this, topic = std::move(topic), timeout, each = std::move(each)] {
      return kafka::read_to_end(cluster_, topic, options_.partition, timeout, each);
    });
  }
  awaitable<Result<std::optional<std::int64_t>>> committed(milliseconds timeout) override {
    return run([this, timeout] { return group_.committed(options_.partition, timeout); });
  }
  awaitable<Result<std::pair<std::int64_t, std::int64_t>>> watermarks(milliseconds timeout) override {
    return run([this, timeout] { return group_.watermarks(options_.partition, timeout); });
  }
  awaitable<Result<void>> seek(std::int64_t offset) override {
    return run([this, offset] { return group_.seek(options_.partition, offset); });
  }
  awaitable<CommitReport> commit(Batch batch) override {
    return run([this, batch = std::move(batch)] { return producer_->commit(batch, group_); });
  }
  awaitable<void> close() override {
    co_await run([this] {
      producer_.reset();
      return true;
    });
  }

 private:
  template <class F>
  awaitable<std::invoke_result_t<F&>> run(F f) {
    return core::run_on(thread_.executor(), std::move(f));
  }

  const Cluster cluster_;
  const TransactionalOptions options_;
  const GroupOffsets& group_;
  std::unique_ptr<TransactionalProducer> producer_;  ///< used on the thread
  core::ThreadPool thread_;
};

}  // namespace

std::unique_ptr<LaneClient> make_lane_client(const Cluster& cluster, TransactionalOptions options, const GroupOffsets& group) {
  return std::make_unique<BlockingLaneClient>(cluster, std::move(options), group);
}

}  // namespace stsync::kafka
