#include "sync/record_run.hpp"

#include <array>
#include <charconv>

#include "core/text.hpp"

namespace stsync::sync {

void append_record_key(std::string& out, std::string_view body, const codec::Record& record) {
  const auto raw = record.key.in(body);
  if (!raw.empty() && raw.front() == '"') {
    out += codec::json_text(raw).value_or("");
  } else if (!raw.empty() && raw != "null") {
    out += raw;
  } else {
    out += '#';
    out += std::string_view(core::sha256_hex(record.bytes.in(body))).substr(0, 32);
  }
}

RecordRun::RecordRun(std::string topic, std::int64_t tenant, std::string source, std::string job, std::int64_t first_seq,
                     std::shared_ptr<const std::string> body, std::vector<codec::Record> records)
    : topic_(std::move(topic)),
      key_prefix_(std::to_string(tenant) + ":"),
      source_(std::move(source)),
      job_prefix_(std::move(job) + ":"),
      first_seq_(first_seq),
      body_(std::move(body)),
      records_(std::move(records)) {}

void RecordRun::write(kafka::MessageSink& sink) const {
  using Header = std::pair<std::string_view, std::string_view>;
  std::string key = key_prefix_;
  std::string job = job_prefix_;
  std::array<Header, 2> headers{Header{"st-source", source_}, Header{"st-job", {}}};
  std::array<char, 20> digits{};
  auto seq = first_seq_;
  for (const auto& record : records_) {
    key.resize(key_prefix_.size());
    append_record_key(key, *body_, record);
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), seq++).ptr;
    job.resize(job_prefix_.size());
    job.append(digits.data(), end);
    headers[1].second = job;
    if (!sink.add({topic_, kafka::kAnyPartition, key, record.bytes.in(*body_), headers})) return;
  }
}

}  // namespace stsync::sync
