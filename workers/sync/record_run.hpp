#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "codec/page.hpp"
#include "kafka/producer.hpp"
#include "servicetitan/record_key.hpp"

namespace stsync::sync {

/// What all records of a job have in common; the catalogue outlives it.
struct RecordOrigin {
  std::string topic;
  std::string key_prefix;  ///< "1001:"
  std::string source;      ///< st-source: app/tenant/environment/resource
  std::string job;
  std::string ce_type{};  ///< CloudEvents type; empty: no ce_ headers
};

/// The records of one page on their way to their topic: bytes and keys are views into the page's body. Written on the lane's
/// thread; immutable.
class RecordRun final : public kafka::MessageRun {
 public:
  struct Row {
    codec::Record record;
    std::uint32_t index = 0;  ///< on its page
  };
  RecordRun(RecordOrigin origin, std::int64_t first_seq, std::shared_ptr<const std::string> body, std::vector<Row> rows,
            const servicetitan::KeySpec& key, servicetitan::RecordContext context);
  void write(kafka::MessageSink& sink) const override;
  std::size_t count() const noexcept { return rows_.size(); }

 private:
  RecordOrigin origin_;
  std::int64_t first_seq_;
  std::shared_ptr<const std::string> body_;
  std::vector<Row> rows_;
  const servicetitan::KeySpec& key_;
  servicetitan::RecordContext context_;
};

}  // namespace stsync::sync
