#pragma once
// Handing messages to librdkafka. Included by .cpp files of this module only.
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "kafka/handles.hpp"
#include "kafka/message.hpp"

namespace stsync::kafka {

/// A producer's topics, which partition by Java's murmur2. Gone before their client.
class Topics {
 public:
  rd_kafka_topic_t* get(rd_kafka_t* client, std::string_view name);
  void clear() { topics_.clear(); }
  void forget_use() {
    for (auto& [name, row] : topics_) row.used = false;
  }
  /// Those asked for since: "st.jpm.jobs, st.journal"
  std::string used() const;

 private:
  using Handle = std::unique_ptr<rd_kafka_topic_t, Freer<rd_kafka_topic_destroy>>;
  struct Row {
    Handle handle;
    bool used = true;
  };
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, Row, Hash, std::equal_to<>> topics_;
};

/// Hands one message to librdkafka, which copies it. NO_ERROR or why not. `opaque` comes back in its delivery report.
rd_kafka_resp_err_t produce(rd_kafka_t* client, rd_kafka_topic_t* topic, const MessageView& m, void* opaque);

/// The same for one that owns its bytes.
rd_kafka_resp_err_t produce(rd_kafka_t* client, rd_kafka_topic_t* topic, const OwnedMessage& m, void* opaque);

}  // namespace stsync::kafka
