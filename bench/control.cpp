#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>

#include "bench.hpp"
#include "codec/page.hpp"
#include "commands.hpp"
#include "stage/stage.hpp"

namespace stsync::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::int64_t kFirst = 1001;
constexpr int kTenants = 13;
/// Calls a second of each tenant: each of its jobs reads a page in somewhat less than two seconds.
constexpr double kRate = 10;
constexpr std::size_t kPage = 10;
constexpr auto kBetween = 100ms;
/// From the pause of a job to its resume: long enough to have stopped.
constexpr std::size_t kPausedFor = 20;

struct Job {
  std::int64_t tenant = 0;
  std::string id;
};

std::vector<Job> start_jobs(CommandWriter& commands) {
  std::vector<Job> out;
  const std::string all = test::kBulk;
  for (std::int64_t tenant = kFirst; tenant < kFirst + kTenants; ++tenant)
    for (std::size_t at = 0, end = 0; at < all.size(); at = end + 1) {
      end = std::min(all.find(',', at), all.size());
      const auto resource = all.substr(at, end - at);
      out.push_back({tenant, fmt::format("{}-{}", tenant, resource)});
      commands.write(tenant, out.back().id, fmt::format(R"("sync":{{"resource":"{}","mode":"full"}})", resource));
    }
  commands.flush();
  return out;
}

std::map<std::string, std::string> members_of(const kafka::Message& m) {
  std::map<std::string, std::string> out;
  const auto members = codec::json_members(*m.value).value();
  for (const auto& [name, raw] : members) out[std::string(name)] = codec::json_text(raw).value_or(std::string(raw));
  return out;
}

void wait_until_all_run(const test::Stage& stage, std::size_t jobs) {
  for (const auto end = Clock::now() + 120s;; std::this_thread::sleep_for(500ms)) {
    std::size_t started = 0;
    for (const auto& m : stage.read({"st.status"})) started += members_of(m).at("type") == "started" ? 1 : 0;
    if (started >= jobs) return;
    if (Clock::now() > end) throw std::runtime_error(fmt::format("{} of {} jobs have started", started, jobs));
  }
}

/// A command every 100 ms for a while: a random job is paused, and resumed two seconds later; at the end all are cancelled.
void control(CommandWriter& commands, std::vector<Job> jobs, int seconds) {
  std::mt19937_64 random(7);
  std::shuffle(jobs.begin(), jobs.end(), random);
  std::size_t n = 0;
  const auto say = [&](const char* action, const Job& job) {
    commands.write(job.tenant, fmt::format("{}-{}", action, ++n), fmt::format(R"("{}":{{"job":"{}"}})", action, job.id));
    std::this_thread::sleep_for(kBetween / 2);
  };
  const auto steps = static_cast<std::size_t>(std::chrono::seconds(seconds) / kBetween);
  for (std::size_t i = 0; i < steps + kPausedFor; ++i) {
    if (i < steps) say("pause", jobs[i % jobs.size()]);
    if (i >= kPausedFor) say("resume", jobs[(i - kPausedFor) % jobs.size()]);
  }
  for (const auto& job : jobs) say("cancel", job);
  commands.flush();
}

/// Seconds from when a command stood on its topic to when its effect did, by kind.
std::map<std::string, std::vector<double>> times_to_effect(const test::Stage& stage) {
  const std::map<std::string, std::string> effects{{"pause", "paused"}, {"resume", "resumed"}, {"cancel", "cancelled"}};
  std::map<std::string, std::vector<std::int64_t>> told;  ///< by "job event": when
  for (const auto& m : stage.read({"st.status"})) {
    const auto row = members_of(m);
    told[row.at("job") + " " + row.at("type")].push_back(m.timestamp_ms);
  }
  std::map<std::string, std::vector<double>> out;
  for (const auto& m : stage.read({"st.commands"})) {
    const auto row = members_of(m);
    for (const auto& [action, event] : effects) {
      // A job may have completed meanwhile.
      if (!row.contains(action) || told.contains(row.at("id") + " rejected")) continue;
      const auto job = codec::json_text(codec::json_members(row.at(action)).value().at("job")).value_or("");
      const auto& times = told[job + " " + event];
      const auto at = std::find_if(times.begin(), times.end(), [&](auto t) { return t >= m.timestamp_ms; });
      if (at == times.end()) throw std::runtime_error(fmt::format("{} of {} had no effect", action, job));
      out[action].push_back(static_cast<double>(*at - m.timestamp_ms) / 1000);
    }
  }
  return out;
}

}  // namespace

int run_control(const TimedOptions& options) {
  test::StageOptions stage_options{.rate = kRate, .export_page = kPage};
  stage_options.records = static_cast<std::size_t>(options.seconds + 90) * kPage;
  stage_options.tenants.resize(kTenants);
  std::iota(stage_options.tenants.begin(), stage_options.tenants.end(), kFirst);
  const test::Stage stage(stage_options);
  const auto worker = stage.start_worker();
  CommandWriter commands(stage.cluster(), "st.commands");
  const auto jobs = start_jobs(commands);
  wait_until_all_run(stage, jobs.size());
  control(commands, jobs, options.seconds);
  std::this_thread::sleep_for(5s);
  std::string figures;
  for (const auto& [action, times] : times_to_effect(stage)) {
    const auto p50 = percentile(times, 0.5), p99 = percentile(times, 0.99), most = percentile(times, 1);
    fmt::print("{} of {} running jobs: {} times, seconds to effect: median {:.3f}, p99 {:.3f}, most {:.3f}\n", action, jobs.size(),
               times.size(), p50, p99, most);
    figures +=
        fmt::format(",\"{}\":{{\"times\":{},\"p50\":{:.3f},\"p99\":{:.3f},\"max\":{:.3f}}}", action, times.size(), p50, p99, most);
  }
  write_file(options.json, fmt::format("{{\"bench\":\"control\",\"jobs\":{}{}}}\n", jobs.size(), figures));
  return 0;
}

}  // namespace stsync::bench
