#include "sync/record_run.hpp"

#include <array>
#include <charconv>

#include <fmt/format.h>

#include "core/at_work.hpp"
#include "sync/dead_letter.hpp"

namespace stsync::sync {

RecordRun::RecordRun(RecordOrigin origin, std::int64_t first_seq, PageRows page)
    : origin_(std::move(origin)), first_seq_(first_seq), page_(std::move(page)) {}

void RecordRun::write(kafka::MessageSink& sink) const {
  const core::AtWork mark(origin_.job_key);
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
  const auto body = page_.body->view();
  core::Passage passage(*page_.body);
  for (const auto& [record, index] : page_.rows) {
    passage.reached(record.bytes.offset);
    key.resize(origin_.key_prefix.size());
    page_.key.append(key, body, record, index, page_.context);
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), seq++).ptr;
    job.resize(job_prefix);
    job.append(digits.data(), end);
    headers[1].second = job;
    if (cloudevents) headers.back().second = job;
    if (!sink.add({origin_.topic, kafka::kAnyPartition, key, page_.context.published(record.bytes.in(body), scratch), headers}))
      return;
  }
}

DeadLetterRun::DeadLetterRun(std::string dlq, RecordOrigin origin, std::size_t limit, PageRows page)
    : dlq_(std::move(dlq)), origin_(std::move(origin)), limit_(limit), page_(std::move(page)) {}

void DeadLetterRun::write(kafka::MessageSink& sink) const {
  const core::AtWork mark(origin_.job_key);
  std::vector<std::pair<std::string_view, std::string_view>> headers;
  const auto body = page_.body->view();
  core::Passage passage(*page_.body);
  std::string scratch;
  for (const auto& [record, index] : page_.rows) {
    passage.reached(record.bytes.offset);
    auto key = origin_.key_prefix;
    page_.key.append(key, body, record, index, page_.context);
    const auto letter =
        dead_letter_message(dlq_, {key,
                                   page_.context.published(record.bytes.in(body), scratch),
                                   origin_.topic,
                                   -1,
                                   -1,
                                   "publish",
                                   "too_large",
                                   fmt::format("a record of {} bytes; {} takes {}", record.size, origin_.topic, limit_),
                                   {{"st-source", origin_.source}, {"st-job", origin_.job}}});
    headers.assign(letter.headers.begin(), letter.headers.end());
    if (!sink.add({letter.topic, letter.partition, letter.key, *letter.value, headers})) return;
  }
}

}  // namespace stsync::sync
