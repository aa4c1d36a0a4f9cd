#include "kafka/async_producer.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/run_on.hpp"
#include "core/task_group.hpp"
#include "kafka/handles.hpp"
#include "kafka/produce.hpp"

namespace stsync::kafka {
namespace {

namespace asio = boost::asio;
using core::ErrorKind;
using core::Result;
using std::chrono::milliseconds;

/// Between two producers, so that one that is refused each time does no harm.
constexpr core::Duration kRenewPause = std::chrono::seconds(1);

/// A librdkafka producer and what belongs to it.
struct Link {
  ClientHandle client;
  Topics topics;
  QueueHandle queue;
  bool has_id = false;  ///< of a producer: without one nothing is sent. A broker that has just started may take seconds to give it

  /// Its reports wake nobody any more.
  void silence() const noexcept {
    if (queue) rd_kafka_queue_io_event_enable(queue.get(), -1, nullptr, 0);
  }

  Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  ~Link() {
    silence();
    if (client) rd_kafka_purge(client.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  }
};

/// Whether librdkafka's statistics (JSON) say that the producer has its id: "idemp_state": "Assigned".
bool tells_of_id(std::string_view statistics) {
  static constexpr std::string_view kName = "\"idemp_state\":";
  const auto at = statistics.find(kName);
  if (at == std::string_view::npos) return false;
  const auto value = statistics.substr(at + kName.size());
  return value.substr(std::min(value.find('"'), value.size())).starts_with("\"Assigned\"");
}

/// What a send() waits for.
struct Delivery {
  std::size_t open = 0;  ///< messages without a report
  rd_kafka_resp_err_t failure = RD_KAFKA_RESP_ERR_NO_ERROR;
  core::Signal* reported = nullptr;
};

Result<void> check_topic(rd_kafka_t* client, rd_kafka_topic_t* topic, milliseconds timeout) {
  const struct rd_kafka_metadata* metadata = nullptr;
  const std::string name = rd_kafka_topic_name(topic);
  const auto code = rd_kafka_metadata(client, 0, topic, &metadata, static_cast<int>(timeout.count()));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return core::fail(to_error(code, "metadata of " + name));
  const std::unique_ptr<const struct rd_kafka_metadata, Freer<rd_kafka_metadata_destroy>> owner(metadata);
  if (metadata->topic_cnt != 1) return core::fail(ErrorKind::broker, "no metadata of " + name);
  const auto& found = metadata->topics[0];
  if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR) return core::fail(to_error(found.err, "topic " + name));
  for (int i = 0; i < found.partition_cnt; ++i)
    if (found.partitions[i].leader < 0)
      return core::fail(ErrorKind::broker, fmt::format("partition {} of {} has no leader", found.partitions[i].id, name));
  return {};
}

class LoopProducer final : public AsyncProducer {
 public:
  LoopProducer(asio::any_io_executor loop, core::Clock& clock, Cluster cluster, AsyncProducerOptions options)
      : clock_(clock),
        cluster_(std::move(cluster)),
        options_(options),
        fd_(loop, ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
        close_asked_(clock.make_signal()),
        tasks_(loop, clock) {}

  Result<void> open() {
    auto ok = connect();
    if (ok) tasks_.spawn("kafka reports", pump());
    return ok;
  }

  asio::awaitable<Result<void>> send(std::vector<OwnedMessage> messages, core::Duration timeout) override {
    const auto deadline = clock_.now() + timeout;
    const auto reported = clock_.make_signal();
    const auto id = ++last_id_;
    auto& delivery = deliveries_[id];  // stands where it is while others come and go
    delivery.reported = reported.get();
    for (auto& message : messages) {
      const auto code = produce_one(message, id);
      if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        deliveries_.erase(id);
        co_return core::fail(to_error(code, "produce to " + message.topic));
      }
      ++delivery.open;
    }
    messages = {};  // librdkafka has its own copy
    while (delivery.open > 0 && clock_.now() < deadline) co_await reported->wait_until(deadline);
    const auto result = delivery;
    deliveries_.erase(id);
    if (result.failure != RD_KAFKA_RESP_ERR_NO_ERROR) co_return core::fail(to_error(result.failure, "delivery"));
    if (result.open > 0) co_return core::fail(ErrorKind::timeout, "Kafka did not acknowledge in time");
    co_return Result<void>();
  }

  asio::awaitable<Result<void>> probe(std::vector<std::string> topics, milliseconds timeout) override {
    if (!link_->has_id) co_return core::fail(ErrorKind::broker, "Kafka has given no producer id yet");
    std::vector<rd_kafka_topic_t*> handles;
    for (const auto& name : topics) handles.push_back(link_->topics.get(link_->client.get(), name));
    co_return co_await core::run_on(helper_.executor(), [link = link_, handles = std::move(handles), timeout]() -> Result<void> {
      for (auto* topic : handles)
        if (auto ok = check_topic(link->client.get(), topic, timeout); !ok) return ok;
      return {};
    });
  }

  asio::awaitable<void> close() override {
    closing_ = true;
    close_asked_->notify();
    link_->silence();
    boost::system::error_code ignored;
    fd_.close(ignored);
    co_await tasks_.join();
    co_await end_on_helper(std::exchange(link_, nullptr));
  }

