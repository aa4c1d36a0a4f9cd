#include "kafka/consumer.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>

#include <sys/eventfd.h>
#include <unistd.h>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/task_group.hpp"
#include "kafka/group_offsets.hpp"
#include "kafka/handles.hpp"
#include "kafka/read.hpp"

namespace stsync::kafka {
namespace {

namespace asio = boost::asio;
using core::ErrorKind;
using std::chrono::milliseconds;

constexpr std::int16_t kApiJoinGroup = 11;
constexpr std::int16_t kApiHeartbeat = 12;
constexpr std::int16_t kApiSyncGroup = 14;
/// librdkafka wants its queue polled at least this often (max.poll.interval.ms), also when nothing happens.
constexpr auto kIdlePoll = std::chrono::seconds(1);

struct Heartbeat {
  std::atomic<std::int64_t> last_ns{0};
};

rd_kafka_resp_err_t on_response(rd_kafka_t*, int, const char*, std::int32_t, std::int16_t api, std::int16_t, std::int32_t,
                                std::size_t, std::int64_t took_us, rd_kafka_resp_err_t error, void* opaque) {
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR || (api != kApiHeartbeat && api != kApiJoinGroup && api != kApiSyncGroup))
    return RD_KAFKA_RESP_ERR_NO_ERROR;
  // It says how things were when it was asked for: the answer may have lain in its socket while this process stood still.
  const auto asked = std::chrono::steady_clock::now() - std::chrono::microseconds(std::max<std::int64_t>(0, took_us));
  static_cast<Heartbeat*>(opaque)->last_ns = asked.time_since_epoch().count();
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t on_new(rd_kafka_t* client, const rd_kafka_conf_t*, void* opaque, char*, std::size_t) {
  return rd_kafka_interceptor_add_on_response_received(client, "stsync", on_response, opaque);
}

class Consumer final : public GroupConsumer, public GroupOffsets {
 public:
  Consumer(asio::any_io_executor loop, core::Clock& clock, Cluster cluster, GroupOptions options, GroupListener& listener)
      : cluster_(std::move(cluster)),
        options_(std::move(options)),
        listener_(listener),
        wake_(clock.make_signal()),
        clock_(clock),
        fd_(loop, ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
        tasks_(loop, clock) {}

  ~Consumer() override {
    forget_partitions();
    if (queue_) rd_kafka_queue_io_event_enable(queue_.get(), -1, nullptr, 0);
    if (ending_ == Ending::abandoned) static_cast<void>(queue_.release());
    queue_.reset();
    if (ending_ == Ending::abandoned) static_cast<void>(client_.release());
    if (ending_ == Ending::fatal) rd_kafka_destroy_flags(client_.release(), RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  }

  core::Result<void> open() {
    const auto session = options_.session_timeout;
    auto conf = make_conf(cluster_, {
                                        {"group.id", options_.group},
                                        {"enable.auto.commit", "false"},
                                        {"enable.auto.offset.store", "false"},
                                        {"auto.offset.reset", "earliest"},
                                        {"isolation.level", "read_committed"},
                                        {"partition.assignment.strategy", "range"},
                                        {"session.timeout.ms", std::to_string(session.count())},
                                        {"heartbeat.interval.ms", std::to_string((session / 15).count())},
                                        {"max.poll.interval.ms", std::to_string(std::max(session, milliseconds(300'000)).count())},
                                        {"queued.min.messages", "100"},
                                        {"queued.max.messages.kbytes", "4096"},
                                        {"fetch.message.max.bytes", "1048576"},
                                        {"check.crcs", "true"},
                                    });
    if (!conf) return core::fail(conf.error());
    if (!options_.instance_id.empty()) {
      std::array<char, 256> why{};
      if (rd_kafka_conf_set(conf->get(), "group.instance.id", options_.instance_id.c_str(), why.data(), why.size()) !=
          RD_KAFKA_CONF_OK)
        return core::fail(ErrorKind::bad_config, why.data());
    }
    rd_kafka_conf_set_events(conf->get(), RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_ERROR);
    rd_kafka_conf_interceptor_add_on_new(conf->get(), "stsync", on_new, &heartbeat_);
    auto client = make_client(RD_KAFKA_CONSUMER, std::move(*conf));
    if (!client) return core::fail(client.error());
    client_ = std::move(*client);
    rd_kafka_poll_set_consumer(client_.get());
    queue_.reset(rd_kafka_queue_get_consumer(client_.get()));
    watch(queue_.get());
    return {};
  }

  asio::awaitable<void> run(core::StopToken stop, core::Duration close_timeout) override {
    const auto on_stop = stop.on_stop([this] { wake_->notify(); });
    tasks_.spawn("kafka wake-ups", pump());
    const auto topics = one_partition(options_.topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(client_.get(), topics.get());
    while (!stop.stop_requested()) {
      drain();
      listener_.messages();
      if (!stop.stop_requested()) co_await wake_->wait_until(clock_.now() + kIdlePoll);
    }
    co_await close(close_timeout);
    boost::system::error_code ignored;
    fd_.close(ignored);
    co_await tasks_.join();
  }

  std::optional<Message> poll(std::int32_t partition) override {
    const auto it = partitions_.find(partition);
    if (it == partitions_.end()) return std::nullopt;
    for (;;) {
      if (auto* m = it->second.pending ? rd_kafka_event_message_next(it->second.pending.get()) : nullptr; m != nullptr) {
        if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) return copy_message(*m);
        continue;
      }
      it->second.pending.reset(rd_kafka_queue_poll(it->second.queue.get(), 0));
      if (!it->second.pending) return std::nullopt;
      if (rd_kafka_event_type(it->second.pending.get()) != RD_KAFKA_EVENT_FETCH) {
        serve(*it->second.pending);
        it->second.pending.reset();
      }
    }
  }

  void complete_revoke() override {
    if (!revoking_) return;
    revoking_ = false;
    forget_partitions();
    rd_kafka_assign(client_.get(), nullptr);
  }

  std::int64_t end_offset(std::int32_t partition) const override {
    std::int64_t low = -1;
    std::int64_t high = -1;
    const auto code = rd_kafka_get_watermark_offsets(client_.get(), options_.topic.c_str(), partition, &low, &high);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? high : -1;
  }

  core::TimePoint last_heartbeat() const noexcept override {
    return core::TimePoint(std::chrono::nanoseconds(heartbeat_.last_ns.load()));
  }

  std::unique_ptr<LaneClient> lane_client(TransactionalOptions options) override {
    return make_lane_client(cluster_, std::move(options), *this);
  }

  core::Result<std::optional<std::int64_t>> committed(std::int32_t partition, milliseconds timeout) const override {
    const auto list = one_partition(options_.topic, partition);
    const auto code = rd_kafka_committed(client_.get(), list.get(), static_cast<int>(timeout.count()));
    const auto& e = list->elems[0];
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return core::fail(to_error(code, "committed offset"));
    if (e.err != RD_KAFKA_RESP_ERR_NO_ERROR) return core::fail(to_error(e.err, "committed offset"));
    if (e.offset < 0) return std::optional<std::int64_t>();
    return std::optional<std::int64_t>(e.offset);
  }

  core::Result<std::pair<std::int64_t, std::int64_t>> watermarks(std::int32_t partition, milliseconds timeout) const override {
    std::int64_t low = 0;
    std::int64_t high = 0;
    const auto code = rd_kafka_query_watermark_offsets(client_.get(), options_.topic.c_str(), partition, &low, &high,
                                                       static_cast<int>(timeout.count()));
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return core::fail(to_error(code, "offsets of " + options_.topic));
    return std::pair(low, high);
  }

  core::Result<void> seek(std::int32_t partition, std::int64_t offset) const override {
    const auto list = one_partition(options_.topic, partition, offset);
    // 2.0.2 takes a finite time-out for a thousandth of it.
    const ErrorHandle error(rd_kafka_seek_partitions(client_.get(), list.get(), -1));
    if (error) return core::fail(to_error(rd_kafka_error_code(error.get()), "seek"));
    if (list->elems[0].err != RD_KAFKA_RESP_ERR_NO_ERROR) return core::fail(to_error(list->elems[0].err, "seek"));
    return {};
  }

  rd_kafka_error_s* send_offsets(rd_kafka_s* producer, const rd_kafka_topic_partition_list_s* offsets,
                                 milliseconds timeout) const override {
    auto* metadata = rd_kafka_consumer_group_metadata(client_.get());
    if (metadata == nullptr) return rd_kafka_error_new(RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, "not a member of the group");
    auto* error = rd_kafka_send_offsets_to_transaction(producer, offsets, metadata, static_cast<int>(timeout.count()));
    rd_kafka_consumer_group_metadata_destroy(metadata);
    return error;
  }

 private:
  struct Partition {
    QueueHandle queue;
    EventHandle pending;  ///< a fetch event whose messages are not all handed out
  };

  /// Every write of librdkafka to the eventfd wakes run().
  asio::awaitable<void> pump() {
    for (;;) {
      boost::system::error_code ec;
      co_await fd_.async_wait(asio::posix::stream_descriptor::wait_read, asio::redirect_error(asio::use_awaitable, ec));
      if (ec) co_return;
      std::uint64_t count = 0;
      [[maybe_unused]] const auto n = ::read(fd_.native_handle(), &count, sizeof count);
      wake_->notify();
      woken_ = true;
    }
  }

  void watch(rd_kafka_queue_t* queue) {
    static constexpr std::uint64_t kOne = 1;
    rd_kafka_queue_io_event_enable(queue, fd_.native_handle(), &kOne, sizeof kOne);
  }

  /// To empty: the eventfd is written once for each change from empty to not empty.
  void drain() {
    woken_ = false;
    for (;;) {
      const EventHandle event(rd_kafka_queue_poll(queue_.get(), 0));
      if (!event) return;
      serve(*event);
    }
  }

  void serve(rd_kafka_event_t& event) {
    switch (rd_kafka_event_type(&event)) {
      case RD_KAFKA_EVENT_REBALANCE:
        return rebalance(event);
      case RD_KAFKA_EVENT_ERROR:
        return error(event);
      default:
        return;  // messages fetched before the partition queues were split off: fetched again after the seek
    }
  }

  void rebalance(rd_kafka_event_t& event) {
    if (rd_kafka_event_error(&event) != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
      revoking_ = true;
      return listener_.revoked(rd_kafka_assignment_lost(client_.get()) != 0);
    }
    auto* list = rd_kafka_event_topic_partition_list(&event);
    std::vector<std::int32_t> numbers;
    for (int i = 0; i < list->cnt; ++i) {
      const auto number = list->elems[i].partition;
      QueueHandle queue(rd_kafka_queue_get_partition(client_.get(), list->elems[i].topic, number));
      rd_kafka_queue_forward(queue.get(), nullptr);
      watch(queue.get());
      partitions_[number] = {std::move(queue), nullptr};
      numbers.push_back(number);
    }
    rd_kafka_assign(client_.get(), list);
    listener_.assigned(numbers);
  }

  void error(rd_kafka_event_t& event) {
    std::array<char, 512> text{};
    if (rd_kafka_event_error_is_fatal(&event) != 0 || rd_kafka_event_error(&event) == RD_KAFKA_RESP_ERR__FATAL) {
      const auto code = rd_kafka_fatal_error(client_.get(), text.data(), text.size());
      return listener_.error(to_error(code, text.data()), true);
    }
    listener_.error(to_error(rd_kafka_event_error(&event), rd_kafka_event_error_string(&event)), false);
  }

  void forget_partitions() {
    for (auto& [number, p] : partitions_) rd_kafka_queue_io_event_enable(p.queue.get(), -1, nullptr, 0);
    partitions_.clear();
  }

  asio::awaitable<void> close(core::Duration timeout) {
    const auto deadline = clock_.now() + timeout;
    const ErrorHandle error(rd_kafka_consumer_close_queue(client_.get(), queue_.get()));
    while (!error && !rd_kafka_consumer_closed(client_.get()) && clock_.now() < deadline) {
      drain();
      if (!rd_kafka_consumer_closed(client_.get())) co_await wake_->wait_until(clock_.now() + milliseconds(50));
    }
    forget_partitions();
    if (error) ending_ = Ending::fatal;
    if (!error && !rd_kafka_consumer_closed(client_.get())) ending_ = Ending::abandoned;
  }

  const Cluster cluster_;
  const GroupOptions options_;
  GroupListener& listener_;
  Heartbeat heartbeat_;
  std::unique_ptr<core::Signal> wake_;
  core::Clock& clock_;
  asio::posix::stream_descriptor fd_;
  ClientHandle client_;
  QueueHandle queue_;
  std::map<std::int32_t, Partition> partitions_;
  bool revoking_ = false;
  bool woken_ = false;
  /// What the destructor does; until then the handle stays valid for those who still ask it.
  enum class Ending {
    closed,
    fatal,      ///< librdkafka does not close a member with a fatal error: there is nothing to leave
    abandoned,  ///< 2.0.2 can wait for ever for a coordinator that is gone: the handle is given up rather than the shutdown
  };
  Ending ending_ = Ending::closed;
  core::TaskGroup tasks_;
};

}  // namespace

Message copy_message(const rd_kafka_message_t& m) {
  Message out;
  out.topic = m.rkt != nullptr ? rd_kafka_topic_name(m.rkt) : "";
  out.partition = m.partition;
  out.offset = m.offset;
  out.timestamp_ms = rd_kafka_message_timestamp(&m, nullptr);
  if (m.key != nullptr) out.key.emplace(static_cast<const char*>(m.key), m.key_len);
  if (m.payload != nullptr) out.value.emplace(static_cast<const char*>(m.payload), m.len);
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return out;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i)
    out.headers.emplace_back(name, value != nullptr ? std::string(static_cast<const char*>(value), size) : std::string());
  return out;
}

core::Result<std::unique_ptr<GroupConsumer>> make_group_consumer(asio::any_io_executor loop, core::Clock& clock,
                                                                 const Cluster& cluster, GroupOptions options,
                                                                 GroupListener& listener) {
  auto consumer = std::make_unique<Consumer>(std::move(loop), clock, cluster, std::move(options), listener);
  if (auto ok = consumer->open(); !ok) return core::fail(ok.error());
  return consumer;
}

}  // namespace stsync::kafka
