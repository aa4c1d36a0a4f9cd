#pragma once
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.hpp"
#include "sync/committer.hpp"

namespace stsync::sync {

/// A message as the broker would show it.
struct Shown {
  std::string topic;
  std::int32_t partition = -1;
  std::string key;
  std::optional<std::string> value;
  std::map<std::string, std::string> headers;
};

class Collect final : public kafka::MessageSink {
 public:
  bool add(const kafka::MessageView& m) override {
    Shown s{std::string(m.topic), m.partition, std::string(m.key), std::nullopt, {}};
    if (m.value) s.value = std::string(*m.value);
    for (const auto& [name, value] : m.headers) s.headers.emplace(name, value);
    all.push_back(std::move(s));
    return all.size() < most;
  }
  std::vector<Shown> all;
  std::size_t most = SIZE_MAX;
};

inline std::vector<Shown> shown(const kafka::Batch& batch) {
  Collect sink;
  for (const auto& run : batch.runs) run->write(sink);
  for (const auto& m : batch.messages) {
    Shown s{m.topic, m.partition, m.key, m.value, {}};
    for (const auto& [name, value] : m.headers) s.headers.emplace(name, value);
    sink.all.push_back(std::move(s));
  }
  return std::move(sink.all);
}

/// Commits in virtual time, with answers that a test chooses.
class FakeRunner final : public TransactionRunner {
 public:
  explicit FakeRunner(core::Clock& clock) : clock_(clock) {}

  boost::asio::awaitable<kafka::CommitReport> commit(kafka::Batch batch) override {
    tried.push_back(clock_.now());
    co_await clock_.sleep_for(takes);
    auto report = answer(batch);
    if (report.outcome == kafka::Outcome::committed) {
      committed.push_back(shown(batch));
      offsets.push_back(batch.offset);
    }
    co_return report;
  }

  static kafka::CommitReport ok() { return {kafka::Outcome::committed, {core::ErrorKind::internal, ""}, {}}; }
  static kafka::CommitReport failed(kafka::Outcome outcome, core::ErrorKind kind) { return {outcome, {kind, "so it is"}, {}}; }

  std::function<kafka::CommitReport(const kafka::Batch&)> answer = [](const kafka::Batch&) { return ok(); };
  core::Duration takes = std::chrono::milliseconds(3);
  std::vector<core::TimePoint> tried;
  std::vector<std::vector<Shown>> committed;
  std::vector<std::int64_t> offsets;

 private:
  core::Clock& clock_;
};

}  // namespace stsync::sync
