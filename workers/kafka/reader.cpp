#include "kafka/reader.hpp"

#include <map>
#include <tuple>

#include <fmt/format.h>

#include "kafka/handles.hpp"
#include "kafka/read.hpp"

namespace stsync::kafka {
namespace {

using core::ErrorKind;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

/// These clients never join a group, so there is none to leave: the ordinary end would look for its coordinator first.
struct EndWithoutLeaving {
  void operator()(rd_kafka_t* client) const noexcept { rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE); }
};
using ReaderHandle = std::unique_ptr<rd_kafka_t, EndWithoutLeaving>;

core::Result<ReaderHandle> make_consumer(const Cluster& cluster, const char* isolation) {
  auto conf = make_conf(cluster, {
                                     {"group.id", "stsync-reader"},  // required by the library, never joined
                                     {"enable.auto.commit", "false"},
                                     {"enable.auto.offset.store", "false"},
                                     {"auto.offset.reset", "earliest"},
                                     {"isolation.level", isolation},
                                     {"enable.partition.eof", "true"},
                                     {"queued.max.messages.kbytes", "16384"},
                                     {"fetch.wait.max.ms", "50"},  // the end of a partition is an answer, too
                                     {"check.crcs", "true"},
                                 });
  if (!conf) return core::fail(conf.error());
  auto client = make_client(RD_KAFKA_CONSUMER, std::move(*conf));
  if (!client) return core::fail(client.error());
  return ReaderHandle(client->release());
}

core::Result<std::map<std::string, int>> partition_counts(rd_kafka_t* client, const std::vector<std::string>& topics,
                                                          milliseconds timeout) {
  std::map<std::string, int> counts;
  const struct rd_kafka_metadata* metadata = nullptr;
  const auto code = rd_kafka_metadata(client, 1, nullptr, &metadata, static_cast<int>(timeout.count()));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return core::fail(to_error(code, "metadata"));
  for (int i = 0; i < metadata->topic_cnt; ++i) counts[metadata->topics[i].topic] = metadata->topics[i].partition_cnt;
  rd_kafka_metadata_destroy(metadata);
  std::map<std::string, int> wanted;
  for (const auto& topic : topics) {
    const auto it = counts.find(topic);
    if (it == counts.end()) return core::fail(ErrorKind::not_found, fmt::format("topic {} does not exist", topic));
    wanted.insert(*it);
  }
  return wanted;
}

/// First and next offset of a partition. A topic made a moment ago, or one that changes its leader, is asked again.
core::Result<std::pair<std::int64_t, std::int64_t>> watermarks(rd_kafka_t* client, const std::string& topic, std::int32_t partition,
                                                               Clock::time_point deadline) {
  for (;;) {
    const auto left = std::max<std::int64_t>((deadline - Clock::now()) / milliseconds(1), 1);
    std::int64_t low = 0;
    std::int64_t high = 0;
    const auto code = rd_kafka_query_watermark_offsets(client, topic.c_str(), partition, &low, &high, static_cast<int>(left));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return std::pair(low, high);
    const bool passes = code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION || code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
                        code == RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE || code == RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE;
    if (!passes || Clock::now() > deadline) return core::fail(to_error(code, fmt::format("offsets of {}-{}", topic, partition)));
    rd_kafka_poll(client, 100);
  }
}

class TopicReader final : public Reader {
 public:
  explicit TopicReader(Cluster cluster) : cluster_(std::move(cluster)) {}

  core::Result<void> open(const std::vector<std::string>& topics, From from, milliseconds timeout) {
    auto client = make_consumer(cluster_, "read_committed");
    if (!client) return core::fail(client.error());
    client_ = std::move(*client);
    rd_kafka_poll_set_consumer(client_.get());
    const auto deadline = Clock::now() + timeout;
    const auto counts = partition_counts(client_.get(), topics, timeout);
    if (!counts) return core::fail(counts.error());
    const PartitionsHandle list(rd_kafka_topic_partition_list_new(8));
    for (const auto& [topic, count] : *counts)
      for (int p = 0; p < count; ++p) {
        // Resolved now, so that nothing written after this call is missed.
        const auto marks = watermarks(client_.get(), topic, p, deadline);
        if (!marks) return core::fail(marks.error());
        rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), p)->offset = from == From::end ? marks->second : marks->first;
      }
    const auto code = rd_kafka_assign(client_.get(), list.get());
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return core::fail(to_error(code, "assign"));
    return {};
  }

  core::Result<std::optional<Message>> next(milliseconds timeout) override {
    const auto deadline = Clock::now() + timeout;
    for (;;) {
      const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
      const MessageHandle m(rd_kafka_consumer_poll(client_.get(), static_cast<int>(std::max(left, milliseconds(0)).count())));
      if (!m) return std::optional<Message>();
      if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) return std::optional(copy_message(*m));
      if (m->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || m->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        return core::fail(to_error(m->err, "reading"));
    }
  }

 private:
  const Cluster cluster_;
  ReaderHandle client_;
};

}  // namespace

core::Result<std::unique_ptr<Reader>> make_reader(const Cluster& cluster, const std::vector<std::string>& topics, From from,
                                                  milliseconds timeout) {
  auto reader = std::make_unique<TopicReader>(cluster);
  if (auto ok = reader->open(topics, from, timeout); !ok) return core::fail(ok.error());
  return reader;
}

core::Result<void> read_to_end(const Cluster& cluster, const std::string& topic, std::int32_t partition, milliseconds timeout,
                               const std::function<void(Message)>& each, std::int64_t from) {
  const auto deadline = Clock::now() + timeout;
  const auto left = [&] { return static_cast<int>(std::max<std::int64_t>((deadline - Clock::now()) / milliseconds(1), 1)); };
  std::int64_t low = 0;
  std::int64_t end = 0;
  {
    const auto asker = make_consumer(cluster, "read_uncommitted");
    if (!asker) return core::fail(asker.error());
    const auto marks = watermarks(asker->get(), topic, partition, deadline);
    if (!marks) return core::fail(marks.error());
    std::tie(low, end) = *marks;
    low = std::max(low, from);
  }
  if (low >= end) return {};
  const auto reader = make_consumer(cluster, "read_committed");
  if (!reader) return core::fail(reader.error());
  rd_kafka_poll_set_consumer(reader->get());
  const auto list = one_partition(topic, partition, low);
  rd_kafka_assign(reader->get(), list.get());
  for (std::int64_t position = low; position < end;) {
    if (Clock::now() > deadline)
      return core::fail(ErrorKind::timeout, fmt::format("reading {}-{} to its end took too long", topic, partition));
    const MessageHandle m(rd_kafka_consumer_poll(reader->get(), std::min(left(), 1000)));
    if (!m) continue;
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      position = m->offset + 1;
      each(copy_message(*m));
    } else if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      position = m->offset;  // also moves over control records and aborted ones
    } else if (m->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
      return core::fail(to_error(m->err, topic));
    }
  }
  return {};
}

}  // namespace stsync::kafka
