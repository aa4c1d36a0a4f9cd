#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "codec/page.hpp"
#include "core/body.hpp"
#include "kafka/producer.hpp"
#include "servicetitan/record_key.hpp"

namespace stsync::sync {

/// Key, headers and framing of a record, for the comparison with its topic's limit: bytes.
inline constexpr std::size_t kRecordOverhead = 512;

/// What all records of a job have in common; the catalogue outlives it.
struct RecordOrigin {
  std::string topic;
  std::string key_prefix;  ///< "1001:"
  std::string source;      ///< st-source: app/tenant/environment/resource
  std::string job;
  std::string ce_type{};  ///< CloudEvents type; empty: no ce_ headers
  std::string job_key{};  ///< in the journal
};

/// Records of one page. Its body may be in a file, so they are gone through in their order.
struct PageRows {
  struct Row {
    codec::Record record;
    std::uint32_t index = 0;  ///< on its page
  };
  std::shared_ptr<const core::Body> body;
  std::vector<Row> rows;
  const servicetitan::KeySpec& key;
  servicetitan::RecordContext context;
};

/// The records of one page on their way to their topic: bytes and keys are views into the page's body. Written on the lane's
/// thread; immutable.
class RecordRun final : public kafka::MessageRun {
 public:
  RecordRun(RecordOrigin origin, std::int64_t first_seq, PageRows page);
  void write(kafka::MessageSink& sink) const override;

 private:
  RecordOrigin origin_;
  std::int64_t first_seq_;
  PageRows page_;
};

/// Those that their topic does not take, on their way to the dead letters: made one by one, because together they may be as large
/// as the page. Written on the lane's thread; immutable.
class DeadLetterRun final : public kafka::MessageRun {
 public:
  /// `limit`: bytes that the topic takes.
  DeadLetterRun(std::string dlq, RecordOrigin origin, std::size_t limit, PageRows page);
  void write(kafka::MessageSink& sink) const override;

 private:
  std::string dlq_;
  RecordOrigin origin_;
  std::size_t limit_;
  PageRows page_;
};

}  // namespace stsync::sync
