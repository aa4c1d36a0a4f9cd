#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "codec/wire.hpp"
#include "core/task_group.hpp"
#include "fake_runner.hpp"
#include "support/virtual_clock.hpp"
#include "sync/job.hpp"
#include "sync/names.hpp"

namespace stsync::sync {

/// An export feed in memory: `rows` rows, `page` of them a page.
class FakeFeed final : public servicetitan::PageSource {
 public:
  explicit FakeFeed(core::Clock& clock) : clock_(clock) {}

  boost::asio::awaitable<core::Result<servicetitan::FetchedPage>> get_page(tokens::Account, servicetitan::Request request,
                                                                           servicetitan::CallLog& log, servicetitan::CallObserver&,
                                                                           core::StopToken stop) override {
    ++log.calls;
    log.sent = clock_.wall_now();
    const auto signal = clock_.make_signal();
    const auto on_stop = stop.on_stop([&signal] { signal->notify(); });
    if (!stop.stop_requested()) co_await signal->wait_until(clock_.now() + takes);
    if (stop.stop_requested()) co_return core::fail(core::ErrorKind::cancelled, "stopped");
    if (any) co_return any(request);
    std::string from;
    for (const auto& [name, value] : request.query)
      if (name == "from") from = value;
    asked.push_back(from);
    vendor_behind = tells_behind;
    auto body = list     ? core::Result<std::string>(list(request.query))
                : answer ? answer(from)
                         : core::Result<std::string>(page_at(from));
    if (!body) co_return core::fail(body.error());
    servicetitan::FetchedPage out;
    out.body = spool ? spooled(*body) : std::make_shared<const core::Body>(std::move(*body));
    auto cut = codec::cut_page(out.body->view(), request.fields);
    if (!cut) co_return core::fail(cut.error());
    out.page = std::move(*cut);
    co_return out;
  }
  core::WallTime vendor_now() const override { return clock_.wall_now() - vendor_behind; }

  std::string row(int i) const { return fmt::format(R"({{"id":{},"modifiedOn":"2026-01-01T00:00:00Z","n" : {}}})", 100 + i, i); }
  std::string page_at(const std::string& from) const {
    const auto begin = from.empty() || from[0] != 'r' ? 0 : std::stoi(from.substr(1));
    const auto end = std::min(begin + page, rows);
    std::string data;
    for (auto i = begin; i < end; ++i) data += (data.empty() ? "" : ",") + row(i);
    return fmt::format(R"({{"hasMore":{},"continueFrom":"r{}","data":[{}]}})", end < rows, end, data);
  }

  int rows = 50, page = 10;
  core::Duration takes = std::chrono::milliseconds(40);
  std::function<core::Result<std::string>(const std::string& from)> answer;
  std::function<core::Result<std::string>(const servicetitan::Query&)> list;                 ///< instead, for lists
  std::function<core::Result<servicetitan::FetchedPage>(const servicetitan::Request&)> any;  ///< instead, for everything else
  std::chrono::milliseconds tells_behind{};  ///< how far the vendor's clock is behind ours, as its answers tell
  std::vector<std::string> asked;
  core::Spool* spool = nullptr;  ///< pages come in files

 private:
  std::shared_ptr<const core::Body> spooled(const std::string& text) const {
    const auto file = spool->create().value();
    core::check(file->append(text) && file->map(), "a spool for a test");
    return std::make_shared<const core::Body>(file);
  }

  core::Clock& clock_;
  std::chrono::milliseconds vendor_behind{};
};

inline config::Config config_of_one_tenant() {
  config::Config c;
  config::App app;
  app.name = "acme";
  config::Tenant tenant;
  tenant.id = 1001;
  tenant.environment = "integration";
  app.tenants.push_back(tenant);
  c.apps.push_back(app);
  return c;
}

/// What stays when a worker dies: the vendor and what the broker shows.
struct World {
  boost::asio::io_context loop;
  test::VirtualClock clock{loop};
  core::Rng rng{1};
  FakeFeed feed{clock};
  servicetitan::PageSource* pages = &feed;
  config::Config config = config_of_one_tenant();
  servicetitan::Catalogue catalogue = servicetitan::Catalogue::load("", "").value();
  std::vector<Shown> log;  ///< committed messages
  std::size_t page_memory = 1u << 30;

  std::vector<Shown> of(const std::string& topic) const {
    std::vector<Shown> out;
    for (const auto& m : log)
      if (m.topic == topic) out.push_back(m);
    return out;
  }
  std::vector<std::string> statuses() const {
    std::vector<std::string> out;
    for (const auto& m : of("st.status")) {
      v1::StatusEvent e;
      if (codec::from_json(*m.value, e)) out.push_back(v1::StatusEvent::Type_Name(e.type()));
    }
    return out;
  }
  Memory memory() const {
    Memory m;
    for (const auto& entry : of("st.journal")) static_cast<void>(m.read(entry.key, entry.value));
    return m;
  }
};

/// One life of a lane with one job in it: from what the journal holds to the end of the job, or of the lane.
class Life final : public TransactionRunner {
 public:
  explicit Life(World& world) : w_(world), memory_(world.memory()) {}
  ~Life() override {
    stop.request_stop();
    w_.clock.run_for(std::chrono::seconds(10));
    committer_.close();
    give_up.request_stop();
    w_.clock.run_for(std::chrono::seconds(60));
  }

