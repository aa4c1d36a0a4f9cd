#include <algorithm>
#include <numeric>
#include <random>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>

#include "bench.hpp"
#include "codec/page.hpp"
#include "commands.hpp"
#include "core/text.hpp"
#include "stage/stage.hpp"

namespace stsync::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr double kQuota = 60;
constexpr std::int64_t kFirst = 1001, kLarge = kFirst;
constexpr int kTenants = 50;
constexpr std::size_t kPage = 10;
/// Between two syncs of a small tenant, on average: together they ask for two fifths of the quota.
constexpr auto kSmallEvery = 2s;

test::StageOptions stage_options(std::size_t records) {
  test::StageOptions o{.records = records, .rate = kQuota, .export_page = kPage};
  o.tenants.resize(kTenants);
  std::iota(o.tenants.begin(), o.tenants.end(), kFirst);
  o.sim = {"--rate-of", "app"};
  return o;
}

double jain(const std::vector<double>& x) {
  const auto sum = std::accumulate(x.begin(), x.end(), 0.0);
  return sum * sum / (static_cast<double>(x.size()) * std::inner_product(x.begin(), x.end(), x.begin(), 0.0));
}

/// Fifty tenants who all have more to do than there is time.
struct Equals {
  double index = 0, share = 0, refused = 0;
};

Equals measure_equals(int seconds) {
  const test::Stage stage(stage_options(5000));
  const auto worker = stage.start_worker();
  for (std::int64_t tenant = kFirst; tenant < kFirst + kTenants; ++tenant)
    send_full(stage, tenant, "jpm.jobs,crm.customers,crm.locations,accounting.invoices");
  for (bool all = false; !all; std::this_thread::sleep_for(200ms)) {
    const auto seen = stage.calls();
    all = std::all_of(seen.answered.begin(), seen.answered.end(), [](const auto& row) { return row.second >= 3; });
  }
  const auto before = stage.calls();
  const auto start = Clock::now();
  std::this_thread::sleep_until(start + std::chrono::seconds(seconds));
  const auto after = stage.calls();
  const auto took = std::chrono::duration<double>(Clock::now() - start).count();
  std::vector<double> calls;
  for (const auto& [tenant, n] : after.answered) calls.push_back(n - before.answered.at(tenant));
  return {jain(calls), (after.all_answered() - before.all_answered()) / (kQuota * took), after.refused};
}

/// Small syncs of all tenants but the large one, for a while; their ids begin with `name`.
void sync_small(CommandWriter& commands, const std::string& name, int seconds) {
  std::mt19937_64 random(7);
  std::vector<std::pair<double, std::int64_t>> plan;
  for (std::int64_t tenant = kFirst + 1; tenant < kFirst + kTenants; ++tenant) {
    std::exponential_distribution<double> pause(1 / std::chrono::duration<double>(kSmallEvery).count());
    for (double at = pause(random); at < seconds; at += pause(random)) plan.emplace_back(at, tenant);
  }
  std::sort(plan.begin(), plan.end());
  const auto start = Clock::now();
  std::size_t n = 0;
  for (const auto& [at, tenant] : plan) {
    std::this_thread::sleep_until(start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(at)));
    // Of the same class as the large tenant's work: what is measured are the tenants' shares alone.
    commands.write(tenant, fmt::format("{}-{}", name, ++n),
                   R"("sync":{"resource":"jpm.jobs","mode":"ids","ids":[1,2,3],"priority":"backfill"})");
  }
  commands.flush();
}

/// From the time that a command stood on its topic to the end of its job, for the commands of a name.
std::vector<double> times_of(const test::Stage& stage, const std::string& name) {
  std::map<std::string, std::int64_t> written;
  for (const auto& m : stage.read({"st.commands"})) {
    const auto members = codec::json_members(*m.value).value();
    written[codec::json_text(members.at("id")).value_or("")] = m.timestamp_ms;
  }
  std::vector<double> out;
  for (const auto& m : stage.read({"st.status"})) {
    const auto members = codec::json_members(*m.value).value();
    const auto job = codec::json_text(members.at("job")).value_or("");
    if (!job.starts_with(name + "-") || codec::json_text(members.at("type")) != "completed") continue;
    const auto end = core::parse_utc(codec::json_text(members.at("time")).value_or(""));
    if (!end) throw std::runtime_error("a status without a time");
    out.push_back(static_cast<double>(end->time_since_epoch().count() - written.at(job)) / 1000);
  }
  return out;
}

struct Beside {
  double p95_alone = 0, p95_beside = 0, share = 0, refused = 0;
  std::size_t jobs_alone = 0, jobs_beside = 0;
};

Beside measure_beside(int seconds) {
  // A thousand times the calls of a small one.
  const auto records = static_cast<std::size_t>(1000.0 * seconds / 2 * kPage / 16) + 100;
  const test::Stage stage(stage_options(records));
  const auto worker = stage.start_worker();
  CommandWriter commands(stage.cluster(), "st.commands");
  sync_small(commands, "warm", 15);  // tokens, connections
  sync_small(commands, "alone", seconds);
  std::this_thread::sleep_for(3s);
  send_full(stage, kLarge, test::kBulk);
  std::this_thread::sleep_for(5s);
  const auto before = stage.calls();
  const auto start = Clock::now();
  sync_small(commands, "beside", seconds);
  const auto after = stage.calls();
  const auto took = std::chrono::duration<double>(Clock::now() - start).count();
  std::this_thread::sleep_for(5s);
  const auto alone = times_of(stage, "alone"), beside = times_of(stage, "beside");
  return {percentile(alone, 0.95),
          percentile(beside, 0.95),
          (after.all_answered() - before.all_answered()) / (kQuota * took),
          after.refused,
          alone.size(),
          beside.size()};
}

}  // namespace

int run_fairness(const TimedOptions& options) {
  const auto equals = measure_equals(options.seconds);
  fmt::print(
      "{} tenants with more work than time, {} s, one quota of {:.0f} a second: Jain index {:.4f}, {:.2f} % of the quota, {:.0f} "
      "refused\n",
      kTenants, options.seconds, kQuota, equals.index, 100 * equals.share, equals.refused);
  const auto b = measure_beside(options.seconds);
  fmt::print(
      "{} small tenants, from command to end of the job, p95: {:.3f} s alone ({} jobs), {:.3f} s beside one with 1000 times the "
      "work ({} jobs): "
      "{:.2f} times; {:.2f} % of the quota used, {:.0f} refused\n",
      kTenants - 1, b.p95_alone, b.jobs_alone, b.p95_beside, b.jobs_beside, b.p95_beside / b.p95_alone, 100 * b.share, b.refused);
  write_file(
      options.json,
      fmt::format(
          "{{\"bench\":\"fairness\",\"seconds\":{},\"jain\":{:.5f},\"share_equals\":{:.4f},\"p95_alone\":{:.4f},\"p95_beside\":"
          "{:.4f},\"ratio\":{:.3f},\"share_beside\":{:.4f},\"refused\":{:.0f}}}\n",
          options.seconds, equals.index, equals.share, b.p95_alone, b.p95_beside, b.p95_beside / b.p95_alone, b.share,
          equals.refused + b.refused));
  return 0;
}

}  // namespace stsync::bench
