// What the chart's dashboards and alerts ask Prometheus for is what the program has.
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "telemetry/families.hpp"

namespace stsync::telemetry {
namespace {

using ::testing::Contains;

/// Labels of each series by its name: those of the family, `le` of buckets, and what Prometheus adds to every target.
std::map<std::string, std::set<std::string>> known_series() {
  std::map<std::string, std::set<std::string>> out;
  for (const auto& info : families()) {
    std::set<std::string> labels{"job", "instance", "namespace", "service", "pod"};
    for (std::size_t i = 0; i < info.label_count(); ++i) labels.emplace(info.labels[i]);
    const std::string name(info.name);
    out[name] = labels;
    if (info.sort != Sort::histogram) continue;
    out[name + "_sum"] = out[name + "_count"] = labels;
    labels.insert("le");
    out[name + "_bucket"] = labels;
  }
  return out;
}

std::string text_of(const std::filesystem::path& file) {
  std::ostringstream out;
  out << std::ifstream(file, std::ios::binary).rdbuf();
  return out.str();
}

std::vector<std::string> matches(const std::string& text, const std::string& pattern, std::size_t group = 0) {
  const std::regex regex(pattern);
  std::vector<std::string> out;
  for (auto at = std::sregex_iterator(text.begin(), text.end(), regex); at != std::sregex_iterator(); ++at)
    out.push_back(at->str(group));
  return out;
}

/// The expressions of a dashboard or of a file of rules.
std::vector<std::string> expressions(const std::string& text) {
  std::vector<std::string> out;
  for (auto at = text.find("expr"); at != std::string::npos; at = text.find("expr", at + 1))
    out.push_back(text.substr(
        at,
        std::min({text.find("\n        for:", at), text.find("\n        labels:", at), text.find("\"legendFormat\"", at)}) - at));
  return out;
}

/// Every name of a metric in the files of this folder of the chart, and every label that an expression there selects, groups or
/// joins by. Returns how many expressions that were.
std::size_t check_queries(const std::string& folder) {
  const auto known = known_series();
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(STSYNC_SOURCE_DIR "/helm/stsync/files/" + folder)) {
    const auto text = text_of(entry.path());
    for (const auto& name : matches(text, "stsync_[a-z_]+")) EXPECT_TRUE(known.contains(name)) << name << " in " << entry.path();
    for (const auto& expression : expressions(text)) {
      ++count;
      std::set<std::string> labels;
      for (const auto& name : matches(expression, "stsync_[a-z_]+"))
        if (known.contains(name)) labels.insert(known.at(name).begin(), known.at(name).end());
      if (labels.empty()) labels = known.at("stsync_build_info");  // of `up` alone
      for (const auto& list : matches(expression, R"(\b(?:by|on) \(([^)]*)\))", 1))
        for (const auto& label : matches(list, "[a-z_]+")) EXPECT_THAT(labels, Contains(label)) << expression;
      for (const auto& selector : matches(expression, R"((stsync_[a-z_]+\{[^}]*)\})", 1))
        for (const auto& label : matches(selector, R"([{,]\s*([a-z_]+)(?:=|!))", 1))
          EXPECT_THAT(known.at(selector.substr(0, selector.find('{'))), Contains(label)) << expression;
    }
  }
  return count;
}

TEST(Queries, DashboardsAskOnlyForMetricsAndLabelsThatThereAre) { EXPECT_GT(check_queries("dashboards"), 35u); }

TEST(Queries, AlertsAskOnlyForMetricsAndLabelsThatThereAre) { EXPECT_GT(check_queries("alerts"), 20u); }

}  // namespace
}  // namespace stsync::telemetry
