#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "config/config.hpp"
#include "core/byte_budget.hpp"
#include "core/clock.hpp"
#include "core/rng.hpp"
#include "core/stop.hpp"
#include "servicetitan/catalogue.hpp"
#include "servicetitan/classify.hpp"
#include "servicetitan/crawl.hpp"
#include "servicetitan/page_sizer.hpp"
#include "servicetitan/page_source.hpp"
#include "servicetitan/plan.hpp"
#include "servicetitan/report_pace.hpp"
#include "stsync/v1/journal.pb.h"
#include "sync/committer.hpp"
#include "sync/drift.hpp"
#include "sync/record_run.hpp"
#include "sync/stream_gate.hpp"
#include "telemetry/metrics.hpp"

namespace stsync::sync {

/// Calls and records since the last usage sample, by resource.
using UsageRows = std::map<std::string, v1::UsageRow>;

/// What is known of a topic that records go to.
struct RecordTopic {
  std::size_t record_limit = 1'000'000;  ///< bytes
  int partitions = 0;                    ///< 0: not known
};

/// What a job needs of its lane; everything outlives the job.
struct JobContext {
  core::Clock& clock;
  core::Rng& rng;
  const config::Config& config;
  const servicetitan::Catalogue& catalogue;
  servicetitan::PageSource& pages;
  telemetry::Metrics& metrics;
  Committer& committer;
  const Memory& memory;
  std::function<bool()> may_call;  ///< the lane's lease
  std::function<RecordTopic(const std::string& topic)> record_topic;
  std::map<std::string, UsageRows>& usage;  ///< by tenant key
  core::ByteBudget& page_memory;            ///< of the pages of all jobs of the worker
  limits::FairGate& commit_turns;           ///< of the pages that wait to be committed in this lane, by bytes
};

enum class JobEnd {
  finished,      ///< completed or failed, and committed
  cancelled,     ///< by command, and committed
  paused,        ///< by command, and committed
  lane_stopped,  ///< the lane ends: the journal holds where to go on
};

/// Where a job reads: some streams are read by two.
struct StreamSeat {
  StreamGate* gate = nullptr;  ///< outlives the job; null: nobody else reads the stream
  bool guest = false;
};

/// One job from its start, or from where the journal says it stood, to its end. Pages are requested one after the other; at most
/// two are not committed: one waiting, one being fetched. Loop thread only.
class Job final : public servicetitan::CallObserver {
 public:
  Job(JobContext& context, std::string key, v1::JobState state, StreamSeat seat = {});
  boost::asio::awaitable<JobEnd> run(core::StopToken lane_stop);

  /// Stops it at the next page. What cannot be taken back wins: a cancelled job stays cancelled.
  void cancel();
  void pause();
  /// It fails with this.
  void give_up(core::Error why);
  /// Its last word is said: what is asked now comes too late.
  bool ending() const noexcept { return ending_; }
  const v1::JobState& state() const noexcept { return state_; }

  void throttled(const core::Error& why) override;
  void retrying(const core::Error& why, core::Duration wait) override;
  bool may_call() override { return context_.may_call(); }
  limits::WorkClass work() const override { return work_of(state_.command().sync()); }
  std::string at_work() const override { return key_; }

 private:
  struct Uncommitted {
    std::shared_ptr<Ticket> ticket;
    v1::JobState state;
  };

