// The store in a real Redis, and in what only looks like one.
#include "limits/redis_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "core/rng.hpp"
#include "false_server.hpp"
#include "limits/lease_wire.hpp"
#include "redis_server.hpp"
#include "store_model.hpp"
#include "support/seeds.hpp"

namespace stsync::limits {
namespace {

using namespace std::chrono_literals;
using core::ErrorKind;
using test::FalseServer;
using test::RedisServer;
using ::testing::HasSubstr;
using ::testing::Not;

struct RedisStoreTest : ::testing::Test {
  boost::asio::io_context loop;
  std::unique_ptr<core::Clock> clock = core::make_system_clock(loop.get_executor());

  std::unique_ptr<RedisStore> store(const std::string& url, const std::string& member = "w1",
                                    std::optional<core::Secret> password = {}) {
    auto address = config::parse_store_url(url);
    EXPECT_TRUE(address) << url;
    return std::make_unique<RedisStore>(*clock, RedisStore::Settings{*address, std::move(password), member});
  }
  static LeaseRequest request(std::string limit = "app/1") {
    LeaseRequest r;
    r.limit = std::move(limit);
    r.per_second = 60'000;
    r.target = 59'500;
    r.slots = 6;
    r.share = 18'000;
    r.least = 3;
    return r;
  }
  static core::Error error_of(LeaseStore& store) {
    const auto got = store.lease({request()});
    return got ? core::Error(ErrorKind::internal, "no error") : got.error();
  }
};

TEST_F(RedisStoreTest, AnEmptyStoreWaitsAFullWindow) {
  RedisServer redis;
  const auto s = store(redis.url());
  const auto asked = clock->now();
  const auto got = s->lease({request()});
  const auto answered = clock->now();
  ASSERT_TRUE(got) << got.error().message();
  const auto& lease = got->front();
  EXPECT_EQ(lease.slots, 0);
  EXPECT_GE(lease.again, asked + 700ms) << "a second, less what is leased ahead";
  EXPECT_LE(lease.again, answered + 700ms);
  EXPECT_EQ(lease.share, 18'000);
  EXPECT_EQ(lease.claims, 18'000);
  EXPECT_EQ(lease.members, 3);
  EXPECT_EQ(lease.shared, 1);
  EXPECT_GE(lease.doubt, 0ms);
  EXPECT_LE(lease.doubt, answered - asked);
}

TEST_F(RedisStoreTest, EverythingItKeepsHasThePrefixAndAnEnd) {
  RedisServer redis;
  ASSERT_TRUE(store(redis.url() + "?prefix=mine:")->lease({request()}));
  EXPECT_EQ(redis.ask({"KEYS", "*"}), "mine:limit:app/1");
  const auto ends = std::stoll(redis.ask({"PTTL", "mine:limit:app/1"}));
  EXPECT_GT(ends, 600'000);
  EXPECT_LE(ends, 1'200'000);
}

TEST_F(RedisStoreTest, OneTripLeasesManyLimitsInTheirOrder) {
  RedisServer redis;
  const auto s = store(redis.url());
  std::vector<LeaseRequest> requests;
  for (int i = 0; i < 500; ++i) {
    requests.push_back(request("limit " + std::to_string(i)));
    requests.back().freeze = std::chrono::seconds(10 * i / 50 + 1);
  }
  const auto got = s->lease(requests);
  ASSERT_TRUE(got) << got.error().message();
  ASSERT_EQ(got->size(), 500u);
  for (std::size_t i = 0; i < 500; ++i) {
    EXPECT_GE((*got)[i].frozen_until, clock->now() + requests[i].freeze - 1s);
    EXPECT_LE((*got)[i].frozen_until, clock->now() + requests[i].freeze);
  }
  EXPECT_TRUE(s->lease({}));
}

TEST_F(RedisStoreTest, WhoLeavesIsForgotten) {
  RedisServer redis;
  const auto a = store(redis.url(), "a");
  const auto b = store(redis.url(), "b");
  ASSERT_TRUE(a->lease({request()}));
  EXPECT_EQ(b->lease({request()})->front().shared, 2);
  ASSERT_TRUE(a->leave({"app/1", "never heard of"}));
  EXPECT_EQ(b->lease({request()})->front().shared, 1);
}

TEST_F(RedisStoreTest, LoadsTheScriptAgainWhenItIsGone) {
  RedisServer redis;
  const auto s = store(redis.url());
  ASSERT_TRUE(s->lease({request()}));
  ASSERT_EQ(redis.ask({"SCRIPT", "FLUSH"}), "OK");
  const auto got = s->lease({request("a"), request("b")});
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->size(), 2u);
}

TEST_F(RedisStoreTest, ComesBackAfterARestart) {
  RedisServer redis;
  const auto s = store(redis.url());
  ASSERT_TRUE(s->lease({request()}));
  redis.kill();
  for (int i = 0; i < 2; ++i) EXPECT_EQ(error_of(*s).kind(), ErrorKind::network);
  redis.start();
  const auto got = s->lease({request()});
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->front().slots, 0) << "it cannot know what was granted";
}

TEST_F(RedisStoreTest, AServerThatIsStoppedCostsAQuarterOfASecond) {
  RedisServer redis;
  const auto s = store(redis.url());
  ASSERT_TRUE(s->lease({request()}));
  redis.signal(SIGSTOP);
  const auto start = clock->now();
  EXPECT_EQ(error_of(*s).kind(), ErrorKind::timeout);
  EXPECT_GE(clock->now() - start, 240ms);
  EXPECT_LE(clock->now() - start, 2s);
  redis.signal(SIGCONT);
  EXPECT_TRUE(s->lease({request()}));
}

TEST_F(RedisStoreTest, RefusedUsersAreBadConfigurationAndNoSecretShows) {
  RedisServer redis({"--requirepass", "right-secret"});
  EXPECT_TRUE(store(redis.url(), "w1", core::Secret("right-secret"))->lease({request()}));
  for (const auto& password : {std::optional<core::Secret>("wrong-secret"), std::optional<core::Secret>()}) {
    const auto error = error_of(*store(redis.url(), "w1", password));
    EXPECT_EQ(error.kind(), ErrorKind::bad_config) << error.message();
    EXPECT_THAT(error.message(), Not(HasSubstr("secret")));
  }
}

TEST_F(RedisStoreTest, AUserWithFewRightsIsEnough) {
  RedisServer redis({"--user", "worker", "on", ">its-secret", "~stsync:*", "+auth", "+select", "+script|load", "+evalsha", "+time",
                     "+hgetall", "+hget", "+hset", "+hdel", "+hincrby", "+pexpire"});
  auto address = config::parse_store_url(redis.url());
  ASSERT_TRUE(address);
  address->user = "worker";
  RedisStore s(*clock, {*address, core::Secret("its-secret"), "w1"});
  const auto got = s.lease({request()});
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_TRUE(s.leave({"app/1"}));
  address->prefix = "other:";
  RedisStore outside(*clock, {*address, core::Secret("its-secret"), "w1"});
  EXPECT_NE(error_of(outside).kind(), ErrorKind::internal);
}

TEST_F(RedisStoreTest, UsesTheDatabaseItIsToldTo) {
  RedisServer redis;
  ASSERT_TRUE(store(redis.url() + "?db=3")->lease({request()}));
  EXPECT_EQ(redis.ask({"DBSIZE"}), "0");
  EXPECT_EQ(error_of(*store(redis.url() + "?db=99")).kind(), ErrorKind::bad_config);
}

TEST_F(RedisStoreTest, ADamagedKeyIsAnErrorAndNotACrash) {
  RedisServer redis;
  const auto s = store(redis.url());
  redis.ask({"SET", "stsync:limit:app/1", "text"});
  EXPECT_EQ(error_of(*s).kind(), ErrorKind::protocol);
  redis.ask({"DEL", "stsync:limit:app/1"});
  EXPECT_TRUE(s->lease({request()}));
}

TEST_F(RedisStoreTest, NobodyThere) {
  EXPECT_EQ(error_of(*store("unix://" + ::testing::TempDir() + "no-such-socket")).kind(), ErrorKind::network);
  std::string url;
  {
    url = FalseServer([](const std::string&) { return FalseServer::Reaction{}; }).url();
  }
  EXPECT_EQ(error_of(*store(url)).kind(), ErrorKind::network);
}

TEST_F(RedisStoreTest, WhatIsNotARedisIsAnErrorInTime) {
  const std::string digest = "+OK\r\n+0123456789012345678901234567890123456789\r\n";  // to AUTH and SCRIPT LOAD
  const auto after_load = [digest](std::string text) {
    return [digest, text](const std::string& got) {
      return FalseServer::Reaction{got.find("EVALSHA") == std::string::npos ? digest : text};
    };
  };
  const std::vector<std::tuple<const char*, std::function<FalseServer::Reaction(const std::string&)>, ErrorKind>> cases{
      {"says nothing", [](auto&) { return FalseServer::Reaction{}; }, ErrorKind::timeout},
      {"closes", [](auto&) { return FalseServer::Reaction{"", false}; }, ErrorKind::network},
      {"speaks HTTP", [](auto&) { return FalseServer::Reaction{"HTTP/1.1 400 Bad Request\r\n\r\n"}; }, ErrorKind::protocol},
      {"drips", [](auto&) { return FalseServer::Reaction{"+", true, true}; }, ErrorKind::timeout},
      {"floods", [](auto&) { return FalseServer::Reaction{"$100000000\r\n" + std::string(4 << 20, 'x')}; }, ErrorKind::protocol},
      {"has no script", [](auto&) { return FalseServer::Reaction{"+OK\r\n+OK\r\n"}; }, ErrorKind::protocol},
      {"forgets the script again and again", after_load("-NOSCRIPT none\r\n"), ErrorKind::protocol},
      {"is loading", after_load("-LOADING data\r\n"), ErrorKind::network},
      {"is a replica", after_load("-READONLY replica\r\n"), ErrorKind::network},
      {"answers a word", after_load("+OK\r\n"), ErrorKind::protocol},
      {"answers too few numbers", after_load("*1\r\n:1\r\n"), ErrorKind::protocol},
      {"answers texts",
       after_load("*9\r\n" +
                  [] {
                    std::string t;
                    for (int i = 0; i < 9; ++i) t += "$1\r\n1\r\n";
                    return t;
                  }()),
       ErrorKind::protocol},
      {"grants slots without a distance", after_load("*9\r\n:6\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:1\r\n:1\r\n"),
       ErrorKind::protocol},
      {"grants millions", after_load("*9\r\n:9000000\r\n:0\r\n:1\r\n:0\r\n:0\r\n:0\r\n:0\r\n:1\r\n:1\r\n"), ErrorKind::protocol},
      {"answers half", after_load("*9\r\n:6\r\n:0\r\n"), ErrorKind::timeout},
  };
  for (const auto& [what, reaction, kind] : cases) {
    SCOPED_TRACE(what);
    FalseServer server(reaction);
    const auto s = store(server.url(), "w1", core::Secret("a-secret"));
    const auto start = clock->now();
    const auto error = error_of(*s);
    EXPECT_LE(clock->now() - start, 2s);
    EXPECT_EQ(core::to_string(error.kind()), core::to_string(kind)) << error.message();
    EXPECT_THAT(error.message(), Not(HasSubstr("a-secret")));
  }
}

/// Script and model, call by call, on the same clock; so what the model proves in virtual time holds for the script.
class SideBySide {
 public:
  explicit SideBySide(const RedisServer& redis) : context_(redisConnectUnix(redis.socket().c_str())) {
    auto script = lease_script();
    const std::string time = "redis.call('TIME')";
    script.replace(script.find(time), time.size(), "{ARGV[#ARGV - 1], ARGV[#ARGV]}");
    auto* reply = static_cast<redisReply*>(redisCommand(context_, "SCRIPT LOAD %s", script.c_str()));
    digest_ = reply->str;
    freeReplyObject(reply);
  }
  SideBySide(const SideBySide&) = delete;
  SideBySide& operator=(const SideBySide&) = delete;
  ~SideBySide() { redisFree(context_); }

  std::vector<std::int64_t> call(const std::string& limit, std::vector<std::string> arguments, std::int64_t clock) {
    arguments.insert(arguments.begin(), {"EVALSHA", digest_, "1", limit});
    arguments.push_back(std::to_string(clock / 1'000'000));
    arguments.push_back(std::to_string(clock % 1'000'000));
    std::vector<const char*> words;
    for (const auto& word : arguments) words.push_back(word.c_str());
    auto* reply = static_cast<redisReply*>(redisCommandArgv(context_, static_cast<int>(words.size()), words.data(), nullptr));
    EXPECT_EQ(reply->type, REDIS_REPLY_ARRAY) << (reply->str ? reply->str : "");
    std::vector<std::int64_t> out;
    for (std::size_t i = 0; i < reply->elements; ++i) out.push_back(reply->element[i]->integer);
    freeReplyObject(reply);
    return out;
  }

 private:
  redisContext* context_;
  std::string digest_;
};

LeaseRequest any_request(core::Rng& random, const std::string& limit) {
  LeaseRequest r;
  r.limit = limit;
  r.per_second = static_cast<Milli>(std::vector<int>{60'000, 10'000, 7'500, 1'000, 600'000}[limit.size() % 5]);
  r.target = r.per_second * static_cast<Milli>(random.between(900, 1000)) / 1000;
  r.slots = static_cast<std::int64_t>(random.between(0, 8));
  r.sharing = static_cast<Sharing>(random.between(0, 2));
  r.share = static_cast<Milli>(random.between(0, 20)) * r.per_second / 20 / 1000 * 1000;
  r.least = static_cast<std::int64_t>(random.between(1, 4));
  r.known = static_cast<Milli>(random.between(0, 3)) * r.per_second / 3;
  if (random.between(0, 20) == 0) r.freeze = std::chrono::microseconds(random.between(0, 400'000'000));
  if (random.between(0, 5) == 0) r.late = std::chrono::microseconds(random.between(0, 2'000'000));
  return r;
}

std::int64_t pass(core::Rng& random) {
  switch (random.between(0, 40)) {
    case 0:
      return static_cast<std::int64_t>(random.between(0, 1'000'000'000));
    case 1:
      return -static_cast<std::int64_t>(random.between(0, 1'000'000'000));
    case 2:
      return static_cast<std::int64_t>(random.between(0, 3'000'000));
    default:
      return static_cast<std::int64_t>(random.between(0, 60'000));
  }
}

TEST_F(RedisStoreTest, TheScriptDoesWhatTheModelDoes) {
  RedisServer redis;
  SideBySide script(redis);
  for (std::uint64_t seed = 0; seed < ::stsync::test::seeds(30); ++seed) {
    SCOPED_TRACE(seed);
    core::Rng random(seed);
    test::StoreModel model;
    redis.ask({"FLUSHALL"});
    std::int64_t clock = 1'790'000'000'000'000;
    for (int i = 0; i < 200; ++i) {
      clock += pass(random);
      const std::string limit(random.between(1, 2), 'x');
      const auto member = "w" + std::to_string(random.between(1, 4));
      if (random.between(0, 30) == 0) {
        model.leave(member, limit);
        script.call(limit, leave_arguments(member), clock);
        continue;
      }
      const auto r = any_request(random, limit);
      const auto m = model.lease(clock, member, r);
      ASSERT_THAT(script.call(limit, lease_arguments(member, r), clock),
                  ::testing::ElementsAre(m.given, m.wait, m.interval, m.again, m.frozen, m.offer, m.claims, m.members, m.sharing))
          << "call " << i;
    }
  }
}

}  // namespace
}  // namespace stsync::limits
