// A week of schedules on the classes that decide about them and on the journal: two thousand tenants, lanes that move and are
// restarted, runs that take longer than they should.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <map>
#include <queue>
#include <random>
#include <thread>
#include <unordered_map>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/text.hpp"
#include "sync/names.hpp"
#include "sync/schedules.hpp"

namespace stsync::sync {
namespace {

using namespace std::chrono_literals;
using Ms = core::WallTime::duration;

constexpr int kPartitions = 12;
constexpr Ms kWeek = 7 * 24h, kCalm = 3h, kEvery = 1h;
constexpr Ms kLookAtHeld = 5s;
constexpr Ms kKeep = 1min;  ///< finished jobs: the least that worker.dedupe_keep takes
const core::WallTime kBegin = core::parse_utc("2026-10-29T00:00:00Z").value();  // clocks change on the way

const servicetitan::Catalogue& catalogue() {
  static const auto c = servicetitan::Catalogue::load("", "").value();
  return c;
}

config::Config config_of(int tenants) {
  config::Config c;
  c.kafka.partitions = kPartitions;
  auto& app = c.apps.emplace_back();
  app.name = "acme";
  config::Schedule hourly;
  for (const auto& [name, resource] : catalogue().all())
    if (resource.in_patterns() && hourly.resources.size() < 20) hourly.resources.push_back(name);
  hourly.every = kEvery;
  for (int t = 1; t <= tenants; ++t) {
    auto& tenant = app.tenants.emplace_back();
    tenant.id = t;
    tenant.schedules = {hourly};
  }
  return c;
}

/// A stretch of time in which nothing could begin.
struct Blocked {
  core::WallTime from, to;
};

/// What one stream has had.
struct History {
  core::WallTime due;  ///< of the last run
  std::size_t runs = 0, missed = 0;
  Blocked job;  ///< the last run's
};

/// One partition of the journal, and whoever owns it.
class LaneWeek {
 public:
  LaneWeek(const config::Config& config, int partition)
      : config_(config), partition_(partition), rng_(static_cast<unsigned>(partition)) {}

  void play() {
    const auto end = kBegin + kWeek;
    next_trouble_ = kBegin + random(4h);
    take_over();
    while (now_ < end && problem.empty()) {
      end_jobs();
      begin_runs();
      if (now_ >= next_trouble_ && now_ < end - kCalm) go_away();
      auto next = std::min({lane_->next(), ends_.empty() ? end : ends_.top().first, next_trouble_ > now_ ? next_trouble_ : end});
      if (lane_->holds_any()) next = std::min(next, now_ + kLookAtHeld);
      now_ = std::min(end, std::max(next, now_ + 1ms));
    }
    for (const auto& [key, stream] : lane_->streams())
      if (const auto& had = histories_[key]; had.due <= end - kEvery)
        wrong(fmt::format("{}: the last run was due at {}", key, core::format_utc(had.due)));
  }

  std::string problem;
  std::size_t runs = 0, missed = 0, takeovers = 0;
  std::map<std::int64_t, int> by_minute;  ///< of the hour

 private:
  Ms random(Ms most) { return Ms(static_cast<Ms::rep>(rng_() % static_cast<std::uint64_t>(most.count()))); }
  void wrong(std::string what) {
    if (problem.empty()) problem = std::move(what);
  }

  void write(const std::vector<JournalEntry>& entries) {
    for (const auto& entry : entries) {
      memory_.apply(entry);
      const auto bytes = entry.bytes();
      bytes ? static_cast<void>(topic_[entry.key] = *bytes) : static_cast<void>(topic_.erase(entry.key));
    }
  }

  void take_over() {
    memory_ = Memory();
    for (const auto& [key, bytes] : topic_)
      if (!memory_.read(key, bytes)) wrong("the journal cannot be read: " + key);
    lane_.emplace(config_, catalogue(), partition_);
    write(lane_->start(memory_, now_));
    ++takeovers;
  }

  /// A rebalance of seconds, a restart of minutes, or hours without anybody.
  void go_away() {
    const auto sort = rng_() % 10;
    const auto gone = 5s + random(sort < 6 ? Ms(40s) : sort < 9 ? Ms(5min) : Ms(150min));
    away_.push_back({now_, now_ + gone});
    now_ += gone;
    next_trouble_ = now_ + random(4h);
    take_over();
  }

  void begin_runs() {
    lane_->look_again();
    while (auto run = lane_->take(memory_, now_, 1u << 30)) {
      write(journal_of(*run, 0, now_));
      note(*run);
      // Now and then one takes longer than there is time.
      const auto takes = rng_() % 100 == 0 && now_ < kBegin + kWeek - kCalm ? random(100min) : 500ms + random(90s);
      histories_[run->key].job = {now_, now_ + takes};
      ends_.emplace(now_ + takes, job_journal_key(run->command.app(), run->command.tenant(), run->command.id()));
    }
  }

