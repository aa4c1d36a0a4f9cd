#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>

#include "core/crash_notes.hpp"
#include "core/task_group.hpp"
#include "kafka/consumer.hpp"
#include "servicetitan/api.hpp"
#include "sync/committer.hpp"
#include "sync/freshness.hpp"
#include "sync/intake.hpp"
#include "sync/job.hpp"
#include "sync/memory_shares.hpp"

namespace stsync::sync {

class Salvage;
struct StartOffset;

/// What a lane needs of its worker; everything outlives the lane.
struct LaneContext {
  boost::asio::any_io_executor loop;
  core::Clock& clock;
  core::Rng& rng;
  const config::Config& config;
  const servicetitan::Catalogue& catalogue;
  kafka::GroupConsumer& consumer;
  servicetitan::Api& api;
  limits::Limiter& limiter;
  telemetry::Metrics& metrics;
  const std::map<std::string, RecordTopic>& record_topics;  ///< those that exist
  std::function<int()> busy_lanes;
  core::ByteBudget& page_memory;
  MemoryShares shares;
  std::function<std::size_t()> lanes;              ///< of the worker
  std::function<std::size_t()> open_jobs;          ///< bytes of memory, in all lanes of the worker
  std::function<void(const core::Error&)> refuse;  ///< the worker must end: the cluster is not what the configuration says
  core::CrashNoteFile* crash_notes = nullptr;      ///< of earlier lives of the worker; none: nothing is known of them

  /// The newest note of what crashed the worker twice.
  std::optional<core::CrashNote> poison(std::string_view what) const;
  /// What was set aside is settled.
  std::function<void()> forgets(std::string what) const;

  /// Whether the group confirmed our membership lately: only then may the vendor be called for our partitions.
  bool leased() const;
  /// Bytes of memory for jobs to come.
  std::size_t free_memory() const { return shares.free_for_jobs(open_jobs()); }
  /// Pages leave room for jobs that are more than their share.
  void make_room() const { page_memory.limit(shares.pages(open_jobs())); }
};

/// One partition of the commands topic: its producer, its journal, its jobs (design 4). Loop thread only.
class Lane {
 public:
  Lane(LaneContext context, std::int32_t partition);
  ~Lane();

  /// Restores, works, and starts anew after a doubtful commit, until stop() and everything has ended.
  boost::asio::awaitable<void> run();
  /// Ends calls at once and lets the open commit finish. `give_up`: not even that.
  void stop();
  void give_up();
  /// There may be commands to read.
  void messages();
  bool ready() const noexcept { return ready_; }
  bool busy() const noexcept;
  /// Commands that are there but not read yet.
  std::int64_t lag() const;
  /// Of jobs that have not ended, in bytes.
  std::size_t open_jobs() const;
  /// How many jobs are in each phase.
  std::map<std::string, int> phases() const;
  /// How new the records are that were published of its streams, as of the last minute.
  void add_freshness(Freshness& to) const;
  /// How long the scheduled run that waits longest has been due.
  core::Duration schedule_lag() const;
  std::int32_t partition() const noexcept { return partition_; }

 private:
  struct Incarnation;
  boost::asio::awaitable<core::Result<void>> live_once();
  boost::asio::awaitable<core::Result<void>> live_with(kafka::LaneClient& kafka);
  void tell(const Salvage& salvage);
  void tell(const StartOffset& start);

  LaneContext context_;
  const std::int32_t partition_;
  core::StopSource stop_;
  core::StopSource give_up_;
  bool ready_ = false;
  Incarnation* current_ = nullptr;
};

}  // namespace stsync::sync
