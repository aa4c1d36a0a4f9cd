// What a command costs the loop while many jobs are open. Run by scripts/bench intake.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "core/error.hpp"
#include "kafka/client.hpp"
#include "sync/answers.hpp"
#include "sync/names.hpp"

namespace stsync::bench {
namespace {

constexpr int kTenants = 1000;

config::Config config_of_many_tenants() {
  config::Config config;
  config::App app;
  app.name = "acme";
  for (int i = 0; i < kTenants; ++i) {
    config::Tenant tenant;
    tenant.id = 1001 + i;
    app.tenants.push_back(tenant);
  }
  config.apps.push_back(app);
  return config;
}

/// A lane that owns every tenant, and its journal.
struct Lane {
  const config::Config config = config_of_many_tenants();
  const servicetitan::Catalogue catalogue = servicetitan::Catalogue::load("", "").value();
  sync::Memory memory;
  std::int64_t offset = 0;

  /// Decided, answered, in the journal, as the lane does it.
  sync::Decision take(std::int64_t tenant, const std::string& resource) {
    kafka::Message m;
    m.offset = offset++;
    m.key = sync::tenant_key("acme", tenant);
    m.value = fmt::format(R"({{"id":"0192f0c1-7c3e-7a11-9d55-{:012}","app":"acme","tenant":{},"sync":{{"resource":"{}"}}}})",
                          m.offset, tenant, resource);
    auto decision = sync::decide(m, {config, catalogue, memory});
    const sync::Answering to{config.kafka.topics, m, core::WallTime(std::chrono::milliseconds(1))};
    sync::Contribution c;
    if (const auto* accept = std::get_if<sync::Accept>(&decision)) c = answer(*accept, to);
    if (const auto* merged = std::get_if<sync::Coalesce>(&decision)) c = answer(*merged, to);
    for (const auto& entry : c.journal) memory.apply(entry);
    return decision;
  }
};

/// Commands for tenants in turn, each merged into the job that waits. `range`: open jobs.
void IntakeBesideOpenJobs(benchmark::State& state) {
  Lane lane;
  const auto open = static_cast<int>(state.range(0));
  auto resource = lane.catalogue.all().begin();
  for (int i = 0; i < open; ++i) {
    if (i > 0 && i % kTenants == 0) ++resource;
    const auto decision = lane.take(1001 + i % kTenants, resource->first);
    if (const auto* refused = std::get_if<sync::Reject>(&decision)) {
      --i;
      ++resource;
      core::check(resource != lane.catalogue.all().end(), refused->message.c_str());
    }
  }
  std::int64_t tenant = 0;
  for (auto _ : state) benchmark::DoNotOptimize(lane.take(1001 + tenant++ % kTenants, "jpm.jobs"));
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK(IntakeBesideOpenJobs)->Arg(0)->Arg(1000)->Arg(10'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace stsync::bench
