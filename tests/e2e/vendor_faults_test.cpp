// A vendor in trouble of every kind at once, the real program, a real broker.
#include <map>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "sim/store.hpp"
#include "stage/stage.hpp"

namespace stsync::test {
namespace {

using namespace std::chrono_literals;

/// What lies over the feed while it is read, some of it again and again, and over a list.
constexpr const char* kTrouble = R"([
  {"path_contains":"export/jobs","status":429,"retry_after":"1","every":4,"count":3},
  {"path_contains":"export/jobs","status":500,"body":"html","every":5,"count":4},
  {"path_contains":"export/jobs","cut_body":700,"every":6,"count":3},
  {"path_contains":"export/jobs","garbage":true,"every":7,"count":2},
  {"path_contains":"export/jobs","mangle":"nan","every":8,"count":1},
  {"path_contains":"export/jobs","mangle":"duplicate_rows","every":5,"count":3},
  {"path_contains":"export/jobs","drip_ms":1,"every":9,"count":1},
  {"path_contains":"/vendors","status":429,"retry_after":"soon"},
  {"path_contains":"/vendors","status":502,"body":"html","count":2},
  {"path_contains":"/vendors","cut_body":300},
  {"path_contains":"/vendors","garbage":true},
  {"path_contains":"/vendors","status":503,"body":"html","drip_ms":1,"delay_ms":500},
  {"path_contains":"/connect/token","status":503,"body":"html"}])";

constexpr std::size_t kDuplicates = 3;

/// What a topic holds: the newest record of each key, and how often a job says the same number.
struct Read {
  std::map<std::string, std::string> newest;
  std::set<std::string> numbers;
  std::size_t records = 0, repeated = 0;
  std::string hash() const {
    sim::Sum128 sum;
    for (const auto& [key, value] : newest) sum += sim::record_hash(key, value);
    return sum.hex();
  }
};
Read read(const Stage& stage, const std::string& topic) {
  Read out;
  for (const auto& m : stage.read({topic})) {
    if (m.header("st-control") != nullptr) continue;
    ++out.records;
    out.repeated += !out.numbers.insert(*m.header("st-job")).second;
    out.newest[*m.key] = *m.value;
  }
  return out;
}

TEST(VendorFaults, EverythingArrivesOnceWhateverLiesOverIt) {
  Stage stage({.records = 300, .rate = 0, .export_page = 10, .record_bytes = 300});
  stage.control("/__sim/faults", kTrouble);
  const auto worker = stage.start_worker();
  const auto done = stage.stsync({"sync", "--resource", "jpm.jobs,inventory.vendors", "--mode", "full", "--wait"}, 200s);
  EXPECT_EQ(done.code, 0) << done.err << worker->err();
  EXPECT_EQ(stage.control("/__sim/faults"), "[]") << "all of it has happened";
  for (const auto& row : json_rows(stage.control("/__sim/truth?resource=jpm.jobs,inventory.vendors"))) {
    const auto& resource = row.at("resource");
    const auto topic = read(stage, "st." + resource);
    EXPECT_EQ(std::to_string(topic.newest.size()), row.at("count")) << resource;
    EXPECT_EQ(topic.hash(), row.at("hash")) << resource;
    EXPECT_EQ(topic.records, topic.newest.size() + (resource == "jpm.jobs" ? kDuplicates : 0))
        << resource << ": each row of an answer once";
    EXPECT_EQ(topic.repeated, 0u) << resource;
  }
}

}  // namespace
}  // namespace stsync::test
