#include "verdict.hpp"

#include <array>
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

}  // namespace

Verdict judge(const test::Stage& stage) {
  Verdict out;
  std::vector<std::string> topics;
  const std::string bulk = test::kBulk;
  for (std::size_t at = 0; at < bulk.size();) {
    const auto end = std::min(bulk.find(',', at), bulk.size());
    topics.push_back("st." + bulk.substr(at, end - at));
    at = end + 1;
  }
  const auto checked = test::check_records(stage.read(topics));
  out.records = checked.records;
  out.problems = checked.problems;
  const auto differences = test::compare_with_truth(checked, stage.control(std::string("/__sim/truth?resource=") + test::kBulk));
  out.problems.insert(out.problems.end(), differences.begin(), differences.end());
  topics.insert(topics.end(), {"st.commands", "st.journal", "st.status", "st.dlq", "st.usage"});
  out.open = open_transactions(stage, topics);
  for (const auto& row : test::json_rows(stage.control("/__sim/fetches"))) {
    const auto extra = std::stoll(row.at("requests")) - std::stoll(row.at("distinct"));
    out.refetched += extra;
    out.refetched_of_one = std::max<std::int64_t>(out.refetched_of_one, extra);
  }
  return out;
}

}  // namespace stsync::chaos
