#include "sync/record_run.hpp"

#include <array>
#include <charconv>

namespace stsync::sync {

RecordRun::RecordRun(RecordOrigin origin, std::int64_t first_seq, std::shared_ptr<const std::string> body, std::vector<Row> rows,
                     const servicetitan::KeySpec& key, servicetitan::RecordContext context)
    : origin_(std::move(origin)),
      first_seq_(first_seq),
      body_(std::move(body)),
      rows_(std::move(rows)),
      key_(key),
      context_(std::move(context)) {}

void RecordRun::write(kafka::MessageSink& sink) const {
  std::string key = origin_.key_prefix;
  std::string job = origin_.job + ":";
  const auto job_prefix = job.size();
  std::array<char, 20> digits{};
  std::vector<std::pair<std::string_view, std::string_view>> headers{{"st-source", origin_.source}, {"st-job", {}}};
  const bool cloudevents = !origin_.ce_type.empty();
  if (cloudevents)
    headers.insert(headers.end(),
                   {{"ce_specversion", "1.0"}, {"ce_type", origin_.ce_type}, {"ce_source", origin_.source}, {"ce_id", {}}});
  std::string scratch;
  auto seq = first_seq_;
  for (const auto& [record, index] : rows_) {
    key.resize(origin_.key_prefix.size());
    key_.append(key, *body_, record, index, context_);
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), seq++).ptr;
    job.resize(job_prefix);
    job.append(digits.data(), end);
    headers[1].second = job;
    if (cloudevents) headers.back().second = job;
    if (!sink.add({origin_.topic, kafka::kAnyPartition, key, context_.published(record.bytes.in(*body_), scratch), headers}))
      return;
  }
}

}  // namespace stsync::sync
