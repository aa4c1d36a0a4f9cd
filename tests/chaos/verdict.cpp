#include "verdict.hpp"

#include <array>
#include <map>
#include <memory>
#include <stdexcept>

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

namespace stsync::chaos {
namespace {

constexpr int kTimeoutMs = 20'000;

using Client = std::unique_ptr<rd_kafka_t, decltype(&rd_kafka_destroy)>;

Client make_client(const test::Stage& stage, const char* isolation) {
  auto* conf = rd_kafka_conf_new();
  std::array<char, 256> why{};
  rd_kafka_conf_set(conf, "bootstrap.servers", stage.cluster().bootstrap_servers.c_str(), why.data(), why.size());
  rd_kafka_conf_set(conf, "isolation.level", isolation, why.data(), why.size());
  rd_kafka_conf_set(conf, "group.id", "chaos", why.data(), why.size());
  Client client(rd_kafka_new(RD_KAFKA_CONSUMER, conf, why.data(), why.size()), rd_kafka_destroy);
  if (!client) throw std::runtime_error(why.data());
  return client;
}

std::int64_t end_of(rd_kafka_t* client, const std::string& topic, std::int32_t partition) {
  std::int64_t low = 0;
  std::int64_t high = 0;
  const auto code = rd_kafka_query_watermark_offsets(client, topic.c_str(), partition, &low, &high, kTimeoutMs);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) throw std::runtime_error(topic + ": " + rd_kafka_err2str(code));
  return high;
}

/// A reader that sees committed messages only stops in front of an open transaction.
std::vector<std::string> open_transactions(const test::Stage& stage, const std::vector<std::string>& topics) {
  const auto committed = make_client(stage, "read_committed"), all = make_client(stage, "read_uncommitted");
  std::vector<std::string> out;
  for (const auto& topic : topics)
    for (std::int32_t p = 0; p < 3; ++p)
      if (end_of(committed.get(), topic, p) != end_of(all.get(), topic, p)) out.push_back(fmt::format("{}-{}", topic, p));
  return out;
}

/// Of each tenant and resource ("1001 jpm.jobs"): how many records, and their hash.
using Truth = std::map<std::string, std::pair<std::string, std::string>>;

Truth truth_of(const test::Stage& stage) {
  Truth out;
  for (const auto& row : test::json_rows(stage.control(std::string("/__sim/truth?resource=") + test::kBulk)))
    out[row.at("tenant") + " " + row.at("resource")] = {row.at("count"), row.at("hash")};
  return out;
}

std::string problem_of(const std::string& id, const test::Checked::Job& job, const Told& told, const Truth& truth) {
  const auto end = told.ended.find(id);
  if (end == told.ended.end()) return "";  // stuck, and told as such
  if (end->second == "cancelled")
    return job.last_ms > told.cancelled.at(id) ? fmt::format("{}: records behind its cancellation", id) : "";
  const auto& [count, hash] = truth.at(job.of);
  if (std::to_string(job.tally.count()) != count)
    return fmt::format("{}: {} records, the truth has {}", id, job.tally.count(), count);
  return job.tally.hash() == hash || count == "0" ? "" : fmt::format("{}: other bytes than the simulator sent", id);
}

}  // namespace

Verdict judge(const test::Stage& stage, const std::set<std::string>& jobs, const Told& told) {
  Verdict out;
  std::vector<std::string> topics;
  for (const auto& resource : resources()) topics.push_back("st." + resource);
  auto checked = test::check_records(stage.read(topics));
  out.records = checked.records;
  out.problems = checked.problems;
  for (const auto& [id, job] : checked.jobs)
    if (!jobs.contains(id)) out.problems.push_back(id + ": records of a job that nobody asked for");
  const auto truth = truth_of(stage);
  for (const auto& id : jobs) {
    auto& job = checked.jobs[id];
    const auto tenant = id.find('-') + 1, resource = id.find('-', tenant) + 1;  // see job_id
    if (job.of.empty()) job.of = id.substr(tenant, resource - 1 - tenant) + " " + id.substr(resource);
    if (const auto problem = problem_of(id, job, told, truth); !problem.empty()) out.problems.push_back(problem);
  }
  topics.insert(topics.end(), {"st.commands", "st.journal", "st.status", "st.dlq", "st.usage"});
  out.open = open_transactions(stage, topics);
  return out;
}

}  // namespace stsync::chaos
