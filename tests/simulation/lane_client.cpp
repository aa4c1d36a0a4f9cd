#include "simulation/lane_client.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "kafka/client.hpp"

namespace stsync::simulation {

using boost::asio::awaitable;
using core::Error;
using core::ErrorKind;
using core::Result;
using kafka::CommitReport;
using kafka::Outcome;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

namespace {

constexpr core::Duration kRequestTimeout = 10s;
constexpr core::Duration kPause = 100ms;
constexpr std::size_t kFetchAtOnce = 200;

/// The kinds that the real client makes of Kafka's errors.
Error to_error(Code code, const std::string& what) {
  switch (code) {
    case Code::producer_fenced:
    case Code::fenced_instance:
    case Code::illegal_generation:
    case Code::unknown_member:
      return {ErrorKind::fenced, what + ": fenced"};
    case Code::unknown_topic:
      return {ErrorKind::not_found, what + ": there is no such topic"};
    default:
      return {ErrorKind::broker, what + ": refused"};
  }
}
Error no_answer(const std::string& what) { return {ErrorKind::broker, what + ": no answer"}; }

CommitReport unclear(Error why) { return {why.kind() == ErrorKind::fenced ? Outcome::fenced : Outcome::doubt, std::move(why), {}}; }
CommitReport in_doubt(const std::string& why) { return {Outcome::doubt, Error(ErrorKind::doubt, why), {}}; }

/// Whether the broker wants to be asked once more.
bool again(Code code) { return code == Code::not_now || code == Code::concurrent; }
bool again(const ProducerId& id) { return id.id < 0; }
template <class Answer>
bool again(const Answer&) {
  return false;
}

struct Collector final : kafka::MessageSink {
  explicit Collector(std::vector<kafka::OwnedMessage>& out) : all(out) {}
  bool add(const kafka::MessageView& m) override {
    kafka::OwnedMessage copy{std::string(m.topic), m.partition, std::string(m.key), std::nullopt, {}};
    if (m.value) copy.value = std::string(*m.value);
    for (const auto& [name, value] : m.headers) copy.headers.emplace_back(name, value);
    all.push_back(std::move(copy));
    return true;
  }
  std::vector<kafka::OwnedMessage>& all;
};

}  // namespace

kafka::Message message_of(const std::string& topic, std::int32_t partition, std::int64_t offset, const Entry& entry) {
  return {topic, partition, offset, entry.timestamp_ms, entry.key, entry.value, entry.headers};
}

template <class F>
awaitable<std::optional<std::invoke_result_t<F&>>> SimLaneClient::insist(F carry_out, core::TimePoint deadline, bool may_be_late,
                                                                         int* sent) {
  while (!port_.dead()) {
    if (sent != nullptr) ++*sent;
    auto answer = co_await port_.ask(carry_out, kRequestTimeout, may_be_late);
    if (answer && !again(*answer)) co_return answer;
    if (now() >= deadline) break;
    co_await port_.clock.sleep_for(kPause);
  }
  co_return std::nullopt;
}

// --- taking over ------------------------------------------------------------------------------------------------------------

awaitable<Result<void>> SimLaneClient::init(milliseconds timeout) {
  deadline_ = now() + timeout;
  if (port_.cluster.rng.unit() < port_.cluster.network.trouble.refused) co_return core::fail(no_answer("init_transactions"));
  if (port_.cluster.bugs.journal_to_stable) co_return Result<void>();  // only when there is something to commit
  co_return co_await fence();
}

awaitable<Result<void>> SimLaneClient::fence() {
  auto& broker = port_.cluster.broker;
  const auto id =
      co_await insist([&broker, &clock = port_.cluster.clock, name = options_.transactional_id,
                       timeout = options_.transaction_timeout] { return broker.init_producer(name, timeout, clock.now()); },
                      deadline_, true);
  if (!id) co_return core::fail(no_answer("init_transactions"));
  producer_ = *id;
  port_.cluster.takeovers.emplace(options_.partition, port_.cluster.clock.wall_now());
  co_return Result<void>();
}

awaitable<Result<void>> SimLaneClient::warm_up(std::vector<std::string> topics) {
  auto& broker = port_.cluster.broker;
  const auto known = co_await insist(
      [&broker, topics = std::move(topics)] {
        for (const auto& topic : topics)
          if (broker.partitions(topic) == 0) return Code::unknown_topic;
        return Code::ok;
      },
      now() + 10s);
  if (!known) co_return core::fail(no_answer("metadata"));
  if (*known != Code::ok) co_return core::fail(to_error(*known, "metadata"));
  co_return Result<void>();
}

awaitable<Result<void>> SimLaneClient::read_to_end(std::string topic, milliseconds timeout,
                                                   std::function<void(const kafka::Message&)> each) {
  const auto deadline = now() + timeout;
  auto& cluster = port_.cluster;
  const auto partition = options_.partition;
  if (cluster.rng.unit() < cluster.network.trouble.refused) co_return core::fail(no_answer("reading " + topic));
  const auto end = co_await insist(
      [&cluster, topic, partition] {
        const auto& log = cluster.broker.log(topic, partition);
        return cluster.bugs.journal_to_stable ? log.last_stable_offset() : log.high_watermark();
      },
      deadline);
  if (!end) co_return core::fail(no_answer("the end of " + topic));
  for (std::int64_t position = 0; position < *end;) {
    using Read = std::pair<std::vector<kafka::Message>, std::int64_t>;
    const auto read = co_await insist(
        [&cluster, topic, partition, position] {
          const auto slice = cluster.broker.log(topic, partition).read(position, Isolation::read_committed, kFetchAtOnce);
          Read out{{}, slice.next};
          for (const auto& [offset, entry] : slice.seen) out.first.push_back(message_of(topic, partition, offset, *entry));
          return out;
        },
        deadline);
    if (!read) co_return core::fail(no_answer("reading " + topic));
    for (const auto& m : read->first) each(m);
    const bool stuck = std::exchange(position, read->second) == read->second;
    if (position < *end && now() > deadline)
      co_return core::fail(ErrorKind::timeout, fmt::format("reading {}-{} to its end took too long", topic, partition));
    if (stuck) co_await port_.clock.sleep_for(kPause);
  }
  co_return Result<void>();
}

awaitable<Result<std::optional<std::int64_t>>> SimLaneClient::committed(milliseconds timeout) {
  const auto deadline = now() + timeout;
  auto& cluster = port_.cluster;
  if (cluster.rng.unit() < cluster.network.trouble.refused) co_return core::fail(no_answer("committed offset"));
  for (;;) {
    const auto answer =
        co_await insist([&cluster, partition = options_.partition] { return cluster.broker.committed(partition); }, deadline);
    if (answer && answer->code == Code::ok) co_return answer->offset;
    if (cluster.bugs.journal_to_stable && answer) co_return std::optional<std::int64_t>();
    if (!answer || now() > deadline) co_return core::fail(no_answer("committed offset"));
    co_await port_.clock.sleep_for(kPause);
  }
}

awaitable<Result<std::pair<std::int64_t, std::int64_t>>> SimLaneClient::watermarks(milliseconds timeout) {
  auto& cluster = port_.cluster;
  const auto end =
      co_await insist([&cluster, topic = options_.commands_topic,
                       partition = options_.partition] { return cluster.broker.log(topic, partition).high_watermark(); },
                      now() + timeout);
  if (!end) co_return core::fail(no_answer("offsets of " + options_.commands_topic));
  co_return std::pair<std::int64_t, std::int64_t>(0, *end);
}

awaitable<Result<void>> SimLaneClient::seek(std::int64_t offset) {
  member_.seek(options_.partition, offset);
  co_return Result<void>();
}

// --- transactions -----------------------------------------------------------------------------------------------------------

awaitable<CommitReport> SimLaneClient::commit(kafka::Batch batch) {
  const auto start = now();
  deadline_ = start + options_.transaction_timeout;
  const bool only_offset = batch.runs.empty() && batch.messages.empty();
  if (port_.cluster.bugs.journal_to_stable && producer_.id < 0 && only_offset)
    co_return CommitReport{Outcome::committed, Error(ErrorKind::internal, ""), {}};
  if (producer_.id < 0)
    if (auto ok = co_await fence(); !ok) co_return unclear(ok.error());
  auto& batches = port_.cluster.batches;
  const auto number = batches.size() + 1;
  batches[number] = {};
  auto report = co_await transaction(std::move(batch), number);
  publish(0);
  report.took = std::chrono::duration_cast<std::chrono::microseconds>(now() - start);
  if (!port_.dead()) batches[number].told = report.outcome;
  co_return report;
}

/// So many bytes of records from now on.
void SimLaneClient::publish(std::size_t bytes) {
  auto& all = port_.link->publishing;
  all += bytes - std::exchange(publishing_, bytes);
  if (!port_.dead()) port_.cluster.most_publishing = std::max(port_.cluster.most_publishing, all);
}

awaitable<CommitReport> SimLaneClient::transaction(kafka::Batch batch, std::uint64_t number) {
  if (broken_) co_return in_doubt("begin_transaction: the producer is broken");
  ends_sent_ = 0;
  opened_ = false;
  auto pieces = cut(batch, number);
  for (auto& piece : pieces) {
    if (auto failed = co_await write(std::move(piece))) co_return std::move(*failed);
    if (aborts_now()) co_return co_await abort(Error(ErrorKind::broker, "produce: so it is"));
  }
  if (batch.offset >= 0)
    if (auto failed = co_await send_offset(batch.offset)) co_return std::move(*failed);
  co_return co_await end();
}

/// What goes to a partition in one request.
std::vector<SimLaneClient::Piece> SimLaneClient::cut(const kafka::Batch& batch, std::uint64_t number) {
  std::vector<kafka::OwnedMessage> messages;
  Collector sink(messages);
  for (const auto& run : batch.runs) run->write(sink);
  publish(std::accumulate(messages.begin(), messages.end(), std::size_t{0},
                          [](auto sum, const auto& m) { return sum + (m.value ? m.value->size() : 0); }));
  messages.insert(messages.end(), batch.messages.begin(), batch.messages.end());
  std::vector<Piece> out;
  std::map<Place, std::size_t> index;
  for (auto& m : messages) {
    const auto count = port_.cluster.broker.partitions(m.topic);
    const auto partition = m.partition != kafka::kAnyPartition ? m.partition : count == 0 ? 0 : kafka::partition_for(m.key, count);
    const auto [at, fresh] = index.try_emplace({m.topic, partition}, out.size());
    if (fresh) out.push_back({{m.topic, partition}, {}});
    Entry entry;
    entry.batch = number;
    entry.key = std::move(m.key);
    entry.value = std::move(m.value);
    entry.headers = std::move(m.headers);
    out[at->second].entries.push_back(std::move(entry));
  }
  port_.cluster.batches[number].messages = messages.size();
  return out;
}

/// Nothing when it is written.
awaitable<std::optional<CommitReport>> SimLaneClient::write(Piece piece) {
  auto& sequence = sequences_[piece.place];
  const auto count = static_cast<std::int64_t>(piece.entries.size());
  const auto code = co_await insist(
      [&cluster = port_.cluster, id = options_.transactional_id, who = producer_, place = piece.place, first = sequence,
       entries = piece.entries] {
        if (cluster.rng.unit() < cluster.network.trouble.out_of_order) return Code::out_of_order;
        return cluster.broker.produce(id, who, place.first, place.second, first, entries, cluster.clock.now());
      },
      deadline_);
  opened_ = opened_ || !code || *code == Code::ok;
  if (!code) co_return co_await abort(no_answer("produce"));
  if (*code == Code::ok) {
    sequence += count;
    co_return std::nullopt;
  }
  auto why = to_error(*code, "produce to " + piece.place.first);
  if (*code == Code::unknown_topic) co_return co_await abort(std::move(why));
  broken_ = true;
  co_return unclear(std::move(why));
}

awaitable<std::optional<CommitReport>> SimLaneClient::send_offset(std::int64_t offset) {
  if (port_.cluster.bugs.offset_outside) {
    co_await insist(
        [&broker = port_.cluster.broker, partition = options_.partition, offset] {
          broker.set_offset(partition, offset);
          return Code::ok;
        },
        deadline_);
    co_return std::nullopt;
  }
  const auto code =
      co_await insist([&cluster = port_.cluster, id = options_.transactional_id, who = producer_, member = member_.identity(),
                       partition = options_.partition,
                       offset] { return cluster.broker.commit_offset(id, who, member, partition, offset, cluster.clock.now()); },
                      deadline_);
  opened_ = opened_ || !code || *code == Code::ok;
  if (!code) co_return co_await abort(no_answer("send_offsets_to_transaction"));
  if (*code == Code::ok) co_return std::nullopt;
  auto why = to_error(*code, "send_offsets_to_transaction");
  if (*code != Code::producer_fenced) co_return co_await abort(std::move(why));
  broken_ = true;
  co_return unclear(std::move(why));
}

awaitable<std::optional<Code>> SimLaneClient::end_transaction(bool commit) {
  return insist([&cluster = port_.cluster, id = options_.transactional_id, who = producer_,
                 commit] { return cluster.broker.end_transaction(id, who, commit, cluster.clock.now()); },
                deadline_, true, &ends_sent_);
}

/// As the real producer: a commit is believed only when one EndTxn was sent and answered in time.
awaitable<CommitReport> SimLaneClient::end() {
  const auto start = now();
  const auto code = co_await end_transaction(true);
  if (!code && port_.cluster.bugs.repeat_in_doubt) co_return CommitReport{Outcome::aborted, no_answer("commit_transaction"), {}};
  if (!code) co_return unclear(no_answer("commit_transaction"));
  if (*code != Code::ok) {
    broken_ = true;
    co_return unclear(to_error(*code, "commit_transaction"));
  }
  const CommitReport committed{Outcome::committed, Error(ErrorKind::internal, ""), {}};
  if (ends_sent_ != 1 && port_.cluster.bugs.repeat_in_doubt)
    co_return CommitReport{Outcome::aborted, no_answer("commit_transaction"), {}};
  if (port_.cluster.bugs.trust_late_commit) co_return committed;
  if (ends_sent_ != 1) co_return in_doubt(fmt::format("EndTxn was sent {} times", ends_sent_));
  if (now() - start > kRequestTimeout) co_return in_doubt("the commit outlived the request timeout");
  co_return committed;
}

awaitable<CommitReport> SimLaneClient::abort(Error why) {
  const auto outcome = why.kind() == ErrorKind::fenced ? Outcome::fenced : Outcome::aborted;
  if (!opened_) co_return CommitReport{outcome, std::move(why), {}};  // the broker knows of nothing that could be aborted
  const auto code = co_await end_transaction(false);
  // A second copy of EndTxn that is still on its way could end what the producer does next.
  const bool sent_again = ends_sent_ > 1 && outcome == Outcome::aborted && !port_.cluster.bugs.trust_late_abort;
  if (code == Code::ok) co_return CommitReport{sent_again ? Outcome::doubt : outcome, std::move(why), {}};
  broken_ = true;
  co_return CommitReport{outcome == Outcome::fenced ? Outcome::fenced : Outcome::doubt, std::move(why), {}};
}

}  // namespace stsync::simulation
