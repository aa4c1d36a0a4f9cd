#include "kafka/producer.hpp"

#include <array>
#include <atomic>

#include <fmt/format.h>

#include "kafka/group_offsets.hpp"
#include "kafka/handles.hpp"
#include "kafka/produce.hpp"

namespace stsync::kafka {
namespace {

using core::Error;
using core::ErrorKind;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::int16_t kApiEndTxn = 26;
constexpr milliseconds kRequestTimeout{10'000};

/// What librdkafka's threads tell about the transaction in flight.
struct Watch {
  std::atomic<int> end_txn_sent{0};
  std::atomic<int> first_failure{0};  ///< rd_kafka_resp_err_t of the first message that was not delivered
};

rd_kafka_resp_err_t on_request_sent(rd_kafka_t*, int, const char*, std::int32_t, std::int16_t api_key, std::int16_t, std::int32_t,
                                    std::size_t, void* opaque) {
  if (api_key == kApiEndTxn) ++static_cast<Watch*>(opaque)->end_txn_sent;
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t on_new(rd_kafka_t* client, const rd_kafka_conf_t*, void* opaque, char*, std::size_t) {
  return rd_kafka_interceptor_add_on_request_sent(client, "stsync", on_request_sent, opaque);
}

class Transactional final : public TransactionalProducer {
 public:
  Transactional(Cluster cluster, TransactionalOptions options) : cluster_(std::move(cluster)), options_(std::move(options)) {}
  ~Transactional() override {
    topics_.clear();
    // What is still queued belongs to a transaction that nobody will commit.
    if (client_) rd_kafka_purge(client_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  }

  core::Result<void> open() {
    auto conf = make_conf(cluster_,
                          {
                              {"transactional.id", options_.transactional_id},
                              {"transaction.timeout.ms", std::to_string(options_.transaction_timeout.count())},
                              {"message.timeout.ms", std::to_string(options_.transaction_timeout.count() * 11 / 12)},
                              {"request.timeout.ms", std::to_string(kRequestTimeout.count())},
                              {"linger.ms", "5"},
                              {"compression.codec", "lz4"},
                              {"batch.size", "1000000"},
                              {"message.max.bytes", std::to_string(kMaxMessageBytes)},
                              {"queue.buffering.max.kbytes", std::to_string(std::max<std::size_t>(options_.queue_bytes >> 10, 1))},
                              {"queue.buffering.max.messages", "100000"},
                              {"retry.backoff.ms", "5"},
                          });
    if (!conf) return core::fail(conf.error());
    rd_kafka_conf_interceptor_add_on_new(conf->get(), "stsync", on_new, &watch_);
    rd_kafka_conf_set_dr_msg_cb(conf->get(), [](rd_kafka_t*, const rd_kafka_message_t* m, void*) {
      if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
      int none = 0;
      static_cast<Watch*>(m->_private)->first_failure.compare_exchange_strong(none, m->err);
    });
    auto client = make_client(RD_KAFKA_PRODUCER, std::move(*conf));
    if (!client) return core::fail(client.error());
    client_ = std::move(*client);
    return {};
  }

  core::Result<void> init(milliseconds timeout) override {
    const ErrorHandle error(rd_kafka_init_transactions(client_.get(), static_cast<int>(timeout.count())));
    if (!error) return {};
    auto e = to_error(rd_kafka_error_code(error.get()), "init_transactions of " + options_.transactional_id);
    return core::fail(std::move(e));
  }

  core::Result<void> warm_up(const std::vector<std::string>& topics) override {
    core::Result<void> out;
    const auto wrong = [&out](Error e) {
      if (out) out = core::fail(std::move(e));
    };
    for (const auto& name : topics) {
      const struct rd_kafka_metadata* metadata = nullptr;
      const auto code = rd_kafka_metadata(client_.get(), 0, topics_.get(client_.get(), name), &metadata, 10'000);
      if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return core::fail(to_error(code, "metadata of " + name));
      auto topic_code = RD_KAFKA_RESP_ERR_NO_ERROR;
      if (metadata->topic_cnt == 1) topic_code = metadata->topics[0].err;
      const auto partitions = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
      rd_kafka_metadata_destroy(metadata);
      const auto count = options_.partition_counts.find(name);
      if (topic_code != RD_KAFKA_RESP_ERR_NO_ERROR)
        wrong(to_error(topic_code, "topic " + name));
      else if (count != options_.partition_counts.end() && count->second != partitions)
        wrong({ErrorKind::bad_config, fmt::format("topic {} has {} partitions now, not {}", name, partitions, count->second)});
    }
    return out;
  }

  CommitReport commit(const Batch& batch, const GroupOffsets& group) override {
    return timed([&] { return transaction(batch, &group); });
  }
  CommitReport commit(const std::vector<OwnedMessage>& messages) override {
    return timed([&] { return transaction({.runs = {}, .messages = messages}, nullptr); });
  }

 private:
  template <class F>
  CommitReport timed(F transaction) {
    const auto start = Clock::now();
    deadline_ = start + options_.transaction_timeout;
    watch_.first_failure = 0;
    watch_.end_txn_sent = 0;
    topics_.forget_use();
    auto report = transaction();
    report.took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
    return report;
  }

  CommitReport transaction(const Batch& batch, const GroupOffsets* group) {
    if (const ErrorHandle error(rd_kafka_begin_transaction(client_.get())); error) return unclear(error.get(), "begin_transaction");
    if (auto code = write(batch); code != RD_KAFKA_RESP_ERR_NO_ERROR) return abort(to_error(code, "produce"));
    if (group != nullptr && batch.offset >= 0)
      if (auto failed = send_offset(batch.offset, *group)) return std::move(*failed);
    return end();
  }

  /// Everything into librdkafka's queue; a full queue waits for the broker.
  rd_kafka_resp_err_t write(const Batch& batch) {
    struct Sink final : MessageSink {
      Transactional& self;
      rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
      explicit Sink(Transactional& s) : self(s) {}
      bool add(const MessageView& m) override {
        code = self.enqueue(m);
        return code == RD_KAFKA_RESP_ERR_NO_ERROR;
      }
    } sink(*this);
    for (const auto& run : batch.runs) {
      run->write(sink);
      if (sink.code != RD_KAFKA_RESP_ERR_NO_ERROR) return sink.code;
    }
    std::vector<std::pair<std::string_view, std::string_view>> headers;
    for (const auto& m : batch.messages) {
      headers.assign(m.headers.begin(), m.headers.end());
      const MessageView view{m.topic, m.partition, m.key, m.value ? std::optional<std::string_view>(*m.value) : std::nullopt,
                             headers};
      if (!sink.add(view)) return sink.code;
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
  }

  rd_kafka_resp_err_t enqueue(const MessageView& m) {
    auto* topic = topics_.get(client_.get(), m.topic);
    for (;;) {
      const auto code = produce(client_.get(), topic, m, &watch_);
      if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) return code;
      if (Clock::now() > deadline_) return RD_KAFKA_RESP_ERR__TIMED_OUT;
      rd_kafka_poll(client_.get(), 10);
    }
  }

  /// Nothing when the offset is in the transaction.
  std::optional<CommitReport> send_offset(std::int64_t offset, const GroupOffsets& group) {
    const auto list = one_partition(options_.commands_topic, options_.partition, offset);
    for (;;) {
      ErrorHandle error(group.send_offsets(client_.get(), list.get(), kRequestTimeout));
      if (!error) return std::nullopt;
      if (rd_kafka_error_is_retriable(error.get()) && Clock::now() < deadline_) continue;
      if (rd_kafka_error_txn_requires_abort(error.get()))
        return abort(to_error(rd_kafka_error_code(error.get()), "send_offsets_to_transaction"));
      return unclear(error.get(), "send_offsets_to_transaction");
    }
  }

  /// A commit is believed only when one EndTxn was sent and answered in time: a second copy on the wire could still end the
  /// transaction after this one.
  CommitReport end() {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline_ - Clock::now());
    rd_kafka_flush(client_.get(), static_cast<int>(std::max(left, milliseconds(1)).count()));  // so that only EndTxn is timed below
    watch_.end_txn_sent = 0;
    const auto start = Clock::now();
    for (;;) {
      const ErrorHandle error(rd_kafka_commit_transaction(client_.get(), -1));
      if (!error) break;
      if (rd_kafka_error_is_retriable(error.get()) && Clock::now() < deadline_) continue;
      if (rd_kafka_error_txn_requires_abort(error.get())) {
        return abort(to_error(cause_of(error.get()), "commit_transaction of " + topics_.used()));
      }
      return unclear(error.get(), "commit_transaction");
    }
    if (watch_.end_txn_sent != 1) return in_doubt(fmt::format("EndTxn was sent {} times", watch_.end_txn_sent.load()));
    if (Clock::now() - start > kRequestTimeout) return in_doubt("the commit outlived the request timeout");
    return {Outcome::committed, Error(ErrorKind::internal, ""), {}};
  }

  /// What the first message that was not delivered says, where that is more than that the transaction had failed before.
  rd_kafka_resp_err_t cause_of(const rd_kafka_error_t* error) const {
    const auto failure = static_cast<rd_kafka_resp_err_t>(watch_.first_failure.load());
    const bool purged = failure == RD_KAFKA_RESP_ERR__PURGE_QUEUE || failure == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
    return failure == RD_KAFKA_RESP_ERR_NO_ERROR || purged ? rd_kafka_error_code(error) : failure;
  }

  /// An abort, too, is believed only when one EndTxn was sent: a second copy could abort what the producer commits next, or the
  /// first half of it.
  CommitReport abort(Error why) {
    const auto outcome = why.kind() == ErrorKind::fenced ? Outcome::fenced : Outcome::aborted;
    const bool unasked = watch_.end_txn_sent == 0;
    for (;;) {
      const ErrorHandle error(rd_kafka_abort_transaction(client_.get(), -1));
      const bool sent_again = watch_.end_txn_sent > 1 && outcome == Outcome::aborted;
      if (!error) return {sent_again ? Outcome::doubt : outcome, std::move(why), {}};
      if (rd_kafka_error_is_retriable(error.get()) && Clock::now() < deadline_) continue;
      // A transaction whose first partitions were refused, as for want of a right, has not begun for the broker: there is nothing
      // to abort, and the library takes that for the end of the producer.
      if (unasked && outcome == Outcome::aborted && rd_kafka_error_code(error.get()) == RD_KAFKA_RESP_ERR_INVALID_TXN_STATE)
        return {.outcome = outcome, .error = std::move(why), .producer_ended = true};
      // The transaction dies with the producer: the successor's init aborts it.
      return {outcome == Outcome::fenced ? Outcome::fenced : Outcome::doubt, std::move(why), {}};
    }
  }

  static CommitReport unclear(const rd_kafka_error_t* error, const char* call) {
    auto e = to_error(rd_kafka_error_code(error), call);
    const auto outcome = e.kind() == ErrorKind::fenced ? Outcome::fenced : Outcome::doubt;
    return {outcome, std::move(e), {}};
  }
  static CommitReport in_doubt(const std::string& why) { return {Outcome::doubt, Error(ErrorKind::doubt, why), {}}; }

  const Cluster cluster_;
  const TransactionalOptions options_;
  Watch watch_;
  ClientHandle client_;
  Topics topics_;
  Clock::time_point deadline_;
};

class Plain final : public Producer {
 public:
  explicit Plain(Cluster cluster) : cluster_(std::move(cluster)) {}
  core::Result<void> open() {
    auto conf = make_conf(cluster_, {{"enable.idempotence", "true"},
                                     {"linger.ms", "5"},
                                     {"compression.codec", "lz4"},
                                     {"message.max.bytes", std::to_string(kMaxMessageBytes)}});
    if (!conf) return core::fail(conf.error());
    rd_kafka_conf_set_dr_msg_cb(conf->get(), [](rd_kafka_t*, const rd_kafka_message_t* m, void*) {
      if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) *static_cast<rd_kafka_resp_err_t*>(m->_private) = m->err;
    });
    auto client = make_client(RD_KAFKA_PRODUCER, std::move(*conf));
    if (!client) return core::fail(client.error());
    client_ = std::move(*client);
    return {};
  }
  ~Plain() override {
    if (client_) rd_kafka_purge(client_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    topics_.clear();
  }

  core::Result<void> send(const std::vector<OwnedMessage>& messages, milliseconds timeout) override {
    failure_ = RD_KAFKA_RESP_ERR_NO_ERROR;
    auto sent = deliver(messages, timeout);
    if (!sent) {
      // Reported as failed, so nothing of it may follow later: its user may send it again.
      rd_kafka_purge(client_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
      rd_kafka_flush(client_.get(), 1000);
    }
    return sent;
  }

 private:
  core::Result<void> deliver(const std::vector<OwnedMessage>& messages, milliseconds timeout) {
    const auto deadline = Clock::now() + timeout;
    for (const auto& m : messages) {
      for (;;) {
        const auto code = produce(client_.get(), topics_.get(client_.get(), m.topic), m, &failure_);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) break;
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || Clock::now() > deadline)
          return core::fail(to_error(code, "produce to " + m.topic));
        rd_kafka_poll(client_.get(), 10);
      }
    }
    const auto code = rd_kafka_flush(client_.get(), static_cast<int>(timeout.count()));
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return core::fail(to_error(code, "flush"));
    if (failure_ != RD_KAFKA_RESP_ERR_NO_ERROR) return core::fail(to_error(failure_, "produce"));
    return {};
  }

  const Cluster cluster_;
  rd_kafka_resp_err_t failure_ = RD_KAFKA_RESP_ERR_NO_ERROR;
  ClientHandle client_;
  Topics topics_;
};

}  // namespace

core::Result<std::unique_ptr<TransactionalProducer>> make_transactional_producer(const Cluster& cluster,
                                                                                 TransactionalOptions options) {
  auto producer = std::make_unique<Transactional>(cluster, std::move(options));
  if (auto ok = producer->open(); !ok) return core::fail(ok.error());
  return producer;
}

core::Result<std::unique_ptr<Producer>> make_producer(const Cluster& cluster) {
  auto producer = std::make_unique<Plain>(cluster);
  if (auto ok = producer->open(); !ok) return core::fail(ok.error());
  return producer;
}

}  // namespace stsync::kafka
