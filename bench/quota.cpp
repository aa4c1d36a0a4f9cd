#include <stdexcept>
#include <thread>

#include <fmt/format.h>

#include "bench.hpp"
#include "commands.hpp"
#include "stage/stage.hpp"

namespace stsync::bench {
namespace {

using namespace std::chrono_literals;

constexpr double kQuota = 60;
constexpr std::size_t kPage = 10;
/// All of them export feeds: the simulator answers each of their pages within a millisecond. A page of a list may take it a
/// twentieth of a second, in which the calls that follow would arrive too close to each other.
constexpr int kResources = 8;
constexpr const char* kFeeds =
    "accounting.invoices,accounting.payments,crm.bookings,crm.customers,crm.locations,jpm.appointments,jpm.jobs,jpm.projects";

}  // namespace

int run_quota(const TimedOptions& options) {
  // Twice the work that the time allows, in small pages of many resources: the tenant always has a call to make.
  const auto records = static_cast<std::size_t>(2 * kQuota * options.seconds * kPage / kResources) + 1000;
  const test::Stage stage({.records = records, .rate = kQuota, .export_page = kPage});
  stage.control(fmt::format("/__sim/truth?resource={}", kFeeds));  // the simulator makes its rows before the worker wants them
  const auto worker = stage.start_worker();
  send_full(stage, 1001, kFeeds);
  while (stage.calls().all_answered() < 5 * kQuota) std::this_thread::sleep_for(100ms);
  const auto before = stage.calls().all_answered();
  const auto start = std::chrono::steady_clock::now();
  std::this_thread::sleep_until(start + std::chrono::seconds(options.seconds));
  const auto after = stage.calls();
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto calls = after.all_answered() - before;
  const auto share = calls / (kQuota * seconds);
  fmt::print(
      "{:.1f} s of saturated demand: {:.0f} calls, {:.2f} % of the quota of {:.0f} a second; refused {:.0f}; at most {:.0f} in any "
      "second\n",
      seconds, calls, 100 * share, kQuota, after.refused, after.most_in_one_second);
  write_file(options.json, fmt::format("{{\"bench\":\"quota\",\"seconds\":{:.3f},\"calls\":{:.0f},\"share\":{:.4f},\"refused\":{:."
                                       "0f},\"max_in_one_second\":{:.0f}}}\n",
                                       seconds, calls, share, after.refused, after.most_in_one_second));
  return 0;
}

}  // namespace stsync::bench
