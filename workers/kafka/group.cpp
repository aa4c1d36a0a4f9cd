#include "kafka/group.hpp"

#include <array>

#include <fmt/format.h>

#include "kafka/handles.hpp"

namespace stsync::kafka {
namespace {

using core::ErrorKind;
using std::chrono::milliseconds;

class SeenGroup final : public Group {
 public:
  SeenGroup(Cluster cluster, std::string name) : cluster_(std::move(cluster)), name_(std::move(name)) {}

  core::Result<void> open() {
    auto conf = make_conf(cluster_, {{"group.id", name_}, {"enable.auto.commit", "false"}, {"isolation.level", "read_committed"}});
    if (!conf) return core::fail(conf.error());
    auto client = make_client(RD_KAFKA_CONSUMER, std::move(*conf));
    if (!client) return core::fail(client.error());
    client_ = std::move(*client);
    queue_.reset(rd_kafka_queue_new(client_.get()));
    return {};
  }
  ~SeenGroup() override { queue_.reset(); }

  core::Result<std::vector<std::string>> members(milliseconds timeout) override {
    using Options = std::unique_ptr<rd_kafka_AdminOptions_t, Freer<rd_kafka_AdminOptions_destroy>>;
    const Options options(rd_kafka_AdminOptions_new(client_.get(), RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS));
    std::array<char, 128> why{};
    rd_kafka_AdminOptions_set_request_timeout(options.get(), static_cast<int>(timeout.count()), why.data(), why.size());
    std::array<const char*, 1> names{name_.c_str()};
    rd_kafka_DescribeConsumerGroups(client_.get(), names.data(), names.size(), options.get(), queue_.get());
    const EventHandle event(rd_kafka_queue_poll(queue_.get(), static_cast<int>(timeout.count()) + 1000));
    if (!event) return core::fail(ErrorKind::broker, fmt::format("asking for the members of group {}: no answer", name_));
    if (const auto code = rd_kafka_event_error(event.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR)
      return core::fail(to_error(code, "asking for the members of group " + name_));
    std::size_t count = 0;
    const auto** groups =
        rd_kafka_DescribeConsumerGroups_result_groups(rd_kafka_event_DescribeConsumerGroups_result(event.get()), &count);
    return count == 0 ? std::vector<std::string>() : members_of(groups[0]);
  }

  core::Result<std::optional<std::int64_t>> committed(const std::string& topic, std::int32_t partition,
                                                      milliseconds timeout) override {
    const auto list = one_partition(topic, partition);
    auto code = rd_kafka_committed(client_.get(), list.get(), static_cast<int>(timeout.count()));
    const auto& e = list->elems[0];
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) code = e.err;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return core::fail(to_error(code, "committed offset of group " + name_));
    return e.offset < 0 ? std::optional<std::int64_t>() : std::optional<std::int64_t>(e.offset);
  }

 private:
  core::Result<std::vector<std::string>> members_of(const rd_kafka_ConsumerGroupDescription_t* group) const {
    std::vector<std::string> out;
    if (const auto* error = rd_kafka_ConsumerGroupDescription_error(group)) {
      // What newer brokers say of a group that never was.
      if (rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) return out;
      return core::fail(to_error(rd_kafka_error_code(error), "asking for the members of group " + name_));
    }
    for (std::size_t i = 0; i < rd_kafka_ConsumerGroupDescription_member_count(group); ++i) {
      const auto* member = rd_kafka_ConsumerGroupDescription_member(group, i);
      out.push_back(fmt::format("{} at {}", rd_kafka_MemberDescription_client_id(member), rd_kafka_MemberDescription_host(member)));
    }
    return out;
  }

  const Cluster cluster_;
  const std::string name_;
  ClientHandle client_;
  QueueHandle queue_;
};

}  // namespace

core::Result<std::unique_ptr<Group>> make_group(const Cluster& cluster, std::string name) {
  auto group = std::make_unique<SeenGroup>(cluster, std::move(name));
  if (auto ok = group->open(); !ok) return core::fail(ok.error());
  return group;
}

}  // namespace stsync::kafka
