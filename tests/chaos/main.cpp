// Three workers on a real Kafka, behind a proxy that loses answers, beside a simulator with faults of its own: what they publish
// is compared with the truth. scripts/chaos builds and runs it.
#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "faults.hpp"
#include "load.hpp"
#include "verdict.hpp"
#include "workers.hpp"

namespace stsync::chaos {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kWorkers = 3;
constexpr std::size_t kPage = 20;
constexpr double kRate = 4;  // calls a second of each tenant
constexpr auto kEndsWithin = 600s;

struct Options {
  int faults = 20;
  std::uint64_t seed = 1;
  std::string log;
};

/// So much that there is work until the last fault: a fault takes about four seconds.
test::StageOptions stage_options(int faults) {
  test::StageOptions o{.rate = kRate, .export_page = kPage, .record_bytes = 300, .kafka_proxy = true};
  o.records = static_cast<std::size_t>(5 * faults * kRate * kPage / 14) + 100;
  o.tenants.resize(kTenants);
  std::iota(o.tenants.begin(), o.tenants.end(), kFirstTenant);
  return o;
}

bool all_ended(const std::set<std::string>& jobs, const Told& told) {
  return std::includes(told.ended.begin(), told.ended.end(), jobs.begin(), jobs.end());
}

/// Waits for the end of all jobs; what has not ended by then never will.
Told wait_for_end(const test::Stage& stage, Workers& workers, const std::set<std::string>& jobs) {
  auto told = read_statuses(stage);
  for (const auto end = Clock::now() + kEndsWithin; !all_ended(jobs, told) && Clock::now() < end; told = read_statuses(stage)) {
    workers.revive();
    std::this_thread::sleep_for(2s);
  }
  return told;
}

std::string lines(const std::vector<std::string>& all) {
  std::vector<std::string> some(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(all.size(), 10)));
  std::string out;
  for (const auto& line : some) out += "  " + line + "\n";
  return all.empty() ? "" : fmt::format("{} in all, the first:\n{}", all.size(), out);
}

int run(const Options& o) {
  const auto start = Clock::now();
  const test::Stage stage(stage_options(o.faults));
  Workers workers(stage, kWorkers);
  const auto jobs = send_full(stage);
  Faults faults(stage, workers, o.seed);
  std::size_t revived = 0;
  for (int i = 1; i <= o.faults; ++i) {
    const auto what = faults.strike();
    revived += workers.revive();
    std::fprintf(stderr, "%4d of %d: %s\n", i, o.faults, what.c_str());
  }
  const bool busy_to_the_end = !all_ended(jobs, read_statuses(stage));
  faults.clear();
  for (std::int64_t t = kFirstTenant; t < kFirstTenant + static_cast<std::int64_t>(kTenants); ++t) send_control(stage, "resume", t);
  const auto told = wait_for_end(stage, workers, jobs);
  workers.stop();
  const auto verdict = judge(stage);
  std::vector<std::string> stuck;
  for (const auto& job : jobs)
    if (!told.ended.contains(job)) stuck.push_back(told.last.contains(job) ? told.last.at(job) : job + " was never accepted");
  const std::vector<std::string> failed(told.failed.begin(), told.failed.end());
  std::vector<std::string> happened;
  for (const auto& [name, n] : faults.happened()) happened.push_back(fmt::format("\"{}\":{}", name, n));
  fmt::print(
      "{{\"seed\":{},\"faults\":{},\"seconds\":{:.0f},\"records\":{},\"problems\":{},\"illegal_transitions\":{},\"stuck\":{},"
      "\"failed\":{},\"open_transactions\":{},\"complaints\":{},\"refetched\":{},\"refetched_of_one\":{},\"kills\":{},\"revived\":{"
      "},"
      "\"busy_to_the_end\":{},\"kinds\":{{{}}}}}\n",
      o.seed, o.faults, std::chrono::duration<double>(Clock::now() - start).count(), verdict.records, verdict.problems.size(),
      told.illegal.size(), stuck.size(), failed.size(), verdict.open.size(), workers.complaints().size(), verdict.refetched,
      verdict.refetched_of_one, faults.kills(), revived, busy_to_the_end, fmt::join(happened, ","));
  for (const auto& [name, all] :
       {std::pair("problems", verdict.problems), std::pair("illegal transitions", told.illegal), std::pair("stuck", stuck),
        std::pair("failed", failed), std::pair("open transactions", verdict.open), std::pair("complaints", workers.complaints())})
    if (!all.empty()) std::fprintf(stderr, "%s: %s", name, lines(all).c_str());
  const bool good = verdict.problems.empty() && told.illegal.empty() && stuck.empty() && failed.empty() && verdict.open.empty() &&
                    workers.complaints().empty() && verdict.refetched_of_one <= 2 * faults.kills();
  if (!o.log.empty()) std::ofstream(o.log) << workers.logs();
  if (!good)
    std::fprintf(stderr, "again: scripts/chaos --faults %d --seed %llu\n", o.faults, static_cast<unsigned long long>(o.seed));
  return good ? 0 : 1;
}

}  // namespace
}  // namespace stsync::chaos

int main(int argc, char** argv) {
  CLI::App app("Workers under random faults on a real Kafka; prints a summary as JSON", "chaos");
  stsync::chaos::Options o;
  app.add_option("--faults", o.faults, "How many")->capture_default_str()->check(CLI::Range(1, 100'000));
  app.add_option("--seed", o.seed, "The same seed draws the same faults")->capture_default_str();
  app.add_option("--log", o.log, "File for everything that the workers wrote to stderr");
  try {
    app.parse(argc, argv);
    return stsync::chaos::run(o);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "chaos: %s\n", e.what());
    return 1;
  }
}
