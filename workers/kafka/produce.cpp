#include "kafka/produce.hpp"

#include <array>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace stsync::kafka {

rd_kafka_topic_t* Topics::get(rd_kafka_t* client, std::string_view name) {
  const auto it = topics_.find(name);
  if (it != topics_.end()) {
    it->second.used = true;
    return it->second.handle.get();
  }
  auto* conf = rd_kafka_default_topic_conf_dup(client);  // a new one would forget message.timeout.ms
  std::array<char, 256> why{};
  rd_kafka_topic_conf_set(conf, "partitioner", "murmur2_random", why.data(), why.size());
  Handle topic(rd_kafka_topic_new(client, std::string(name).c_str(), conf));
  return topics_.emplace(std::string(name), Row{std::move(topic)}).first->second.handle.get();
}

std::string Topics::used() const {
  std::set<std::string_view> names;
  for (const auto& [name, row] : topics_)
    if (row.used) names.insert(name);
  return fmt::format("{}", fmt::join(names, ", "));
}

rd_kafka_resp_err_t produce(rd_kafka_t* client, rd_kafka_topic_t* topic, const MessageView& m, void* opaque) {
  rd_kafka_headers_t* headers = nullptr;
  if (!m.headers.empty()) {
    headers = rd_kafka_headers_new(m.headers.size());
    for (const auto& [name, value] : m.headers)
      rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()), value.data(),
                          static_cast<ssize_t>(value.size()));
  }
  auto* value = m.value ? const_cast<char*>(m.value->data()) : nullptr;
  const auto size = m.value ? m.value->size() : 0;
  std::array<rd_kafka_vu_t, 7> args{};
  args[0].vtype = RD_KAFKA_VTYPE_RKT;
  args[0].u.rkt = topic;
  args[1].vtype = RD_KAFKA_VTYPE_PARTITION;
  args[1].u.i32 = m.partition == kAnyPartition ? RD_KAFKA_PARTITION_UA : m.partition;
  args[2].vtype = RD_KAFKA_VTYPE_KEY;
  args[2].u.mem = {const_cast<char*>(m.key.data()), m.key.size()};
  args[3].vtype = RD_KAFKA_VTYPE_VALUE;
  args[3].u.mem = {value, size};
  args[4].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  args[4].u.i = RD_KAFKA_MSG_F_COPY;
  args[5].vtype = RD_KAFKA_VTYPE_OPAQUE;
  args[5].u.ptr = opaque;
  std::size_t count = 6;
  if (headers != nullptr) {
    args[count].vtype = RD_KAFKA_VTYPE_HEADERS;
    args[count++].u.headers = headers;
  }
  const ErrorHandle error(rd_kafka_produceva(client, args.data(), count));
  if (!error) return RD_KAFKA_RESP_ERR_NO_ERROR;
  if (headers != nullptr) rd_kafka_headers_destroy(headers);  // still ours after a failure
  return rd_kafka_error_code(error.get());
}

rd_kafka_resp_err_t produce(rd_kafka_t* client, rd_kafka_topic_t* topic, const OwnedMessage& m, void* opaque) {
  const std::vector<std::pair<std::string_view, std::string_view>> headers(m.headers.begin(), m.headers.end());
  const auto value = m.value ? std::optional<std::string_view>(*m.value) : std::nullopt;
  return produce(client, topic, MessageView{m.topic, m.partition, m.key, value, headers}, opaque);
}

}  // namespace stsync::kafka