  std::optional<core::Error> begin();
  std::optional<core::Error> make_redactor();
  std::optional<core::Error> make_crawl();
  core::Result<servicetitan::Plan> make_plan() const;
  std::int64_t settled_ms() const;
  bool close_window_earlier();
  servicetitan::PageSizer& sizer_of(const servicetitan::Endpoint& endpoint);
  bool ask_for_less(const servicetitan::Request& request, const core::Error& error);
  boost::asio::awaitable<std::optional<core::Error>> crawl_pages();
  boost::asio::awaitable<core::Result<servicetitan::FetchedPage>> fetch(const servicetitan::Request& request,
                                                                        core::Reservation& memory);
  boost::asio::awaitable<std::optional<core::Error>> take_turn(const servicetitan::Request& request);
  boost::asio::awaitable<std::optional<core::Error>> wait_for_run(bool at_once);
  void ran();
  boost::asio::awaitable<bool> asks_again(const servicetitan::Request& request, const core::Error& error,
                                          servicetitan::Attempts& attempts);
  boost::asio::awaitable<void> say_farewell();
  boost::asio::awaitable<std::optional<core::Error>> wait_for_room(std::size_t at_most);
  boost::asio::awaitable<std::optional<core::Error>> share_stream();
  boost::asio::awaitable<std::optional<core::Error>> after_pages(core::Error why);
  boost::asio::awaitable<bool> wait(core::Duration d, core::StopToken stop);
  boost::asio::awaitable<core::Result<limits::FairGate::Turn>> commit_turn(const servicetitan::FetchedPage& page);
  core::Result<servicetitan::Step> look_at(const core::Result<servicetitan::FetchedPage>& page);
  std::optional<core::Error> too_many_dead_letters(const servicetitan::FetchedPage& page, const servicetitan::Step& step);
  void submit_page(const servicetitan::FetchedPage& page, const servicetitan::Step& step, core::Reservation memory,
                   limits::FairGate::Turn turn);
  void add_records(Contribution& c, const servicetitan::FetchedPage& page, const servicetitan::Step& step);
  void leave_out(Contribution& c, const servicetitan::Step& step);
  void add_marker(Contribution& c, const servicetitan::Step& step);
  void add_stream(Contribution& c, bool done);
  bool add_drift(Contribution& c, v1::StreamState& stream, bool done);
  bool move_cursor(v1::StreamState& stream, bool done);
  void count_calls();
  boost::asio::awaitable<std::optional<core::Error>> sit_out_stall();
  void stall(v1::StatusEvent::Type type, const core::Error& why, std::string_view stage, core::Duration wait);
  void tell(v1::StatusEvent::Type type, const core::Error* why, std::string_view stage, const std::string& note = {});
  boost::asio::awaitable<JobEnd> end(v1::JobState::Phase phase, v1::StatusEvent::Type type, const core::Error* why, JobEnd result);
  servicetitan::LostCursor lost_cursor() const;
  bool goes_on(const core::Error& why) const;
  v1::JobState successor(const core::Error& why) const;
  void add_successor(Contribution& c, const v1::JobState& next, const core::Error& why) const;
  Contribution contribution_of_state() const;
  core::WallTime now() const { return context_.clock.wall_now(); }

  JobContext& context_;
  const std::string key_;
  const StreamSeat seat_;
  v1::JobState state_;                      ///< as submitted
  v1::JobState committed_;                  ///< as committed
  const std::string name_;                  ///< of the resource
  const std::string stream_;                ///< key of its stream
  const servicetitan::Resource* resource_;  ///< null: the catalogue does not have it; the job can only fail
  tokens::Account account_;
  RecordOrigin origin_;
  std::shared_ptr<const codec::Redactor> redactor_;  ///< null: records are published as they are
  std::unique_ptr<servicetitan::Crawl> crawl_;
  servicetitan::CallLog calls_, counted_;
  std::optional<Drift> drift_;                    ///< of what reads all rows
  std::optional<servicetitan::ReportPace> pace_;  ///< of a report
  std::vector<std::string> appeared_;             ///< to be told with the page that is being submitted
  std::deque<Uncommitted> uncommitted_;
  core::StopSource stop_;
  core::StopToken lane_stop_;
  std::optional<JobEnd> asked_;
  std::optional<core::Error> given_up_;
  bool ending_ = false;
  std::map<const servicetitan::Endpoint*, servicetitan::PageSizer> sizers_;
  std::deque<std::pair<core::TimePoint, std::int64_t>> dead_letters_;  ///< of the last hour
  std::size_t largest_page_ = 0;                                       ///< bytes of memory that it took
  core::TimePoint last_progress_{};
  core::TimePoint last_throttled_{};
};

/// Once the contribution is committed, counts that the job has ended as its phase says.
void count_end(Contribution& c, telemetry::Metrics& metrics, const v1::JobState& job);

}  // namespace stsync::sync