  void end_jobs() {
    for (; !ends_.empty() && ends_.top().first <= now_; ends_.pop()) {
      const auto& key = ends_.top().second;
      auto job = *memory_.job(key);
      auto& had = histories_[schedule_journal_key("acme", job.command().tenant(), job.command().sync().resource())];
      had.job.to = now_;
      end_job(job, v1::JobState::completed, now_);
      std::vector<JournalEntry> journal{{key, job}};
      note_scheduled_end(journal, memory_, job);
      write(journal);
    }
    std::vector<JournalEntry> old;
    for (const auto& key : memory_.jobs().expired((now_ - kKeep).time_since_epoch().count(), {50'000, 1u << 30}, 500))
      old.push_back({key, std::nullopt});
    write(old);
  }

  /// Every run follows the one before in the right distance, and is late only by what kept it from beginning.
  void note(const ScheduledRun& run) {
    auto& had = histories_[run.key];
    const auto first_due = had.runs == 0 ? run.due - run.missed * kEvery : had.due + kEvery;
    if (run.due != first_due + run.missed * kEvery)
      return wrong(fmt::format("{}: a run due at {} that stands for {} follows one of {}", run.key, core::format_utc(run.due),
                               run.missed, core::format_utc(had.due)));
    if (run.due > now_) wrong(run.key + ": begins before it is due");
    const auto late = now_ - first_due;
    const auto [blocked, times] = blocked_between(had.job, first_due);
    if (late - blocked > kLookAtHeld * (times + 1))
      wrong(fmt::format("{}: due at {}, begins at {}, and nothing kept it but for {} ms", run.key, core::format_utc(first_due),
                        core::format_utc(now_), blocked.count()));
    if (had.runs == 0 && first_due > kBegin + kEvery) wrong(run.key + ": its first run is not within the first hour");
    had.due = run.due;
    ++had.runs;
    had.missed += static_cast<std::size_t>(run.missed);
    ++runs;
    missed += static_cast<std::size_t>(run.missed);
    ++by_minute[(run.due.time_since_epoch() / 1min) % 60];
  }

  std::pair<Ms, int> blocked_between(const Blocked& job, core::WallTime from) const {
    auto reached = from;
    Ms sum{};
    int times = 0;
    const auto add = [&](const Blocked& b) {
      const auto begin = std::max(b.from, reached), end = std::min(b.to, now_);
      if (begin >= end) return;
      sum += end - begin;
      reached = end;
      ++times;
    };
    bool job_added = false;
    for (const auto& gone : away_) {
      if (!job_added && job.from <= gone.from) {
        add(job);
        job_added = true;
      }
      if (gone.to > from) add(gone);
    }
    if (!job_added) add(job);
    return {sum, times};
  }

  const config::Config& config_;
  const int partition_;
  std::mt19937_64 rng_;
  core::WallTime now_ = kBegin, next_trouble_;
  std::unordered_map<std::string, std::string> topic_;  ///< compacted
  Memory memory_;
  std::optional<Schedules> lane_;
  std::unordered_map<std::string, History> histories_;
  std::vector<Blocked> away_;
  std::priority_queue<std::pair<core::WallTime, std::string>, std::vector<std::pair<core::WallTime, std::string>>, std::greater<>>
      ends_;
};

void week(int tenants) {
  const auto config = config_of(tenants);
  std::vector<LaneWeek> lanes;
  for (int p = 0; p < kPartitions; ++p) lanes.emplace_back(config, p);
  std::atomic<std::size_t> next = 0;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i)
    threads.emplace_back([&] {
      for (auto p = next++; p < lanes.size(); p = next++) lanes[p].play();
    });
  for (auto& thread : threads) thread.join();
  std::size_t runs = 0, missed = 0, takeovers = 0;
  std::map<std::int64_t, int> by_minute;
  for (const auto& lane : lanes) {
    EXPECT_EQ(lane.problem, "");
    runs += lane.runs;
    missed += lane.missed;
    takeovers += lane.takeovers;
    for (const auto& [minute, count] : lane.by_minute) by_minute[minute] += count;
  }
  const auto due = static_cast<std::size_t>(tenants) * 20 * 7 * 24;
  EXPECT_EQ(runs + missed, due);
  EXPECT_LT(missed, due / 10);
  EXPECT_GT(takeovers, kPartitions * 20u);
  const auto most = std::max_element(by_minute.begin(), by_minute.end(), [](auto& a, auto& b) { return a.second < b.second; });
  EXPECT_EQ(by_minute.size(), 60u);
  EXPECT_LT(most->second, static_cast<int>(runs / 60 * 3 / 2)) << "in minute " << most->first;
  std::printf("%zu runs, %zu missed runs in others, %zu takeovers, at most %.2f times the mean in a minute\n", runs, missed,
              takeovers, most->second * 60.0 / static_cast<double>(runs));
}

TEST(Week, OfTwoHundredTenantsEveryRunHappensOnceAndNoHerdCrossesTheHour) { week(200); }
TEST(LongWeek, OfTwoThousandTenantsEveryRunHappensOnceAndNoHerdCrossesTheHour) { week(2000); }

}  // namespace
}  // namespace stsync::sync
