// The pace against servers that count in different ways, over a network with jitter, and the policies it was chosen from beside it.
#include <array>
#include <cmath>
#include <functional>
#include <queue>
#include <string>

#include <gtest/gtest.h>

#include "core/rng.hpp"
#include "limits/pacer.hpp"
#include "server_models.hpp"
#include "support/seeds.hpp"

namespace stsync::limits {
namespace {

using core::Duration;
using core::TimePoint;
using namespace std::chrono_literals;

constexpr double kQuota = 60;
constexpr Duration kLength = 10min;
/// What the vendor says with a 429, and what everybody here obeys.
constexpr Duration kRetryAfter = 1s;

Duration seconds(double s) { return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s)); }

/// Calls leave evenly, at a rate that refusals may change.
class Even : public Pace {
 public:
  explicit Even(double rate) : rate_(rate) {}
  TimePoint next(TimePoint now) override { return std::max({now, due_, frozen_}); }
  void take(TimePoint now) override { due_ = std::max(due_, now) + seconds(1 / rate_); }
  void left_late(TimePoint, TimePoint) override {}
  void freeze(TimePoint until) override { frozen_ = std::max(frozen_, until); }
  void refused(TimePoint, TimePoint) override {}
  double rate() const override { return rate_; }

 protected:
  double rate_;

 private:
  TimePoint due_{}, frozen_{};
};

/// Full speed, 0.4 % slower with each refusal, a hundredth of a call faster each second.
class AdditiveIncrease final : public Even {
 public:
  AdditiveIncrease() : Even(kQuota) {}
  TimePoint next(TimePoint now) override {
    for (; second_ + 1s <= now; second_ += 1s) rate_ = std::min(kQuota, rate_ + 0.01);
    return Even::next(now);
  }
  void refused(TimePoint, TimePoint) override { rate_ *= 0.996; }

 private:
  TimePoint second_{};
};

struct Outcome {
  double used = 0;     ///< share of the quota that was answered
  double refused = 0;  ///< share of the calls that was refused
  std::size_t refusals = 0;
};

struct Network {
  double jitter_ms = 0;              ///< mean of the exponential part of a one-way time of 20 ms
  double even_jitter_ms = 0;         ///< most of an evenly distributed part
  double late_ms = 0, stall_ms = 0;  /// of the timers: mean, and now and then
};

/// Ten minutes of a caller who always has a call to make.
Outcome play(Pace& pace, test::Server& server, const Network& network, std::uint64_t seed) {
  struct Event {
    TimePoint at;
    bool answer, allowed;
    TimePoint sent;
    bool operator<(const Event& o) const { return at > o.at; }
  };
  core::Rng random(seed);
  const auto exponential = [&](double mean_ms) { return seconds(-std::log(1 - random.unit()) * mean_ms / 1000); };
  const auto one_way = [&] {
    return 20ms + exponential(network.jitter_ms) + seconds(random.unit() * network.even_jitter_ms / 1000);
  };
  std::priority_queue<Event> events;
  const TimePoint start(seconds(random.unit())), end = start + kLength;
  std::size_t calls = 0, answered = 0, refused = 0;
  for (auto now = start; now < end;) {
    auto when = pace.next(now);
    if (when > now) {
      when += exponential(network.late_ms);
      if (random.between(0, 999) == 0) when += seconds(random.unit() * network.stall_ms / 1000);
    }
    if (!events.empty() && events.top().at <= when) {
      const auto event = events.top();
      events.pop();
      now = std::max(now, event.at);
      if (!event.answer) {
        events.push({event.at + one_way(), true, server.allow(event.at), event.sent});
      } else if (event.allowed) {
        ++answered;
      } else {
        ++refused;
        pace.refused(event.sent, now);
        pace.freeze(now + kRetryAfter);
      }
      continue;
    }
    now = when;
    if (pace.next(now) > now) continue;
    pace.take(now);
    ++calls;
    events.push({now + one_way(), false, false, now});
  }
  const auto n = static_cast<double>(calls);
  return {static_cast<double>(answered) / (kQuota * std::chrono::duration<double>(kLength).count()),
          static_cast<double>(refused) / n, refused};
}

struct Model {
  const char* name;
  std::function<std::unique_ptr<test::Server>()> make;
};

const std::array<Model, 5> kModels{{
    {"fixed window", [] { return std::make_unique<test::FixedWindow>(60); }},
    {"sliding window", [] { return std::make_unique<test::SlidingWindow>(60); }},
    {"sliding counter", [] { return std::make_unique<test::SlidingCounter>(60); }},
    {"token bucket", [] { return std::make_unique<test::TokenBucket>(60, 60); }},
    {"token bucket, burst 5", [] { return std::make_unique<test::TokenBucket>(60, 5); }},
}};