  boost::asio::awaitable<kafka::CommitReport> commit(kafka::Batch batch) override {
    co_await w_.clock.sleep_for(std::chrono::milliseconds(5));
    if (answer) {
      const auto report = answer(batch);
      if (report.outcome != kafka::Outcome::committed) co_return report;
    }
    for (auto& m : shown(batch)) w_.log.push_back(std::move(m));
    if (doubt_after_commit) co_return FakeRunner::failed(kafka::Outcome::doubt, core::ErrorKind::broker);
    co_return FakeRunner::ok();
  }

  /// Starts the job as the journal has it, else as the command says. Several may run at once.
  Job& start(const v1::Command& command, StreamSeat seat = {}) {
    const auto key = job_journal_key(command.app(), command.tenant(), command.id());
    v1::JobState state;
    if (const auto* known = memory_.job(key); known != nullptr) {
      state = *known;
    } else {
      *state.mutable_command() = command;
      state.set_phase(v1::JobState::waiting);
      memory_.apply({key, state});
    }
    if (jobs_.empty()) tasks_.spawn("committer", run_committer());
    jobs_.push_back(std::make_unique<Job>(context_, key, state, seat));
    tasks_.spawn("job", run_job(*jobs_.back()));
    return *jobs_.back();
  }
  /// Until all of them have ended.
  bool run(core::Duration limit = std::chrono::hours(1)) {
    return w_.clock.run_until([this] { return ended.size() == jobs_.size(); }, limit);
  }
  /// The same for a life that ends before its jobs do: the transaction on its way has happened (`commits`) or not, and nobody hears
  /// of it. Whether the journal says that the job behind `key` is completed: that may have been the last thing that happened.
  bool run_and_die(core::Duration limit, bool commits, const std::string& key) {
    if (run(limit) && *end == JobEnd::finished) return true;
    doubt_after_commit = commits;
    if (!commits) answer = [](const auto&) { return FakeRunner::failed(kafka::Outcome::doubt, core::ErrorKind::broker); };
    give_up.request_stop();
    const auto left = w_.memory();
    const auto* job = left.job(key);
    return job != nullptr && job->phase() == v1::JobState::completed;
  }
  Memory& memory() { return memory_; }
  Committer& committer() { return committer_; }
  const core::ByteBudget& page_memory() const { return budget_; }

  std::function<kafka::CommitReport(const kafka::Batch&)> answer;
  bool doubt_after_commit = false;
  RecordTopic record_topic;
  std::string metrics() const { return metrics_.render(); }

  std::optional<JobEnd> end;                     ///< of the last one that ended
  std::map<std::string, core::TimePoint> ended;  ///< by id
  core::StopSource stop, give_up;

 private:
  boost::asio::awaitable<void> run_committer() {
    const auto result = co_await committer_.run(give_up.token());
    if (!result) stop.request_stop();
  }
  boost::asio::awaitable<void> run_job(Job& job) {
    end = co_await job.run(stop.token());
    ended[job.state().command().id()] = w_.clock.now();
  }

  World& w_;
  Memory memory_;
  telemetry::Metrics metrics_{false};
  core::ByteBudget budget_{w_.clock, w_.page_memory};
  std::map<std::string, UsageRows> usage_;
  limits::FairGate commit_turns_{w_.clock, 16u << 20};
  Committer committer_{w_.clock, *this, memory_, {"st.journal", 0}, [] { return 1; }, [](const auto&) {}};
  JobContext context_{w_.clock, w_.rng,     w_.config,    w_.catalogue,        *w_.pages,
                      metrics_, committer_, memory_,      [] { return true; }, [this](const std::string&) { return record_topic; },
                      usage_,   budget_,    commit_turns_};
  std::vector<std::unique_ptr<Job>> jobs_;
  core::TaskGroup tasks_{w_.loop.get_executor(), w_.clock};
};

inline v1::Command sync_command(v1::Mode mode = v1::full, const std::string& id = "j1") {
  v1::Command c;
  c.set_id(id);
  c.set_app("acme");
  c.set_tenant(1001);
  c.mutable_sync()->set_resource("jpm.jobs");
  c.mutable_sync()->set_mode(mode);
  return c;
}

/// Every row once, byte for byte, the sequence ascending and whole.
inline void expect_every_row_once(const World& w, const std::string& job = "j1") {
  const auto records = w.of("st.jpm.jobs");
  ASSERT_EQ(records.size(), static_cast<std::size_t>(w.feed.rows));
  for (int i = 0; i < w.feed.rows; ++i) {
    const auto& m = records[static_cast<std::size_t>(i)];
    EXPECT_EQ(m.key, "1001:" + std::to_string(100 + i));
    EXPECT_EQ(m.value, w.feed.row(i));
    EXPECT_EQ(m.headers.at("st-source"), "acme/1001/integration/jpm.jobs");
    EXPECT_EQ(m.headers.at("st-job"), fmt::format("{}:{}", job, i));
  }
}

}  // namespace stsync::sync
