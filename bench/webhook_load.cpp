#include "webhook_load.hpp"

#include <charconv>
#include <chrono>
#include <deque>
#include <latch>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>

#include "core/text.hpp"
#include "sim/churn.hpp"
#include "wire.hpp"

namespace stsync::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr sim::Dataset::Index kRows = 64;
constexpr std::size_t kChanges = 30;  // of each resource
constexpr core::WallTime kTime{std::chrono::milliseconds(1'795'700'000'000)};
constexpr auto kPause = 20ms;  // after a refusal or a broken connection
constexpr auto kWarmUp = 60s;
constexpr std::string_view kMiddle = "-0000-4000-8000-";
constexpr std::size_t kLeft = 8, kRight = 12;

double milliseconds_since(Clock::time_point t) { return std::chrono::duration<double, std::milli>(Clock::now() - t).count(); }

/// One connection's share of the load.
class Sender {
 public:
  Sender(const EventMaker& events, const LoadOptions& options, std::uint32_t number)
      : events_(events), options_(options), number_(number), url_(http::parse_url(options.url + "/webhooks/acme").value()) {}

  /// Until an event is acknowledged. A broker that has just been made has its first producer wait for seconds, and so do its
  /// events.
  void warm_up() {
    connect();
    for (const auto end = Clock::now() + kWarmUp; acknowledged_.empty() || !acknowledged_.back();) {
      if (Clock::now() > end) throw std::runtime_error("no event is acknowledged " + problem_);
      send(Clock::now());
    }
    milliseconds_.clear();
    refused_.clear();
  }
  void run(Clock::time_point begin) {
    const auto end = begin + std::chrono::seconds(options_.seconds);
    for (auto due = first(begin); std::max(due, Clock::now()) < end; due = next(due)) {
      std::this_thread::sleep_until(due);
      send(options_.rate > 0 ? due : Clock::now());
    }
  }
  void add_to(Load& load) {
    load.acknowledged[number_] = std::move(acknowledged_);
    load.milliseconds.insert(load.milliseconds.end(), milliseconds_.begin(), milliseconds_.end());
    for (const auto& [status, times] : refused_) load.refused[status] += times;
    load.broken += broken_;
    if (!problem_.empty()) load.problem = problem_;
  }

 private:
  // With a rate the connections take turns.
  Clock::duration interval(double events) const {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(events / options_.rate));
  }
  Clock::time_point first(Clock::time_point begin) const { return options_.rate > 0 ? begin + interval(number_) : begin; }
  Clock::time_point next(Clock::time_point due) const {
    return options_.rate > 0 ? due + interval(options_.connections) : Clock::now();
  }

  void connect() { wire_.emplace(url_.origin, options_.ca_file); }
  void send(Clock::time_point since) {
    const auto body = events_.body({number_, acknowledged_.size()});
    acknowledged_.push_back(false);
    try {
      if (!wire_) connect();
      const auto answer = wire_->exchange(
          "POST", url_.target,
          {{"Content-Type", "application/json"}, {"x-servicetitan-signature", core::hmac_sha256_hex(options_.secret, body)}}, body);
      if (answer.status == 200) {
        milliseconds_.push_back(milliseconds_since(since));
        acknowledged_.back() = true;
        return;
      }
      ++refused_[answer.status];
    } catch (const std::exception& e) {
      ++broken_;
      problem_ = e.what();
      wire_.reset();
    }
    std::this_thread::sleep_for(kPause);
  }

  const EventMaker& events_;
  const LoadOptions& options_;
  std::uint32_t number_;
  http::Url url_;
  std::optional<Wire> wire_;
  std::vector<bool> acknowledged_;
  std::vector<double> milliseconds_;
  std::map<int, std::uint64_t> refused_;
  std::uint64_t broken_ = 0;
  std::string problem_;
};

}  // namespace

EventMaker::EventMaker(const std::vector<std::int64_t>& tenants, std::size_t bytes) {
  sim::Writers writers(bytes);
  for (const auto tenant : tenants) {
    const sim::Store* rows = nullptr;
    const sim::Dataset::Watcher watcher = [&](const sim::Dataset& data, sim::Dataset::Index index, sim::Happened what) {
      if (auto event = sim::event_of(*rows, data, index, what, kTime, events_.size())) events_.push_back(std::move(*event));
    };
    sim::Store store(tenant, 1, kRows, writers, &watcher);
    rows = &store;
    for (const auto* resource : {"jpm.jobs", "jpm.appointments", "accounting.invoices", "crm.bookings", "crm.leads"})
      sim::churn(store, store.of(*sim::Schema::get().find(resource)), kChanges, 1, sim::to_ticks(kTime));
  }
}

std::string EventMaker::id(Which which) {
  return fmt::format("{:0{}x}{}{:0{}x}", which.first, kLeft, kMiddle, which.second, kRight);
}

std::optional<EventMaker::Which> EventMaker::which(std::string_view id) {
  if (id.size() != kLeft + kMiddle.size() + kRight || id.substr(kLeft, kMiddle.size()) != kMiddle) return std::nullopt;
  Which out;
  const auto read = [](std::string_view text, auto& number) {
    return std::from_chars(text.data(), text.data() + text.size(), number, 16).ptr == text.data() + text.size();
  };
  if (!read(id.substr(0, kLeft), out.first) || !read(id.substr(kLeft + kMiddle.size()), out.second)) return std::nullopt;
  return out;
}

std::string EventMaker::body(Which which) const {
  // Connections are not at the same row at the same time.
  auto event = events_[(which.first * 37 + which.second) % events_.size()];
  event.id = id(which);
  return sim::cloud_event(event, event.id);
}

Load send_events(const EventMaker& events, const LoadOptions& options) {
  std::deque<Sender> senders;
  for (std::uint32_t i = 0; i < options.connections; ++i) senders.emplace_back(events, options, i).warm_up();
  std::latch ready(static_cast<std::ptrdiff_t>(options.connections));
  const auto begin = Clock::now() + 100ms;
  std::vector<std::thread> threads;
  for (auto& sender : senders)
    threads.emplace_back([&] {
      ready.arrive_and_wait();
      sender.run(begin);
    });
  for (auto& thread : threads) thread.join();
  Load load;
  load.wall_seconds = milliseconds_since(begin) / 1000;
  load.acknowledged.resize(options.connections);
  for (auto& sender : senders) sender.add_to(load);
  return load;
}

}  // namespace stsync::bench
