#include <algorithm>
#include <deque>
#include <filesystem>
#include <numeric>
#include <stdexcept>
#include <thread>

#include <unistd.h>

#include <fmt/format.h>

#include "bench.hpp"
#include "commands.hpp"
#include "stage/stage.hpp"

namespace stsync::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr double kQuota = 60;
constexpr int kWorkers = 3;
constexpr int kTenants = 12;

/// What the simulator has answered by when, a few times a second.
class Curve {
 public:
  explicit Curve(const test::Stage& stage) : stage_(stage) {}
  void watch(std::chrono::seconds length) {
    for (const auto end = Clock::now() + length; Clock::now() < end; std::this_thread::sleep_for(200ms)) look();
  }
  /// Share of the quota since `from`, and in the worst ten seconds since.
  std::pair<double, double> use(Clock::time_point from) const {
    const auto begin = std::find_if(points_.begin(), points_.end(), [&](const auto& p) { return p.at >= from; });
    double worst = 1;
    auto old = begin;
    for (auto at = begin; at != points_.end(); ++at) {
      while (at->at - old->at > 10s) ++old;
      if (old != begin) worst = std::min(worst, rate(*std::prev(old), *at));
    }
    return {rate(*begin, points_.back()), worst};
  }
  double refused = 0, most = 0;

 private:
  struct Point {
    Clock::time_point at;
    double answered;
  };
  static double rate(const Point& a, const Point& b) {
    return (b.answered - a.answered) / (kQuota * std::chrono::duration<double>(b.at - a.at).count());
  }
  void look() {
    const auto calls = stage_.calls();
    refused = calls.refused;
    most = calls.most_in_one_second;
    points_.push_back({Clock::now(), calls.all_answered()});
  }
  const test::Stage& stage_;
  std::deque<Point> points_;
};

}  // namespace

int run_shared(const TimedOptions& options) {
  const auto socket = (std::filesystem::temp_directory_path() / fmt::format("stsync-bench-{}.sock", ::getpid())).string();
  auto redis = test::start_redis(socket);
  const auto records = static_cast<std::size_t>(2 * kQuota * 3 * options.seconds * 10 / (kTenants * 4)) + 1000;
  test::StageOptions stage_options{.records = records, .rate = kQuota, .export_page = 10};
  stage_options.tenants.resize(kTenants);
  std::iota(stage_options.tenants.begin(), stage_options.tenants.end(), 1001);
  stage_options.sets = {"limits.store=unix://" + socket, fmt::format("limits.expected_workers={}", kWorkers)};
  stage_options.sim = {"--rate-of", "app"};
  const test::Stage stage(std::move(stage_options));
  std::vector<std::unique_ptr<test::Process>> workers;
  for (int i = 0; i < kWorkers; ++i) workers.push_back(stage.start_worker({}, false));
  for (auto& worker : workers)
    if (!stage.wait_ready(*worker, 1)) throw std::runtime_error("a worker does not start: " + worker->err());
  for (std::int64_t tenant = 1001; tenant < 1001 + kTenants; ++tenant)
    send_full(stage, tenant, "jpm.jobs,crm.customers,crm.locations,accounting.invoices");
  Curve curve(stage);
  curve.watch(20s);  // tokens, connections, the workers meet
  const auto steady_from = Clock::now();
  curve.watch(std::chrono::seconds(options.seconds));
  const auto [steady, worst_steady] = curve.use(steady_from);
  const auto switch_from = Clock::now();
  redis.reset();
  curve.watch(std::chrono::seconds(options.seconds) / 3);
  redis = test::start_redis(socket);
  curve.watch(std::chrono::seconds(options.seconds) * 2 / 3);
  const auto [switched, worst] = curve.use(switch_from);
  redis.reset();
  std::filesystem::remove(socket);
  fmt::print(
      "{} workers, one limit of {:.0f} a second in Redis, {} s: {:.2f} % of it, worst ten seconds {:.1f} %. Redis killed and "
      "started again "
      "empty, {} s: {:.1f} %, worst ten seconds {:.1f} %. At most {:.0f} calls in any second, {:.0f} refused.\n",
      kWorkers, kQuota, options.seconds, 100 * steady, 100 * worst_steady, options.seconds, 100 * switched, 100 * worst, curve.most,
      curve.refused);
  write_file(
      options.json,
      fmt::format(
          "{{\"bench\":\"shared\",\"seconds\":{},\"share\":{:.4f},\"worst\":{:.4f},\"share_switch\":{:.4f},\"worst_switch\":{:.4f},"
          "\"max_in_one_second\":{:.0f},\"refused\":{:.0f}}}\n",
          options.seconds, steady, worst_steady, switched, worst, curve.most, curve.refused));
  return 0;
}

}  // namespace stsync::bench
