// Three workers on a real Kafka, behind a proxy that loses answers, beside a simulator with faults of its own: what they publish
// is compared with the truth. scripts/chaos builds and runs it.
#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <numeric>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "faults.hpp"
#include "rounds.hpp"
#include "verdict.hpp"
#include "workers.hpp"

namespace stsync::chaos {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kWorkers = 3;
constexpr std::size_t kPage = 20;
constexpr double kRate = 4;            // calls a second of each tenant
constexpr std::size_t kRecords = 300;  // of each resource: a round takes about a minute where nothing goes wrong
constexpr int kLookEvery = 3;          // faults between two looks at whether a round has ended
constexpr auto kEndsWithin = 600s;

struct Options {
  int faults = 20;
  std::uint64_t seed = 1;
  std::string log, worker;
  std::vector<std::string> only;
};

test::StageOptions stage_options(const Options& o) {
  test::StageOptions out{
      .records = kRecords, .rate = kRate, .export_page = kPage, .record_bytes = 300, .kafka_proxy = true, .worker = o.worker};
  out.tenants.resize(kTenants);
  std::iota(out.tenants.begin(), out.tenants.end(), kFirstTenant);
  return out;
}

/// Waits for the end of the round; what has not ended by then never will.
Told wait_for_end(const test::Stage& stage, Workers& workers, const Rounds& rounds) {
  auto told = read_statuses(stage);
  for (const auto end = Clock::now() + kEndsWithin; !rounds.ended(told) && Clock::now() < end; told = read_statuses(stage)) {
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

/// What is wrong, by what kind of thing it is.
using Problems = std::map<std::string, std::vector<std::string>>;

Problems problems_of(const Rounds& rounds, const Told& told, const Verdict& verdict, const Faults& faults, const Workers& workers) {
  Problems out{{"problems", verdict.problems},
               {"illegal_transitions", told.illegal},
               {"open_transactions", verdict.open},
               {"complaints", workers.complaints()},
               {"refetched_too_often", rounds.problems()},
               {"stuck", {}},
               {"failed", {}}};
  for (const auto& job : rounds.jobs()) {
    const auto end = told.ended.find(job);
    if (end == told.ended.end())
      out["stuck"].push_back(told.last.contains(job) ? told.last.at(job) : job + " was never accepted");
    else if (const auto why = told.failed.find(job); why != told.failed.end())
      out["failed"].push_back(job + ": " + why->second);
    else if (end->second != "completed" && !faults.cancelled().contains(job))
      out["failed"].push_back(fmt::format("{}: {}, which nobody asked for", job, end->second));
  }
  return out;
}

/// Strikes until there were enough. How many workers ended by themselves.
std::size_t strike(const test::Stage& stage, Workers& workers, Rounds& rounds, Faults& faults, int count) {
  std::size_t revived = 0;
  for (int i = 1; i <= count; ++i) {
    const auto what = faults.strike();
    revived += workers.revive();
    std::fprintf(stderr, "%4d of %d: %s\n", i, count, what.c_str());
    if (i % kLookEvery != 0) continue;
    if (const auto told = read_statuses(stage); rounds.ended(told)) {
      rounds.count(faults.kills());
      rounds.begin(faults.kills());
    }
  }
  return revived;
}

void write_log(const std::string& file, const Workers& workers, const test::Stage& stage) {
  std::ofstream out(file);
  out << workers.logs();
  for (const auto* topic : {"st.commands", "st.status"})
    for (const auto& m : stage.read({topic})) out << fmt::format("--- {} {} {}\n", topic, m.timestamp_ms, m.value.value_or("null"));
}

int run(const Options& o) {
  const auto start = Clock::now();
  const test::Stage stage(stage_options(o));
  Workers workers(stage, kWorkers);
  Rounds rounds(stage);
  Faults faults(stage, workers, rounds, o.seed, o.only);
  rounds.begin(0);
  const auto revived = strike(stage, workers, rounds, faults, o.faults);
  faults.clear();
  const auto told = wait_for_end(stage, workers, rounds);
  rounds.count(faults.kills());
  workers.stop();
  const auto verdict = judge(stage, rounds.jobs(), told);
  const auto problems = problems_of(rounds, told, verdict, faults, workers);

  std::map<std::string, int> controls;  // by what became of them
  for (const auto& [id, end] : told.ended) controls[end] += rounds.jobs().contains(id) ? 0 : 1;
  std::vector<std::string> counts;
  for (const auto& [name, all] : problems) counts.push_back(fmt::format("\"{}\":{}", name, all.size()));
  std::vector<std::string> kinds;
  for (const auto& [name, n] : faults.happened()) kinds.push_back(fmt::format("\"{}\":{}", name, n));
  fmt::print(
      "{{\"seed\":{},\"faults\":{},\"seconds\":{:.0f},\"rounds\":{},\"jobs\":{},\"cancelled\":{},\"controls_done\":{},"
      "\"controls_refused\":{},\"records\":{},{},\"refetched\":{},\"refetched_of_one\":{},\"kills\":{},\"revived\":{},\"kinds\":{{{"
      "}}}}}\n",
      o.seed, o.faults, std::chrono::duration<double>(Clock::now() - start).count(), rounds.number(), rounds.jobs().size(),
      told.cancelled.size(), controls["completed"], controls["rejected"], verdict.records, fmt::join(counts, ","),
      rounds.refetched(), rounds.refetched_of_one(), faults.kills(), revived, fmt::join(kinds, ","));
  if (!o.log.empty()) write_log(o.log, workers, stage);
  bool good = true;
  for (const auto& [name, all] : problems) {
    good = good && all.empty();
    if (!all.empty()) std::fprintf(stderr, "%s: %s", name.c_str(), lines(all).c_str());
  }
  if (!good)
    std::fprintf(stderr, "again: scripts/chaos --faults %d --seed %llu%s\n", o.faults, static_cast<unsigned long long>(o.seed),
                 o.only.empty() ? "" : fmt::format(" --only '{}'", fmt::join(o.only, ",")).c_str());
  return good ? 0 : 1;
}

}  // namespace
}  // namespace stsync::chaos

int main(int argc, char** argv) {
  CLI::App app("Workers under random faults on a real Kafka; prints a summary as JSON", "chaos");
  stsync::chaos::Options o;
  app.add_option("--faults", o.faults, "How many")->capture_default_str()->check(CLI::Range(1, 100'000));
  app.add_option("--seed", o.seed, "The same seed draws the same faults")->capture_default_str();
  app.add_option("--log", o.log, "File for what the workers wrote to stderr, all commands and all status events");
  app.add_option("--worker", o.worker, "Another program in the place of stsync's worker: one with another librdkafka, say");
  app.add_option("--only", o.only, "Kinds of faults, by the names in the summary; left out: all")->delimiter(',');
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
