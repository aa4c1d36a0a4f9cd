#include "app/follow.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>
#include <unistd.h>

#include "app/setup.hpp"
#include "codec/wire.hpp"
#include "kafka/producer.hpp"
#include "sync/cluster.hpp"
#include "sync/names.hpp"

namespace stsync::app {
namespace {

using namespace std::chrono_literals;
using v1::StatusEvent;

constexpr auto kSendTimeout = 15s;

std::atomic<bool> interrupted{false};
void on_interrupt(int) { interrupted = true; }

bool terminal(StatusEvent::Type type) {
  return type == StatusEvent::completed || type == StatusEvent::failed || type == StatusEvent::cancelled ||
         type == StatusEvent::rejected;
}

std::string grouped(std::int64_t n) {
  auto text = std::to_string(n);
  for (auto i = static_cast<std::ptrdiff_t>(text.size()) - 3; i > 0; i -= 3) text.insert(static_cast<std::size_t>(i), 1, ',');
  return text;
}

/// One line that is written over and over; nothing when stderr is no terminal.
class Bar {
 public:
  explicit Bar(std::size_t jobs) : jobs_(jobs), on_(::isatty(STDERR_FILENO) != 0) {}
  bool on() const { return on_; }
  void draw(const Progress& p) {
    if (!on_) return;
    constexpr std::size_t kWidth = 24;
    const auto done = jobs_ - p.open();
    const auto filled = kWidth * done / std::max<std::size_t>(jobs_, 1);
    const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    const auto rate = seconds > 0.2 ? static_cast<double>(p.records()) / seconds : 0.0;
    std::fprintf(stderr, "\r\033[K[%s%s] %zu/%zu jobs  %s records  %s pages  %s/s", std::string(filled, '#').c_str(),
                 std::string(kWidth - filled, '.').c_str(), done, jobs_, grouped(p.records()).c_str(), grouped(p.pages()).c_str(),
                 grouped(static_cast<std::int64_t>(rate)).c_str());
    std::fflush(stderr);
  }
  void end() {
    if (on_) std::fprintf(stderr, "\n");
  }

 private:
  std::size_t jobs_;
  bool on_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

int follow(kafka::Reader& reader, Progress& progress, std::size_t jobs) {
  std::signal(SIGINT, on_interrupt);
  Bar bar(jobs);
  while (!progress.done()) {
    if (interrupted) {
      bar.end();
      complain("interrupted; the jobs go on");
      return Exit::interrupted;
    }
    auto m = reader.next(200ms);
    if (!m) {
      bar.end();
      complain(m.error().message());
      return exit_code(m.error());
    }
    bar.draw(progress);
    if (!*m || !(*m)->value) continue;
    StatusEvent event;
    if (!codec::from_json(*(*m)->value, event) || !progress.see(event)) continue;
    if (!bar.on()) std::fprintf(stderr, "%s\n", event_line(event).c_str());
    bar.draw(progress);
  }
  bar.end();
  for (const auto& [job, event] : progress.last()) {
    std::printf("%s\n", codec::to_json(event).c_str());
    if (bar.on() && event.has_failure()) complain(event_line(event));
  }
  return progress.outcome();
}

}  // namespace

bool Progress::see(const StatusEvent& event) {
  const auto followed = followers_.find(event.job());
  const bool ours = open_.contains(event.job());
  if (!ours && followed == followers_.end()) return false;
  if (event.type() == StatusEvent::duplicate || event.type() == StatusEvent::coalesced) {
    if (event.target() != event.job()) followers_[event.target()].insert(event.job());
    last_[event.job()] = event;
    return true;
  }
  last_[event.job()] = event;
  if (!terminal(event.type())) return true;
  if (event.type() == StatusEvent::failed && !event.target().empty()) {  // it goes on as another job
    auto& followers = followers_[event.target()];
    followers.insert(event.job());
    if (followed != followers_.end()) followers.insert(followed->second.begin(), followed->second.end());
    replaced_.insert(event.job());
    return true;
  }
  open_.erase(event.job());
  if (followed != followers_.end())
    for (const auto& follower : followed->second) open_.erase(follower);
  return true;
}

std::int64_t Progress::records() const noexcept {
  std::int64_t n = 0;
  for (const auto& [job, event] : last_) n += event.counts().records();
  return n;
}
std::int64_t Progress::pages() const noexcept {
  std::int64_t n = 0;
  for (const auto& [job, event] : last_) n += event.counts().pages();
  return n;
}

Exit Progress::outcome() const noexcept {
  auto worst = Exit::ok;
  for (const auto& [job, event] : last_) {
    if (replaced_.contains(job)) continue;
    if (event.type() == StatusEvent::rejected) {
      const auto code = event.failure().code() == "not_found" ? Exit::not_found : Exit::bad_data;
      worst = std::max(worst, code);
    } else if (event.type() == StatusEvent::failed || event.type() == StatusEvent::cancelled) {
      worst = std::max(worst, Exit::job_failed);
    }
  }
  return worst;
}

std::string event_line(const StatusEvent& e) {
  auto line = fmt::format("{} {} {}", e.resource().empty() ? e.job() : e.resource(), StatusEvent::Type_Name(e.type()), e.job());
  if (e.counts().pages() > 0)
    line += fmt::format(" {} records {} pages", grouped(e.counts().records()), grouped(e.counts().pages()));
  if (e.has_failure()) line += fmt::format(" [{}] {}", e.failure().code(), e.failure().message());
  if (!e.note().empty()) line += " (" + e.note() + ")";
  return line;
}

int send_commands(const config::Config& config, const std::vector<CommandMessage>& commands, bool wait) {
  auto cluster = sync::make_cluster(config, "stsync-cli");
  if (!cluster) {
    complain(cluster.error().message());
    return exit_code(cluster.error());
  }
  cluster->log = nullptr;
  std::unique_ptr<kafka::Reader> reader;
  if (wait) {  // before sending, so that no event is missed
    auto made = kafka::make_reader(*cluster, {config.kafka.topics.status}, kafka::From::end, kSendTimeout);
    if (!made) {
      complain(made.error().message());
      return exit_code(made.error());
    }
    reader = std::move(*made);
  }
  auto producer = kafka::make_producer(*cluster);
  if (!producer) {
    complain(producer.error().message());
    return exit_code(producer.error());
  }
  std::vector<kafka::OwnedMessage> messages;
  std::vector<std::string> ids;
  for (const auto& [c, headers] : commands) {
    messages.push_back(
        {config.kafka.topics.commands, kafka::kAnyPartition, sync::tenant_key(c.app(), c.tenant()), codec::to_json(c), headers});
    ids.push_back(c.id());
  }
  if (auto ok = (*producer)->send(messages, kSendTimeout); !ok) {
    complain("the commands were not sent: " + ok.error().message());
    return Exit::unavailable;
  }
  if (!wait) {
    for (const auto& id : ids) std::printf("%s\n", id.c_str());
    return Exit::ok;
  }
  complain(fmt::format("{} sent, waiting for what becomes of {}",
                       ids.size() == 1 ? "the command was" : std::to_string(ids.size()) + " commands were",
                       ids.size() == 1 ? "it" : "them"));
  Progress progress(ids);
  return follow(*reader, progress, ids.size());
}

}  // namespace stsync::app
