// Whatever the endpoint, the API and the files do: one fetch at a time, nobody is left waiting, no token is handed out too late,
// and what does not work costs little. STSYNC_SEED=n tries that seed alone.
#include <cstdlib>
#include <random>

#include <gmock/gmock.h>

#include "play.hpp"
#include "support/seeds.hpp"
#include "tokens/rotation.hpp"

namespace stsync::tokens {
namespace {

/// What a world does to one account.
enum class Fate { anything, dead_credential, api_refuses, good };

struct Known {
  TimePoint ends;  ///< by the vendor's count
};

/// An endpoint with moods, over files that change.
struct World final : TokenSource {
  World(core::Clock& c, std::uint64_t seed) : clock(c), random(seed) {}

  bool chance(int percent) { return static_cast<int>(random() % 100) < percent; }
  Duration up_to(Duration most) { return Duration(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most.count()))); }

  awaitable<Result<Fetched>> fetch(Account account, core::StopToken stop) override {
    EXPECT_EQ(++under_way[account], 1);
    asked[account].push_back(clock.now());
    by_app[account.app].push_back(clock.now());
    const auto left = clock.now();
    auto chosen = rotations[account].choose(credentials(account));
    EXPECT_TRUE(chosen);
    if (const auto signal = clock.make_signal(); !calm && !chance(10)) {
      const auto on_stop = stop.on_stop([&signal] { signal->notify(); });
      co_await signal->wait_until(clock.now() + (chance(95) ? up_to(2s) : up_to(2h)));
    }
    --under_way[account];
    if (stop.stop_requested()) co_return core::fail(ErrorKind::cancelled, "stopped");
    co_return answer(account, left, chosen->secret.reveal());
  }
  Result<Fetched> answer(const Account& account, TimePoint left, const std::string& secret) {
    auto& rotation = rotations[account];
    const auto fate = calm ? Fate::good : fates[account];
    if (fate == Fate::anything && trouble && chance(60)) {
      constexpr ErrorKind kKinds[] = {ErrorKind::network, ErrorKind::server, ErrorKind::throttled, ErrorKind::timeout};
      core::Error error(kKinds[random() % 4], "trouble");
      if (chance(30)) error.with_retry_after(std::chrono::milliseconds(static_cast<std::int64_t>(random() % 100'000) - 10'000));
      return core::fail(error);
    }
    const bool known = fate == Fate::good || fate == Fate::api_refuses || (fate == Fate::anything && secret == vendors);
    if (!known) {
      rotation.refused();
      return core::fail(ErrorKind::unauthorized, "invalid_client");
    }
    rotation.worked();
    constexpr Duration kLives[] = {900s, 900s, 900s, -1s, 0s, 5s, 30s, 100s, 3600s, 24h};
    const auto life = kLives[random() % 10];
    auto text = "t" + std::to_string(++made);
    tokens[text] = {left + std::clamp<Duration>(life, 30s, 1h)};
    return Fetched{core::Secret(std::move(text)), life, rotation.fell_back()};
  }
  bool has_another(const Account& account) const override { return rotations.at(account).has_another(); }
  bool changed(const Account& account) const override {
    const auto found = rotations.find(account);
    return found != rotations.end() && found->second.changed(credentials(account));
  }
  Result<Credentials> credentials(const Account&) const { return Credentials{core::Secret("id"), core::Secret(file)}; }

  core::Clock& clock;
  std::mt19937_64 random;
  std::map<Account, Fate> fates;
  std::map<Account, Rotation> rotations;
  std::map<Account, int> under_way;
  std::map<Account, std::vector<TimePoint>> asked;
  std::map<std::string, std::vector<TimePoint>> by_app;
  std::map<std::string, Known> tokens;
  std::string file = "s0", vendors = "s0";
  int made = 0;
  bool trouble = false;
  bool calm = false;
};

struct Chaos {
  explicit Chaos(std::uint64_t seed) : world(clock, seed), rng(seed + 1), stops(4) {
    for (const char* app : {"a", "b"})
      for (std::int64_t tenant = 0; tenant < 4; ++tenant) {
        accounts.push_back({app, tenant});
        world.fates[accounts.back()] = static_cast<Fate>(world.random() % 4);
      }
  }
  awaitable<void> call(Account account, std::size_t stop) {
    ++waiting;
    const auto token = co_await tokens.get(account, stops[stop].token());
    --waiting;
    if (!token) {
      if (token.error().kind() == ErrorKind::cancelled) co_return;
      EXPECT_TRUE(token.error().retry_after() && *token.error().retry_after() > 0ms);
      EXPECT_LE(*token.error().retry_after(), 1h);
      EXPECT_NE(is_token_outage(token.error()), token.error().kind() == ErrorKind::unauthorized);
      co_return;
    }
    EXPECT_LT(clock.now(), world.tokens.at(token->text.reveal()).ends) << "too late";
    ++served;
    const bool refuses = world.fates[account] == Fate::api_refuses && !world.calm;
    if (!refuses && !(world.fates[account] == Fate::anything && world.chance(2))) co_return;
    co_await clock.sleep_for(world.up_to(3s));
    tokens.drop(account, token->generation);
  }
  void step() {
    if (world.chance(2)) world.trouble = !world.trouble;
    if (world.chance(2)) world.file = "s" + std::to_string(world.random() % 3);
    if (world.chance(2)) world.vendors = "s" + std::to_string(world.random() % 3);
    if (world.chance(2)) clock.jump_wall(world.up_to(2h) - 1h);
    if (world.chance(5)) {
      auto& stop = stops[world.random() % stops.size()];
      stop.request_stop();
      stop = core::StopSource();
    }
    for (int i = static_cast<int>(world.random() % 6); i > 0; --i)
      tasks.spawn("call", call(accounts[world.random() % accounts.size()], world.random() % stops.size()));
    clock.run_for(world.chance(99) ? world.up_to(20s) : world.up_to(2h));
  }
  void run() {
    for (int i = 0; i < 2000; ++i) step();
    for (const auto& account : accounts)
      if (const auto fate = world.fates[account]; fate == Fate::dead_credential || fate == Fate::api_refuses)
        EXPECT_LE(most_within(world.asked[account], 1h), 20u) << account.app << account.tenant << (fate == Fate::api_refuses);
    // All is well from now on.
    world.calm = true;
    clock.run_for(3h);
    EXPECT_EQ(waiting, 0) << "left waiting";
    served = 0;
    for (const auto& account : accounts) tasks.spawn("call", call(account, 0));
    clock.run_for(3h);
    EXPECT_EQ(served, static_cast<int>(accounts.size()));
    EXPECT_EQ(waiting, 0);
    for (const auto& [app, times] : world.by_app) EXPECT_LE(most_within(times, 1s), 5u) << app;
    tasks.spawn("close", tokens.close());
    clock.run_for(1s);
    EXPECT_TRUE(tasks.running().empty());
  }

  boost::asio::io_context loop;
  test::VirtualClock clock{loop};
  World world;
  core::Rng rng;
  PacedGate gate{clock};
  Notes notes;
  Tokens tokens{loop.get_executor(), clock, rng, world, gate, notes};
  core::TaskGroup tasks{loop.get_executor(), clock};
  std::vector<Account> accounts;
  std::vector<core::StopSource> stops;
  int waiting = 0, served = 0;
};

TEST(TokensProperty, WhateverHappens) {
  const auto* one = std::getenv("STSYNC_SEED");
  const auto first = one == nullptr ? 1 : std::strtoull(one, nullptr, 10);
  const auto last = one == nullptr ? test::seeds(40) : first;
  for (auto seed = first; seed <= last; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Chaos(seed).run();
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace stsync::tokens