/// The mean over some seeds; of single runs `each` is told.
Outcome mean(const Model& model, const Network& network, const std::function<std::unique_ptr<Pace>()>& policy,
             const std::function<void(const Outcome&)>& each = {}) {
  Outcome sum;
  const auto seeds = ::stsync::test::seeds(1);
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const auto one = play(*policy(), *model.make(), network, seed);
    if (each) each(one);
    sum.used += one.used / static_cast<double>(seeds);
    sum.refused += one.refused / static_cast<double>(seeds);
    sum.refusals += one.refusals;
  }
  return sum;
}

std::unique_ptr<Pace> ours() { return std::make_unique<Pacer>(kQuota); }

bool counts_exactly(const Model& model) { return std::string(model.name) != "sliding counter"; }

// A window that slides holds one call more than it should when one comes a hundredth of a second late. What a sliding counter
// refuses depends on where its seconds begin, however even the calls are.
TEST(ServerModels, NinetyNinePercentAndNoRefusalWhereverThatIsPossible) {
  for (const auto& model : kModels) {
    if (!counts_exactly(model)) continue;
    for (const double jitter : {0.0, 1.0, 5.0, 8.0}) {
      SCOPED_TRACE(std::string(model.name) + ", even jitter up to " + std::to_string(jitter) + " ms");
      mean(model, {.even_jitter_ms = jitter}, ours, [](const Outcome& one) {
        EXPECT_GE(one.used, 0.99);
        EXPECT_EQ(one.refusals, 0u);
      });
    }
    for (const double jitter : {0.0, 0.2, 1.0, 5.0, 20.0}) {
      const auto name = std::string(model.name);
      if (name == "sliding window" && jitter >= 1) continue;
      if (name == "fixed window" && jitter > 1) continue;
      if (name == "token bucket, burst 5" && jitter > 5) continue;
      SCOPED_TRACE(name + ", exponential jitter of " + std::to_string(jitter) + " ms");
      mean(model, {.jitter_ms = jitter}, ours, [](const Outcome& one) {
        EXPECT_GE(one.used, 0.99);
        EXPECT_EQ(one.refusals, 0u);
      });
    }
  }
}

TEST(ServerModels, ElsewhereNoPolicyUsesMoreOfTheQuota) {
  const std::vector<std::pair<const char*, std::function<std::unique_ptr<Pace>()>>> policies{
      {"60 a second", [] { return std::make_unique<Even>(60); }},
      {"59.7 a second", [] { return std::make_unique<Even>(59.7); }},
      {"59.4 a second", [] { return std::make_unique<Even>(59.4); }},
      {"additive increase", [] { return std::make_unique<AdditiveIncrease>(); }},
  };
  for (const auto& model : kModels)
    for (const double jitter : {0.0, 0.2, 1.0, 5.0, 20.0}) {
      const Network network{.jitter_ms = jitter};
      const auto own = mean(model, network, ours);
      for (const auto& [name, policy] : policies) {
        const auto other = mean(model, network, policy);
        // Chance alone is a few refusals, each a second of ten minutes: a sixth of a percent.
        EXPECT_GE(own.used, std::min(0.99, other.used) - 0.01) << model.name << ", jitter " << jitter << " ms, " << name;
        if (other.used >= own.used && other.used < 0.99)
          EXPECT_LE(own.refused, other.refused + 0.0001) << model.name << ", " << name;
      }
      EXPECT_LE(own.refused, 0.0005) << model.name << ", jitter " << jitter << " ms";
      EXPECT_GE(own.used, 0.915) << model.name << ", jitter " << jitter << " ms";
    }
}

TEST(ServerModels, TimersThatFireLateCostLittleAndFewRefusals) {
  const Model model{"sliding window", [] { return std::make_unique<test::SlidingWindow>(60); }};
  for (const auto& [late, stall, least] : std::vector<std::tuple<double, double, double>>{
           {0.2, 5, 0.985}, {1, 20, 0.985}, {2, 100, 0.98}, {5, 300, 0.92}, {1, 2000, 0.6}}) {
    SCOPED_TRACE(std::to_string(late) + " ms, stalls up to " + std::to_string(stall));
    mean(model, {.even_jitter_ms = 1, .late_ms = late, .stall_ms = stall}, ours, [&, most_lost = 1 - least](const Outcome& one) {
      EXPECT_EQ(one.refusals, 0u) << "how late a call leaves is known";
      EXPECT_GE(one.used, 1 - most_lost);
    });
  }
}

/// Somebody else uses half of the quota, without regard.
class Shared final : public test::Server {
 public:
  bool allow(TimePoint arrival) override {
    for (; other_ <= arrival; other_ += seconds(1.0 / 30)) server_.allow(other_);
    return server_.allow(arrival);
  }

 private:
  test::SlidingWindow server_{60};
  TimePoint other_{};
};

TEST(ServerModels, WhatSomebodyElseUsesIsFoundAndLeftToThem) {
  mean({"shared", [] { return std::make_unique<Shared>(); }}, {.jitter_ms = 1}, ours, [](const Outcome& one) {
    EXPECT_GE(one.used, 0.33);
    EXPECT_LE(one.refusals, 60u);
  });
}

}  // namespace
}  // namespace stsync::limits
