#pragma once
#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "support/virtual_clock.hpp"
#include "tokens/tokens.hpp"

namespace stsync::tokens {

using boost::asio::awaitable;
using core::Duration;
using core::ErrorKind;
using core::Result;
using core::TimePoint;
using namespace std::chrono_literals;

/// How many of `times`, which go up, fall into any `window`.
inline std::size_t most_within(const std::vector<TimePoint>& times, Duration window) {
  std::size_t most = 0;
  for (std::size_t first = 0, end = 0; first < times.size(); ++first) {
    while (end < times.size() && times[end] - times[first] < window) ++end;
    most = std::max(most, end - first);
  }
  return most;
}

/// A token endpoint that answers after a while, as told, and notes when it was asked.
struct FakeSource final : TokenSource {
  explicit FakeSource(core::Clock& c) : clock(c) {}
  awaitable<Result<Fetched>> fetch(Account account, core::StopToken stop) override {
    ++calls;
    asked[account].push_back(clock.now());
    at.push_back(clock.now());
    EXPECT_EQ(++under_way[account], 1) << "one request at a time";
    const auto signal = clock.make_signal();
    const auto on_stop = stop.on_stop([&signal] { signal->notify(); });
    const bool stopped = takes > Duration(0) && co_await signal->wait_until(clock.now() + takes) == core::Wake::notified;
    --under_way[account];
    if (stopped) co_return core::fail(ErrorKind::cancelled, "stopped");
    if (answer) co_return answer(account);
    if (failure) co_return core::fail(*failure);
    co_return Fetched{core::Secret("token " + std::to_string(calls) + " of " + account.app), life};
  }
  bool has_another(const Account&) const override { return another && another(); }
  bool changed(const Account&) const override {
    ++looks;
    return other_files;
  }
  core::Clock& clock;
  int calls = 0;
  mutable int looks = 0;
  std::vector<TimePoint> at;
  std::map<Account, std::vector<TimePoint>> asked;
  std::map<Account, int> under_way;
  Duration takes = 100ms;
  Duration life = 900s;
  std::optional<core::Error> failure;
  std::function<Result<Fetched>(const Account&)> answer;
  std::function<bool()> another;
  bool other_files = false;
};

struct Notes final : Observer {
  void fetched(const Account&, const char* outcome) override { outcomes.emplace_back(outcome); }
  void changed(const Account&, Health now, const std::string& why) override {
    health.push_back(now);
    reasons.push_back(why);
  }
  std::vector<std::string> outcomes, reasons;
  std::vector<Health> health;
};

struct Play {
  boost::asio::io_context loop;
  test::VirtualClock clock{loop};
  core::Rng rng;
  FakeSource source{clock};
  PacedGate gate{clock};
  Notes notes;
  Tokens tokens;
  core::TaskGroup tasks{loop.get_executor(), clock};
  const Account account{"acme", 1001};

  explicit Play(std::uint64_t seed = 5) : Play(seed, source) {}
  Play(std::uint64_t seed, TokenSource& other) : rng(seed), tokens(loop.get_executor(), clock, rng, other, gate, notes) {}
  ~Play() {
    tasks.spawn("close", tokens.close());
    clock.run_for(1min);
    EXPECT_TRUE(tasks.running().empty());
  }
  awaitable<void> ask(Account a, core::StopToken stop, std::vector<Result<Token>>& answers) {
    answers.push_back(co_await tokens.get(a, stop));
  }
  /// One get(), waited for.
  Result<Token> get() {
    std::vector<Result<Token>> answers;
    tasks.spawn("get", ask(account, {}, answers));
    EXPECT_TRUE(clock.run_until([&] { return !answers.empty(); }, 2h));
    return answers.at(0);
  }
  std::string text() { return get().value().text.reveal(); }
};

}  // namespace stsync::tokens
