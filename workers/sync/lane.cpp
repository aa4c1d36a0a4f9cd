#include "sync/lane.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include <fmt/format.h>

#include "core/text.hpp"
#include "sync/incarnation.hpp"
#include "sync/names.hpp"
#include "telemetry/log.hpp"

namespace stsync::sync {

using core::ErrorKind;
using core::Result;
using telemetry::Level;
using namespace std::chrono_literals;

namespace {

constexpr auto kRestoreTimeout = 60s;
constexpr core::Duration kRetryInit = 1s;

}  // namespace

bool LaneContext::leased() const { return clock.now() - consumer.last_heartbeat() < config.kafka.session_timeout / 2; }

std::optional<core::CrashNote> LaneContext::poison(std::string_view what) const {
  return crash_notes == nullptr ? std::nullopt : crash_notes->notes().repeated(what);
}

std::function<void()> LaneContext::forgets(std::string what) const {
  return [notes = crash_notes, what = std::move(what)] { notes->forget(what); };
}

Lane::Lane(LaneContext context, std::int32_t partition) : context_(std::move(context)), partition_(partition) {}
Lane::~Lane() = default;

void Lane::stop() {
  stop_.request_stop();
  if (current_ != nullptr) current_->on_messages();
}
void Lane::give_up() {
  stop();
  give_up_.request_stop();
}
void Lane::messages() {
  if (current_ != nullptr) current_->on_messages();
}
std::int64_t Lane::lag() const {
  if (current_ == nullptr) return 0;
  // The end counts control records too: what is left of a read partition are at most those of its last transactions.
  return std::max<std::int64_t>(0, context_.consumer.end_offset(partition_) - current_->next_offset);
}

std::map<std::string, int> Lane::phases() const {
  std::map<std::string, int> out;
  if (current_ != nullptr)
    for (const auto& [phase, count] : current_->memory.jobs().phases()) out[v1::JobState::Phase_Name(phase)] = count;
  return out;
}
std::size_t Lane::open_jobs() const { return current_ == nullptr ? 0 : current_->memory.jobs().open_bytes(); }
void Lane::add_freshness(Freshness& to) const {
  if (current_ != nullptr) to.add(current_->freshness);
}
core::Duration Lane::schedule_lag() const { return current_ == nullptr ? core::Duration::zero() : current_->schedule_lag(); }
bool Lane::busy() const noexcept { return current_ != nullptr && !current_->running.empty(); }

boost::asio::awaitable<void> Lane::run() {
  while (!stop_.stop_requested()) {
    const auto result = co_await live_once();
    ready_ = false;
    if (result || stop_.stop_requested()) continue;
    if (result.error().kind() == ErrorKind::bad_config) co_return context_.refuse(result.error());
    telemetry::log_rarely(Level::warn, "lane_restart", 5, result.error().message(),
                          {{"partition", partition_}, {"code", core::to_string(result.error().kind())}});
    context_.metrics.kafka_error(core::to_string(result.error().kind()));
    const auto signal = context_.clock.make_signal();
    const auto on_stop = stop_.token().on_stop([&signal] { signal->notify(); });
    // Without a confirmed membership the partition may be somebody else's by now: a new producer would fence its rightful owner.
    do {
      if (!stop_.stop_requested()) co_await signal->wait_until(context_.clock.now() + kRetryInit);
    } while (!stop_.stop_requested() && !context_.leased());
  }
}

namespace {

/// Fences the predecessor, reads the journal to its real end, finds where to read on.
boost::asio::awaitable<Result<Restored>> restore(kafka::LaneClient& kafka, const config::Topics& names, std::int32_t partition,
                                                 std::vector<std::string> record_topics) {
  Restored r;
  if (auto ok = co_await kafka.init(kInitTimeout); !ok) co_return core::fail(ok.error());
  if (auto ok = co_await kafka.warm_up({names.journal, names.status, names.dlq, names.usage, names.commands}); !ok)
    co_return core::fail(ok.error());
  // One that is gone, or that may not be written to, is told by the jobs that need it.
  static_cast<void>(co_await kafka.warm_up(std::move(record_topics)));
  auto ok = co_await kafka.read_to_end(names.journal, kRestoreTimeout, [&r](const kafka::Message& m) {
    r.salvage.see(m, r.memory.read(m.key.value_or(""), m.value));
  });
  if (!ok) co_return core::fail(ok.error());
  const auto committed = co_await kafka.committed(10s);
  if (!committed) co_return core::fail(committed.error());
  const auto marks = co_await kafka.watermarks(10s);
  if (!marks) co_return core::fail(marks.error());
  r.start = start_offset(*committed, r.memory.offset(), marks->first, marks->second);
  if (auto sought = co_await kafka.seek(r.start.offset); !sought) co_return core::fail(sought.error());
  // A transaction without an offset would not be fenced by generation: commit the start once.
  kafka::Batch first;
  first.offset = r.start.offset;
  first.messages = r.salvage.messages(names, r.memory, partition, r.start.offset);
  const auto report = co_await kafka.commit(std::move(first));
  if (report.outcome != kafka::Outcome::committed) co_return core::fail(report.error);
  co_return r;
}

}  // namespace

boost::asio::awaitable<Result<void>> Lane::live_once() {
  const auto& config = context_.config.kafka;
  std::unique_ptr<kafka::LaneClient> kafka;
  try {
    kafka = context_.consumer.lane_client(
        {.transactional_id = transactional_id(config.group, partition_),
         .commands_topic = config.topics.commands,
         .partition = partition_,
         .partition_counts = {{config.topics.commands, config.partitions}, {config.topics.journal, config.partitions}}});
  } catch (const std::exception& e) {  // the system has no thread for it now
    co_return core::fail(ErrorKind::broker, fmt::format("no client for the partition: {}", e.what()));
  }
  auto result = co_await live_with(*kafka);
  co_await kafka->close();
  co_return result;
}

boost::asio::awaitable<Result<void>> Lane::live_with(kafka::LaneClient& kafka) {
  const auto& names = context_.config.kafka.topics;
  std::vector<std::string> record_topics;
  for (const auto& [topic, limit] : context_.record_topics) record_topics.push_back(topic);
  auto restored = co_await restore(kafka, names, partition_, std::move(record_topics));
  if (!restored) co_return core::fail(restored.error());
  tell(restored->salvage);
  tell(restored->start);
  if (stop_.stop_requested()) co_return Result<void>();
  telemetry::log(Level::info, "lane_ready", "partition taken over",
                 {{"partition", partition_}, {"jobs", restored->memory.jobs().size()}, {"offset", restored->start.offset}});
  Incarnation incarnation(*this, kafka, std::move(*restored));
  current_ = &incarnation;
  ready_ = true;
  context_.make_room();
  auto result = co_await incarnation.live();
  current_ = nullptr;
  context_.make_room();
  co_return result;
}

void Lane::tell(const Salvage& salvage) {
  for (const auto& [key, aside] : salvage.found()) {
    context_.metrics.dead_letter(aside.code);
    telemetry::log(
        Level::warn, "journal_record_set_aside", aside.why,
        {{"partition", partition_}, {"offset", aside.message.offset}, {"key", core::printable(key, 80)}, {"code", aside.code}});
  }
  if (salvage.left() > 0)
    telemetry::log(Level::warn, "journal_records_left", "records of the journal that this version does not know",
                   {{"partition", partition_}, {"count", salvage.left()}});
}

void Lane::tell(const StartOffset& start) {
  if (start.expired > 0) {
    context_.metrics.commands_expired(start.expired);
    telemetry::log(Level::warn, "commands_expired", "commands were removed from their topic before they were read",
                   {{"partition", partition_}, {"at_most", start.expired}});
  }
  if (start.made_anew)
    telemetry::log(Level::warn, "commands_made_anew", "the topic of the commands was made anew: it is read from its beginning",
                   {{"partition", partition_}});
}

}  // namespace stsync::sync
