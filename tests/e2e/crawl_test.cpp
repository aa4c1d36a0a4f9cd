// Everything that can be read, from a vendor whose rows change, vanish and appear meanwhile.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "sim/store.hpp"
#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;

/// Resources by the modes that they have.
std::vector<std::string> resources_with(const std::string& mode) {
  std::vector<std::string> out;
  for (const auto& row : json_rows(run({STSYNC_PROGRAM, "catalog", "list", "--output", "json"}).out))
    if (row.contains("modes") && row.at("modes").find('"' + mode + '"') != std::string::npos) out.push_back(row.at("resource"));
  return out;
}

/// Files are read where that is asked for.
constexpr const char* kFiles[] = {"telecom.call-recordings", "telecom.call-voicemails", "forms.job-attachment-files"};

/// What the topics say: the newest record of each key, and what a job published twice.
struct Published {
  std::map<std::string, std::map<std::string, std::string>> newest;  // resource, key -> hash
  std::vector<std::string> twice;
};
Published published(const std::vector<kafka::Message>& messages) {
  Published out;
  std::set<std::string> seen;
  for (const auto& m : messages) {
    if (m.header("st-control") != nullptr) continue;
    const auto& source = *m.header("st-source");
    const auto hash = sim::record_hash(*m.key, *m.value).hex();
    out.newest[source.substr(source.rfind('/') + 1)][*m.key] = hash;
    const auto& job = *m.header("st-job");
    if (!seen.insert(job.substr(0, job.rfind(':')) + *m.key + hash).second) out.twice.push_back(source + " " + *m.key);
  }
  return out;
}

struct Difference {
  std::size_t rows = 0, vanished = 0;
  std::vector<std::string> problems;
};
Difference compare(const Published& topics, const std::string& truth) {
  Difference out;
  for (const auto& row : json_rows(truth)) {
    const auto at = topics.newest.find(row.at("resource"));
    static const std::map<std::string, std::string> nothing;
    const auto& records = at == topics.newest.end() ? nothing : at->second;
    const auto expected = json_rows(row.at("rows"));
    std::size_t missing = 0, old = 0;
    for (const auto& alive : expected) {
      const auto record = records.find(alive.at("key"));
      missing += record == records.end();
      old += record != records.end() && record->second != alive.at("hash");
    }
    if (missing + old > 0)
      out.problems.push_back(
          fmt::format("{}: {} of {} missing, {} not the newest", row.at("resource"), missing, expected.size(), old));
    out.rows += expected.size();
    out.vanished += records.size() - std::min(records.size(), expected.size() - missing);
  }
  return out;
}

TEST(Catalog, ShowsAResourceAsJsonWithoutWhatIsEmpty) {
  EXPECT_EQ(run({STSYNC_PROGRAM, "catalog", "show", "dispatch.zones", "--output", "json"}).out, R"({
 "resource": "dispatch.zones",
 "title": "Zones",
 "modes": [
  "full",
  "incremental",
  "window",
  "ids"
 ],
 "topic": "st.dispatch.zones",
 "key": "id",
 "modified": "modifiedOn",
 "first_spec": "2026-03",
 "last_spec": "2026-07",
 "endpoints": [
  {
   "role": "list",
   "method": "GET",
   "path": "/dispatch/v2/tenant/{tenant}/zones",
   "shape": "page",
   "scope": "tn.dis.zones:r",
   "query": {
    "active": "Any"
   },
   "page_size": 500,
   "max_page_size": 5000,
   "sorts": [
    "Id",
    "CreatedOn",
    "ModifiedOn"
   ],
   "unique_sort": "+Id",
   "modified_filter": true,
   "created_filter": true
  },
  {
   "role": "get",
   "method": "GET",
   "path": "/dispatch/v2/tenant/{tenant}/zones/{id}",
   "shape": "object",
   "scope": "tn.dis.zones:r"
  }
 ]
}
)");
}

TEST(Crawl, EveryResourceWhileItsRowsChangeVanishAndAppear) {
  const auto overrides = testing::TempDir() + fmt::format("stsync-crawl-{}.yaml", ::getpid());
  std::ofstream(overrides) << fmt::format("resources: {{{}: {{files: true}}}}\n", fmt::join(kFiles, ": {files: true}, "));
  // The quarter of an hour of the feeds passes in a second.
  Stage stage({.records = 40,
               .rate = 0,
               .export_page = 17,
               .sets = {"worker.settle=1s", "catalogue.overrides=" + overrides},
               .sim = {"--time-scale", "900", "--churn", "20"}});
  const auto worker = stage.start_worker();
  const auto all = fmt::format("{},{}", fmt::join(resources_with("full"), ","), fmt::join(kFiles, ","));
  const auto full = stage.stsync({"sync", "--resource", all, "--mode", "full", "--wait"}, 400s);
  EXPECT_EQ(full.code, 0) << full.err.substr(full.err.size() - std::min<std::size_t>(full.err.size(), 4000));
  stage.control("/__sim/churn", R"({"per_second":0})");
  Difference difference;
  // The first may come before the last changes have settled.
  for (int i = 0; i < 3 && (i == 0 || !difference.problems.empty()); ++i) {
    const auto again = stage.stsync({"sync", "--resource", all, "--wait"}, 400s);
    EXPECT_EQ(again.code, 0) << again.err.substr(again.err.size() - std::min<std::size_t>(again.err.size(), 4000));
    const auto topics = published(stage.read(stage.record_topics()));
    EXPECT_TRUE(topics.twice.empty()) << topics.twice.size() << " twice by one job, first: " << topics.twice.front();
    difference = compare(topics, stage.control("/__sim/truth?rows=true&resource=" + all));
  }
  for (const auto& problem : difference.problems) ADD_FAILURE() << problem;
  std::filesystem::remove(overrides);
  std::printf("%zu rows alive, %zu vanished\n", difference.rows, difference.vanished);
}

}  // namespace
}  // namespace stsync::test
