// Runs of the whole worker in virtual time: scripts/simulate.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "core/text.hpp"
#include "simulation/scenario.hpp"
#include "telemetry/log.hpp"

namespace {

using stsync::simulation::Report;
using stsync::simulation::Scenario;

struct Options {
  std::uint64_t seeds = 100, first = 0;
  bool log = false, schedules = false;
};

[[noreturn]] void usage() {
  std::fprintf(stderr, "usage: simulate [--seeds N] [--seed S] [--schedules] [--log]\n");
  std::exit(2);
}

Options read(const std::vector<std::string>& args) {
  Options o;
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (args[i] == "--log" || args[i] == "--schedules") {
      (args[i] == "--log" ? o.log : o.schedules) = true;
      continue;
    }
    const auto value = i + 1 < args.size() ? stsync::core::parse_int(args[i + 1]) : std::nullopt;
    if (!value || *value < 0) usage();
    if (args[i] == "--seeds") {
      o.seeds = static_cast<std::uint64_t>(*value);
    } else if (args[i] == "--seed") {
      o.first = static_cast<std::uint64_t>(*value);
      o.seeds = 1;
    } else {
      usage();
    }
    ++i;
  }
  return o;
}

/// Whether it is as it should be. What is wrong goes to stderr.
bool good(const Scenario& scenario, const Report& report) {
  const auto& s = scenario;
  if (report.problems.empty()) return true;
  std::fprintf(stderr, "%s",
               fmt::format("seed {}: {} workers{}, {} tenants, faults:{}{}{}{}{}{}{}{}\n", s.seed, s.workers,
                           s.static_ids ? " (static)" : "", s.tenants, s.stops ? " stops" : "", s.kills ? " kills" : "",
                           s.freezes ? " freezes" : "", s.isolations ? " isolations" : "", s.broker ? " broker" : "",
                           s.vendor ? " vendor" : "", s.controls ? " controls" : "", s.little_memory ? " (little memory)" : "")
                   .c_str());
  constexpr std::size_t kMost = 10;
  for (std::size_t i = 0; i < std::min(kMost, report.problems.size()); ++i)
    std::fprintf(stderr, "  %s\n", report.problems[i].c_str());
  if (report.problems.size() > kMost) std::fprintf(stderr, "  and %zu more\n", report.problems.size() - kMost);
  std::fprintf(stderr, "  again: scripts/simulate%s --seed %llu\n", s.schedules ? " --schedules" : "",
               static_cast<unsigned long long>(s.seed));
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = read({argv + 1, argv + argc});
  if (options.log) stsync::telemetry::log_start("text", "debug");
  const auto start = std::chrono::steady_clock::now();
  Report sum;
  std::string failed;
  for (std::uint64_t i = 0; i < options.seeds; ++i) {
    auto scenario = Scenario::of(options.first + i);
    scenario.schedules = options.schedules;
    const auto report = stsync::simulation::play(scenario);
    if (!good(scenario, report)) failed += (failed.empty() ? "" : ",") + std::to_string(scenario.seed);
    sum.fingerprint ^= report.fingerprint;
    sum.commands += report.commands;
    sum.records += report.records;
    sum.transactions += report.transactions;
    sum.doubts += report.doubts;
    sum.aborts += report.aborts;
    sum.kills += report.kills;
    sum.freezes += report.freezes;
    sum.calls += report.calls;
    sum.virtual_time += report.virtual_time;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  stsync::telemetry::log_shutdown();
  std::printf("%s",
              fmt::format(R"({{"seeds":{},"first":{},"failed":[{}],"seconds":{:.1f},"virtual_hours":{:.1f},"commands":{},)"
                          R"("records":{},"calls":{},"transactions":{},"doubts":{},"aborts":{},"kills":{},"freezes":{},)"
                          R"("fingerprint":"{:016x}"}})"
                          "\n",
                          options.seeds, options.first, failed, took.count(),
                          std::chrono::duration<double, std::ratio<3600>>(sum.virtual_time).count(), sum.commands, sum.records,
                          sum.calls, sum.transactions, sum.doubts, sum.aborts, sum.kills, sum.freezes, sum.fingerprint)
                  .c_str());
  return failed.empty() ? 0 : 1;
}
