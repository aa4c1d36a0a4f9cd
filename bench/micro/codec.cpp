// What a page costs on the helper thread, and what each thing that is done to records adds. Run by scripts/bench codec.
#include <benchmark/benchmark.h>

#include "codec/page.hpp"
#include "codec/redact.hpp"
#include "core/error.hpp"
#include "sim/schema.hpp"
#include "sim/store.hpp"

namespace stsync::bench {
namespace {

/// Rows of jobs of about 1 KB each, as the simulator writes them.
const std::string& page_of(std::size_t rows) {
  static std::map<std::size_t, std::string> pages;
  auto& text = pages[rows];
  if (!text.empty()) return text;
  const auto* jobs = sim::Schema::get().find("jpm.jobs");
  core::check(jobs != nullptr, "the simulator has no jobs");
  sim::Writers writers(1036);
  const sim::Store store(1001, 1, static_cast<sim::Dataset::Index>(rows), writers);
  text = R"({"hasMore":true,"continueFrom":"x","data":[)";
  for (std::size_t i = 0; i < rows; ++i) {
    if (i > 0) text += ',';
    store.append(text, jobs->endpoints.front(), static_cast<sim::Dataset::Index>(i));
  }
  text += "]}";
  return text;
}

void cut(benchmark::State& state, const codec::RecordFields& fields) {
  const auto& text = page_of(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    auto page = codec::cut_page(text, fields);
    benchmark::DoNotOptimize(page);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) * state.iterations());
}

void CutPage(benchmark::State& state) { cut(state, {}); }
void CutPageWithNames(benchmark::State& state) { cut(state, {.names = true}); }
void CutPageToRedact(benchmark::State& state) {
  cut(state,
      {.redactor = std::make_shared<codec::Redactor>(std::vector<std::string>{"summary"}, std::vector<std::string>{"customerId"})});
}

void Redact(benchmark::State& state) {
  const codec::Redactor redactor({"summary"}, {"customerId"}, core::Secret("a key of the bench"));
  const auto& text = page_of(static_cast<std::size_t>(state.range(0)));
  const auto page = codec::cut_page(text, {}).value();
  std::string out;
  for (auto _ : state)
    for (const auto& record : page.records) {
      out.clear();
      redactor.append(out, record.bytes.in(text));
      benchmark::DoNotOptimize(out);
    }
  state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) * state.iterations());
}

BENCHMARK(CutPage)->Arg(50)->Arg(500)->Arg(5000);
BENCHMARK(CutPageWithNames)->Arg(50)->Arg(500)->Arg(5000);
BENCHMARK(CutPageToRedact)->Arg(500);
BENCHMARK(Redact)->Arg(500);

}  // namespace
}  // namespace stsync::bench

BENCHMARK_MAIN();
