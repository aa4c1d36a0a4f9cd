#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "core/clock.hpp"
#include "simulation/cluster.hpp"
#include "simulation/vendor_model.hpp"
#include "stsync/v1/command.pb.h"
#include "stsync/v1/status.pb.h"

namespace stsync::simulation {

/// What became of jobs, as far as the topic of statuses shows it. Reads on from where it stopped.
class StatusReader {
 public:
  StatusReader(const BrokerModel& broker, std::string topic) : broker_(broker), topic_(std::move(topic)) {}
  struct Told {
    v1::StatusEvent event;
    std::uint64_t batch = 0;
    std::uint64_t ended = 0;   ///< the order of its transaction
    std::int64_t offset = -1;  ///< those of a tenant stand in one partition
  };
  using History = std::vector<Told>;
  void read_on();
  /// By "app/tenant/job", in order.
  const std::map<std::string, History>& jobs() const noexcept { return jobs_; }
  /// Empty: nothing was told of it.
  const History& job(const std::string& name) const;
  /// Whether an end of this job was told.
  bool ended(const std::string& job) const;
  /// Whether it was told to run and not yet that it stopped.
  bool runs(const std::string& job) const;

 private:
  const BrokerModel& broker_;
  const std::string topic_;
  std::map<std::int32_t, std::int64_t> positions_;
  std::map<std::string, History> jobs_;
};

/// The first event of a kind; null: there is none.
const StatusReader::Told* first(const StatusReader::History& history, v1::StatusEvent::Type type);
const StatusReader::Told* end_of(const StatusReader::History& history);
core::WallTime to_time(const google::protobuf::Timestamp& time);
inline core::WallTime time_of(const v1::StatusEvent& event) { return to_time(event.time()); }

std::string job_name(const v1::Command& command);
/// "jpm.jobs" -> "jpm/jobs"
std::string path_of(const std::string& resource);
/// Another command with the id of a known one: told under that id, and nothing of its job's.
bool conflict(const v1::StatusEvent& event);
bool is_end(const v1::StatusEvent& event);

/// What must hold of the topics once everybody has stopped, whatever happened before.
class Checker {
 public:
  /// `open`: names of jobs that need not have ended.
  Checker(const SimCluster& cluster, const VendorModel& vendor, const config::Config& config, const StatusReader& statuses,
          const std::vector<v1::Command>& sent, const std::set<std::string>& open)
      : cluster_(cluster), vendor_(vendor), config_(config), statuses_(statuses), sent_(sent), open_(open) {}
  /// A line for each thing that is wrong.
  std::vector<std::string> check();
  std::size_t records() const noexcept { return records_; }

 private:
  struct Published {
    std::int32_t partition = 0;
    std::int64_t offset = 0;
    std::uint64_t ended = 0;
    std::string key, value;
  };
  using Sequence = std::multimap<std::int64_t, Published>;  ///< by st-job's number
  struct Cursor {
    std::int64_t token = 0;
    core::WallTime watermark;
  };

  void check_transactions();
  void check_statuses();
  void check_history(const std::string& job, const std::vector<StatusReader::Told>& told);
  void read_records(const std::string& topic, const std::string& resource);
  void check_job(const std::string& job, const Sequence& records);
  void check_feed_job(const v1::Command& command, const Sequence& records);
  void check_feed_window(const v1::Command& command, const Sequence& records);
  std::set<std::string> wanted_ids(const v1::Command& command) const;
  void check_lists();
  void check_list(const ListModel& list, std::int64_t tenant, const std::string& resource);
  std::map<std::string, Cursor> read_cursors();
  void check_tokens();
  std::map<std::string, std::int64_t> first_rows() const;
  void check_controls_had_effect();
  void check_offsets();
  void check_memory();
  void wrong(std::string what) { problems_.push_back(std::move(what)); }

  const SimCluster& cluster_;
  const VendorModel& vendor_;
  const config::Config& config_;
  const StatusReader& statuses_;
  const std::vector<v1::Command>& sent_;
  const std::set<std::string>& open_;
  std::map<std::string, Sequence> jobs_;
  std::map<std::string, std::vector<std::string>> markers_;  ///< by job
  std::map<std::string, Cursor> cursors_;                    ///< by "tenant/resource"
  std::map<std::string, std::vector<bool>> covered_;         ///< by "tenant/resource": the n that were published
  std::set<std::uint64_t> answers_;                          ///< transactions that answer a command that came twice
  std::size_t records_ = 0;
  std::vector<std::string> problems_;
};

}  // namespace stsync::simulation
