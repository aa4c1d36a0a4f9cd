#include "simulation/consumer.hpp"

#include <algorithm>

namespace stsync::simulation {

using boost::asio::awaitable;
using namespace std::chrono_literals;

namespace {
constexpr core::Duration kIdleFetch = 5s;
constexpr core::Duration kPause = 200ms;
constexpr std::size_t kFetchAtOnce = 50;
constexpr std::size_t kQueueAtMost = 100;
}  // namespace

SimConsumer::SimConsumer(Port port, kafka::GroupOptions options, kafka::GroupListener& listener)
    : port_(std::move(port)),
      options_(std::move(options)),
      listener_(listener),
      who_{"", options_.instance_id, -1},
      wake_(port_.clock.make_signal()),
      changed_(port_.clock.make_signal()),
      tasks_(port_.cluster.loop, port_.clock) {
  port_.cluster.fetchers.push_back(changed_.get());
}

SimConsumer::~SimConsumer() { port_.cluster.fetchers.remove(changed_.get()); }

std::unique_ptr<kafka::LaneClient> SimConsumer::lane_client(kafka::TransactionalOptions options) {
  return std::make_unique<SimLaneClient>(port_, std::move(options), *this);
}

awaitable<void> SimConsumer::run(core::StopToken stop, core::Duration close_timeout) {
  const auto on_stop = stop.on_stop([this] { wake_->notify(); });
  tasks_.spawn("fetch", fetch());
  while (!stop.stop_requested() && !port_.dead()) {
    if (!assigned_) {
      co_await join_group(stop);
      continue;
    }
    co_await wake_->wait_until(now() + interval());
    if (!stop.stop_requested()) co_await beat(stop, close_timeout);
    listener_.messages();
  }
  co_await leave(close_timeout);
  closing_ = true;
  changed_->notify();
  co_await tasks_.join();
}

awaitable<void> SimConsumer::join_group(core::StopToken stop) {
  const auto asked = now();
  const auto joined = co_await port_.ask([&cluster = port_.cluster, who = who_, session = options_.session_timeout] {
    return cluster.broker.group().join(who, session, cluster.clock.now());
  });
  if (joined && joined->code != Code::not_now) hear(asked);
  if (joined && joined->code == Code::fenced_instance) co_return fence();
  if (joined && joined->code == Code::unknown_member) who_.member.clear();
  if (joined && joined->code == Code::ok) {
    who_.member = port_.link->member = joined->member;
    if (co_await take_assignment(stop)) co_return;
  }
  if (!stop.stop_requested() && !fenced_) co_await wake_->wait_until(now() + kPause);
}

/// Whether there is one.
awaitable<bool> SimConsumer::take_assignment(core::StopToken stop) {
  while (!stop.stop_requested() && !port_.dead()) {
    const auto asked = now();
    const auto answer = co_await port_.ask(
        [&cluster = port_.cluster, who = who_] { return cluster.broker.group().sync(who, cluster.clock.now()); });
    if (answer && answer->code != Code::not_now) hear(asked);
    if (answer && answer->code == Code::ok) {
      who_.generation = answer->generation;
      assigned_ = true;
      partitions_.clear();
      for (const auto p : answer->partitions) partitions_[p] = {};
      listener_.assigned(answer->partitions);
      co_return true;
    }
    if (answer && answer->code == Code::fenced_instance) fence();
    if ((answer && answer->code == Code::unknown_member) || now() - heard_ > options_.session_timeout) who_.member.clear();
    if (fenced_ || who_.member.empty()) co_return false;
    co_await wake_->wait_until(now() + kPause);
  }
  co_return false;
}

awaitable<std::optional<Code>> SimConsumer::heartbeat() {
  const auto asked = now();
  auto code = co_await port_.ask(
      [&cluster = port_.cluster, who = who_] { return cluster.broker.group().heartbeat(who, cluster.clock.now()); });
  if (code == Code::not_now) code.reset();  // nobody who knows of us
  if (code) hear(asked);                    // whatever it says: so it is measured
  co_return code;
}

awaitable<void> SimConsumer::beat(core::StopToken stop, core::Duration close_timeout) {
  const auto code = co_await heartbeat();
  if (code == Code::fenced_instance) co_return fence();
  const bool lost =
      code ? *code == Code::unknown_member || *code == Code::illegal_generation : now() - heard_ > options_.session_timeout;
  if (!lost && code != Code::rebalance) co_return;
  if (lost && code != Code::illegal_generation) who_.member.clear();
  co_await give_back(lost, stop, close_timeout);
}

/// Until the owner has ended its work; a membership that is not lost is kept alive meanwhile.
awaitable<void> SimConsumer::give_back(bool lost, core::StopToken stop, core::Duration close_timeout) {
  if (!std::exchange(revoking_, true)) listener_.revoked(lost);
  auto deadline = core::TimePoint::max();
  while (revoking_ && !port_.dead() && now() < deadline) {
    if (stop.stop_requested() && deadline == core::TimePoint::max()) deadline = now() + close_timeout;
    co_await wake_->wait_until(std::min(deadline, now() + interval()));
    if (!revoking_ || who_.member.empty()) continue;
    const auto code = co_await heartbeat();
    if (code == Code::unknown_member) who_.member.clear();
  }
}

/// An answer says how it was when it was asked for: it may have lain there while this process stood still.
void SimConsumer::hear(core::TimePoint asked) { heard_ = port_.link->heard = asked; }

core::TimePoint SimConsumer::last_heartbeat() const noexcept { return port_.cluster.bugs.forget_lease ? now() : heard_; }

void SimConsumer::complete_revoke() {
  if (!revoking_) return;
  revoking_ = assigned_ = false;
  partitions_.clear();
  wake_->notify();
}

void SimConsumer::fence() {
  if (std::exchange(fenced_, true)) return;
  listener_.error({core::ErrorKind::fenced, "a twin has our static identity"}, true);
}

/// A member with a fatal error has nothing to leave; a static one keeps its place for when it comes back.
awaitable<void> SimConsumer::leave(core::Duration close_timeout) {
  if (fenced_) co_return;
  core::StopSource now_closing;
  now_closing.request_stop();
  if (assigned_) co_await give_back(port_.dead(), now_closing.token(), close_timeout);
  if (!options_.instance_id.empty() || who_.member.empty()) co_return;
  co_await port_.ask([&cluster = port_.cluster, who = who_] {
    cluster.broker.group().leave(who, cluster.clock.now());
    return Code::ok;
  });
}

// --- messages ---------------------------------------------------------------------------------------------------------------

awaitable<void> SimConsumer::fetch() {
  while (!closing_ && !port_.dead()) {
    bool more = false;
    std::vector<std::int32_t> numbers;
    for (const auto& [number, p] : partitions_) numbers.push_back(number);
    for (const auto number : numbers) more = co_await fetch_from(number) || more;
    if (more) listener_.messages();
    if (!more && !closing_) co_await changed_->wait_until(now() + kIdleFetch);
  }
}

/// Whether something came.
awaitable<bool> SimConsumer::fetch_from(std::int32_t partition) {
  auto it = partitions_.find(partition);
  if (it == partitions_.end() || it->second.position < 0 || it->second.queue.size() >= kQueueAtMost) co_return false;
  const auto seeks = it->second.seeks;
  auto fetched = co_await port_.ask([&cluster = port_.cluster, topic = options_.topic, partition, from = it->second.position] {
    const auto& log = cluster.broker.log(topic, partition);
    const auto slice = log.read(from, Isolation::read_committed, kFetchAtOnce);
    Fetched out{{}, {slice.next, log.high_watermark()}};
    for (const auto& [offset, entry] : slice.seen) out.first.push_back(message_of(topic, partition, offset, *entry));
    return out;
  });
  it = partitions_.find(partition);
  if (it == partitions_.end() || it->second.seeks != seeks) co_return false;
  if (!fetched) {
    co_await port_.clock.sleep_for(kPause);
    co_return true;  // ask again
  }
  for (auto& m : fetched->first) it->second.queue.push_back(std::move(m));
  std::tie(it->second.position, it->second.end) = fetched->second;
  co_return !fetched->first.empty();
}

std::optional<kafka::Message> SimConsumer::poll(std::int32_t partition) {
  const auto it = partitions_.find(partition);
  if (it == partitions_.end() || it->second.queue.empty()) return std::nullopt;
  auto m = std::move(it->second.queue.front());
  it->second.queue.pop_front();
  return m;
}

void SimConsumer::seek(std::int32_t partition, std::int64_t offset) {
  const auto it = partitions_.find(partition);
  if (it == partitions_.end()) return;
  it->second.position = offset;
  it->second.queue.clear();
  ++it->second.seeks;
  changed_->notify();
}

std::int64_t SimConsumer::end_offset(std::int32_t partition) const {
  const auto it = partitions_.find(partition);
  return it == partitions_.end() ? -1 : it->second.end;
}

}  // namespace stsync::simulation