 private:
  Result<void> connect() {
    const auto ms = [](milliseconds d) { return std::to_string(d.count()); };
    auto conf = make_conf(cluster_,
                          {
                              {"enable.idempotence", "true"},
                              {"acks", "all"},
                              {"message.timeout.ms", ms(options_.message_timeout)},
                              {"request.timeout.ms", ms(options_.message_timeout)},
                              {"linger.ms", ms(options_.linger)},
                              {"compression.codec", "lz4"},
                              {"message.max.bytes", std::to_string(4u << 20)},
                              {"queue.buffering.max.kbytes", std::to_string(std::max<std::size_t>(options_.queue_bytes >> 10, 1))},
                              {"queue.buffering.max.messages", "100000"},
                              {"reconnect.backoff.max.ms", "1000"},
                              {"statistics.interval.ms", "500"},
                          });
    if (!conf) return core::fail(conf.error());
    rd_kafka_conf_set_events(conf->get(), RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_STATS);
    auto client = make_client(RD_KAFKA_PRODUCER, std::move(*conf));
    if (!client) return core::fail(client.error());
    link_ = std::make_shared<Link>();
    link_->client = std::move(*client);
    link_->queue.reset(rd_kafka_queue_get_main(link_->client.get()));
    static constexpr std::uint64_t kOne = 1;
    rd_kafka_queue_io_event_enable(link_->queue.get(), fd_.native_handle(), &kOne, sizeof kOne);
    return {};
  }

  rd_kafka_resp_err_t produce_one(const OwnedMessage& message, std::uintptr_t id) {
    auto* client = link_->client.get();
    // The number of the delivery, not its address: a report may come when nobody waits for it any more.
    return produce(client, link_->topics.get(client, message.topic), message, reinterpret_cast<void*>(id));
  }

  /// Every write of librdkafka to the eventfd is a change of its queue from empty to not empty.
  asio::awaitable<void> pump() {
    for (;;) {
      drain();  // also what came before the queue was watched
      boost::system::error_code ec;
      co_await fd_.async_wait(asio::posix::stream_descriptor::wait_read, asio::redirect_error(asio::use_awaitable, ec));
      if (ec) co_return;
      std::uint64_t count = 0;
      [[maybe_unused]] const auto n = ::read(fd_.native_handle(), &count, sizeof count);
    }
  }

  void drain() {
    bool fatal = false;
    for (;;) {
      const EventHandle event(rd_kafka_queue_poll(link_->queue.get(), 0));
      if (!event) break;
      fatal = serve(*event) || fatal;
    }
    if (fatal && !std::exchange(renewing_, true)) give_up_link();
  }

  /// Whether it is the producer's end.
  bool serve(rd_kafka_event_t& event) {
    switch (rd_kafka_event_type(&event)) {
      case RD_KAFKA_EVENT_DR:
        while (const auto* m = rd_kafka_event_message_next(&event)) report(*m);
        return false;
      case RD_KAFKA_EVENT_STATS:  // nothing else tells
        link_->has_id = link_->has_id || tells_of_id(rd_kafka_event_stats(&event));
        return false;
      case RD_KAFKA_EVENT_ERROR:
        return rd_kafka_event_error_is_fatal(&event) != 0 || rd_kafka_event_error(&event) == RD_KAFKA_RESP_ERR__FATAL;
      default:
        return false;
    }
  }

  void report(const rd_kafka_message_t& m) {
    const auto it = deliveries_.find(reinterpret_cast<std::uintptr_t>(m._private));
    if (it == deliveries_.end()) return;
    auto& delivery = it->second;
    if (delivery.failure == RD_KAFKA_RESP_ERR_NO_ERROR) delivery.failure = m.err;
    if (--delivery.open == 0) delivery.reported->notify();
  }

  /// A producer with a fatal error takes nothing more for ever: another one has to. What it had not acknowledged counts as not
  /// stored.
  void give_up_link() {
    std::array<char, 512> text{};
    rd_kafka_fatal_error(link_->client.get(), text.data(), text.size());
    if (cluster_.log) cluster_.log(3, "FATAL", fmt::format("the producer ends, another one follows: {}", text.data()));
    link_->silence();
    for (auto& [id, delivery] : deliveries_) {
      if (delivery.open == 0) continue;
      delivery.open = 0;
      delivery.failure = RD_KAFKA_RESP_ERR__FATAL;
      delivery.reported->notify();
    }
    tasks_.spawn("new producer", renew());
  }

  asio::awaitable<void> renew() {
    while (!closing_ && clock_.now() < renewed_ + kRenewPause) co_await close_asked_->wait_until(renewed_ + kRenewPause);
    renewed_ = clock_.now();
    auto dead = link_;
    if (closing_ || !connect()) co_return;
    renewing_ = false;
    drain();
    co_await end_on_helper(std::move(dead));
  }

  /// Its destructor waits for its threads.
  asio::awaitable<void> end_on_helper(std::shared_ptr<Link> link) {
    co_await core::run_on(helper_.executor(), [link = std::move(link)]() mutable {
      link.reset();
      return true;
    });
  }

  core::Clock& clock_;
  const Cluster cluster_;
  const AsyncProducerOptions options_;
  asio::posix::stream_descriptor fd_;
  std::shared_ptr<Link> link_;
  std::unordered_map<std::uintptr_t, Delivery> deliveries_;
  std::uintptr_t last_id_ = 0;
  core::TimePoint renewed_{};
  bool renewing_ = false;
  bool closing_ = false;
  std::unique_ptr<core::Signal> close_asked_;
  core::ThreadPool helper_{"kafka-helper", 1};
  core::TaskGroup tasks_;
};

}  // namespace

Result<std::unique_ptr<AsyncProducer>> make_async_producer(asio::any_io_executor loop, core::Clock& clock, Cluster cluster,
                                                           AsyncProducerOptions options) {
  auto producer = std::make_unique<LoopProducer>(std::move(loop), clock, std::move(cluster), options);
  if (auto ok = producer->open(); !ok) return core::fail(ok.error());
  return producer;
}

}  // namespace stsync::kafka
