#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "codec/page.hpp"
#include "kafka/producer.hpp"

namespace stsync::sync {

/// What all records of a job have in common.
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
  RecordRun(RecordOrigin origin, std::int64_t first_seq, std::shared_ptr<const std::string> body,
            std::vector<codec::Record> records);
  void write(kafka::MessageSink& sink) const override;
  std::size_t count() const noexcept { return records_.size(); }

 private:
  RecordOrigin origin_;
  std::int64_t first_seq_;
  std::shared_ptr<const std::string> body_;
  std::vector<codec::Record> records_;
};

/// Appends the key of a record behind "<tenant>:" — the number or text of its primary key; a record without one is named by a
/// hash of its bytes ("#…").
void append_record_key(std::string& out, std::string_view body, const codec::Record& record);

}  // namespace stsync::sync
