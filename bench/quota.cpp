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

constexpr double kQuota = 60;
constexpr std::size_t kPage = 10;
constexpr int kResources = 16;

/// What the server counted so far.
struct Seen {
  double answered = 0, refused = 0, most = 0;
};

Seen ask(const test::Stage& stage) {
  const auto stats = stage.control("/__sim/stats");
  const auto row = test::json_rows(std::string(codec::json_members(stats).value().at("tenants"))).at(0);
  return {std::stod(row.at("ok")), std::stod(row.at("refused_429")), std::stod(row.at("max_calls_in_one_second"))};
}

}  // namespace

int run_quota(const QuotaOptions& options) {
  // Twice the work that the time allows, in small pages of many resources: the tenant always has a call to make.
  const auto records = static_cast<std::size_t>(2 * kQuota * options.seconds * kPage / kResources) + 1000;
  const test::Stage stage({.records = records, .rate = kQuota, .export_page = kPage});
  const auto worker = stage.start_worker();
  send_full(stage, 1001, test::kBulk);
  while (ask(stage).answered < 5 * kQuota) std::this_thread::sleep_for(100ms);
  const auto before = ask(stage);
  const auto start = std::chrono::steady_clock::now();
  std::this_thread::sleep_until(start + std::chrono::seconds(options.seconds));
  const auto after = ask(stage);
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto calls = after.answered - before.answered;
  const auto share = calls / (kQuota * seconds);
  fmt::print(
      "{:.1f} s of saturated demand: {:.0f} calls, {:.2f} % of the quota of {:.0f} a second; refused {:.0f}; at most {:.0f} in any "
      "second\n",
      seconds, calls, 100 * share, kQuota, after.refused, after.most);
  write_file(options.json, fmt::format("{{\"bench\":\"quota\",\"seconds\":{:.3f},\"calls\":{:.0f},\"share\":{:.4f},\"refused\":{:."
                                       "0f},\"max_in_one_second\":{:.0f}}}\n",
                                       seconds, calls, share, after.refused, after.most));
  return 0;
}

}  // namespace stsync::bench
