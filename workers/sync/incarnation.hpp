#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "core/task_group.hpp"
#include "sync/answers.hpp"
#include "sync/control.hpp"
#include "sync/freshness.hpp"
#include "sync/job_slots.hpp"
#include "sync/lane.hpp"
#include "sync/salvage.hpp"
#include "sync/schedules.hpp"
#include "sync/start_offset.hpp"
#include "sync/stream_gate.hpp"

namespace stsync::sync {

/// Of a new producer, before it is given up.
inline constexpr std::chrono::seconds kInitTimeout{20};

/// What is found out before the lane can work.
struct Restored {
  Memory memory;
  StartOffset start;
  Salvage salvage;
};

/// A stream that is being read, and by whom: keys of jobs, empty for nobody.
struct BusyStream {
  std::unique_ptr<StreamGate> gate;
  std::string host, guest;
};

/// Everything that dies with a producer: a lane in doubt throws it away and restores the next one from the journal.
struct Lane::Incarnation final : TransactionRunner {
  Incarnation(Lane& lane, kafka::LaneClient& kafka, Restored restored);

  boost::asio::awaitable<core::Result<void>> live();
  void on_messages() { intake_wake->notify(); }
  boost::asio::awaitable<kafka::CommitReport> commit(kafka::Batch batch) override;

  // Commands.
  boost::asio::awaitable<void> read_commands();
  /// Returns the tenant whose jobs it may let begin; nothing: nobody's.
  std::optional<std::string> take(const kafka::Message& m);
  bool may_read_on() const;
  void submit_answer(Contribution c, const kafka::Message& to);
  void control(const Control& control, const Answering& to);
  std::optional<Refusal> control_jobs(const v1::Command& command, Contribution& changes);
  void control_job(v1::Command::ActionCase action, const std::string& key);
  std::optional<Refusal> control_cursor(const v1::Command& command, Contribution& changes);

  // Jobs.
  void start_jobs();
  void start_jobs_of(const std::string& job_prefix);
  bool may_start(const v1::JobState& state) const;
  std::optional<StreamSeat> take_seat(const std::string& key, const v1::JobState& state);
  void leave_seat(const std::string& key, const std::string& stream);
  boost::asio::awaitable<void> run_job(std::string key);
  void do_what_is_left();
  void expire(const std::string& key);
  void change(const std::string& key, v1::StatusEvent::Type type, const std::optional<v1::Failure>& why = {},
              std::function<void()> on_committed = {});
  bool set_aside(const std::string& key);

  // What begins by itself.
  boost::asio::awaitable<void> run_schedules();
  std::size_t begin_runs();
  core::Duration schedule_lag() const;

  boost::asio::awaitable<void> housekeeping();
  boost::asio::awaitable<void> measure_freshness();
  void forget_finished();
  void sample_usage();

  core::WallTime wall() const { return ctx.clock.wall_now(); }
  const config::Topics& topics() const { return ctx.config.kafka.topics; }

  Lane& lane;
  LaneContext& ctx;
  kafka::LaneClient& kafka;
  Memory memory;
  Schedules schedules;
  Freshness freshness;
  std::int64_t next_offset;
  std::int64_t committed_offset;
  std::size_t unanswered = 0;     ///< bytes of commands that were read and whose answers are not committed
  limits::FairGate commit_turns;  ///< outlives what the committer holds
  Committer committer;
  core::StopSource stop;  ///< ends this incarnation only
  std::unique_ptr<core::Signal> intake_wake, tick, schedules_wake;
  std::map<std::string, UsageRows> usage;
  core::WallTime usage_since;
  JobContext job_context;
  std::map<std::string, std::unique_ptr<Job>> running;  ///< by journal key
  JobSlots slots;                                       ///< of those
  std::map<std::string, BusyStream> busy_streams;       ///< by key
  std::set<std::string> held;                           ///< tenants whose first call waits out the vendor's window
  core::TimePoint started;
  core::TaskGroup tasks;
};

}  // namespace stsync::sync
