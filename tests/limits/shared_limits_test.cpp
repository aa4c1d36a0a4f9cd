// The trips to the store: a thread, a loop, real time, and at the end a real Redis.
#include "limits/shared_limits.hpp"

#include <condition_variable>
#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "limits/redis_store.hpp"
#include "redis_server.hpp"
#include "shared_play.hpp"

namespace stsync::limits {
namespace {

using namespace std::chrono_literals;
using boost::asio::awaitable;
using core::TimePoint;
using Mode = SharedPace::Mode;

/// What the test sees and does, from both threads.
struct Book {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::vector<LeaseRequest>> trips;
  std::vector<std::string> left;
  bool held = false;  ///< trips do not come back
  bool down = false;

  std::size_t count() {
    const std::lock_guard lock(mutex);
    return trips.size();
  }
  core::Duration last_freeze() {
    const std::lock_guard lock(mutex);
    return trips.empty() ? core::Duration{} : trips.back()[0].freeze;
  }
  void hold(bool on) {
    const std::lock_guard lock(mutex);
    held = on;
    changed.notify_all();
  }
};

class BookedStore final : public LeaseStore {
 public:
  BookedStore(Book& book, core::Clock& clock) : book_(book), clock_(clock) {}
  core::Result<std::vector<Lease>> lease(const std::vector<LeaseRequest>& requests) override {
    std::unique_lock lock(book_.mutex);
    book_.trips.push_back(requests);
    book_.changed.wait(lock, [this] { return !book_.held; });
    if (book_.down) return core::fail(core::ErrorKind::network, "down");
    std::vector<Lease> out;
    for (const auto& request : requests) {
      Lease& lease = out.emplace_back();
      lease.first = clock_.now();
      lease.interval = 1ms;
      lease.slots = request.slots;
      lease.share = request.share;
      lease.members = 3;
    }
    return out;
  }
  core::Result<void> leave(const std::vector<std::string>& limits) override {
    const std::lock_guard lock(book_.mutex);
    book_.left = limits;
    return {};
  }

 private:
  Book& book_;
  core::Clock& clock_;
};

std::unique_ptr<Pace> own_pace(double rate) { return std::make_unique<Pacer>(rate); }

struct SharedLimitsTest : ::testing::Test {
  boost::asio::io_context loop;
  std::unique_ptr<core::Clock> clock = core::make_system_clock(loop.get_executor());
  std::unique_ptr<core::Signal> changed = clock->make_signal();
  Book book;
  std::vector<Mode> modes;
  int failures = 0;

  std::unique_ptr<SharedLimits> limits(std::unique_ptr<LeaseStore> store) {
    SharedLimits::Hooks hooks;
    hooks.changed = [this] { changed->notify(); };
    hooks.switched = [this](const std::string&, Mode mode) { modes.push_back(mode); };
    hooks.trip_failed = [this](const core::Error&) { ++failures; };
    return std::make_unique<SharedLimits>(loop.get_executor(), *clock, std::move(store), std::move(hooks));
  }
  std::unique_ptr<SharedLimits> limits() { return limits(std::make_unique<BookedStore>(book, *clock)); }
  /// Waits for changes until `done`; a test that waits for longer than this has failed.
  awaitable<void> until(std::function<bool()> done) {
    const auto end = clock->now() + 10s;
    while (!done() && clock->now() < end) co_await changed->wait_until(end);
    EXPECT_TRUE(done());
  }
  void play(awaitable<void> body) {
    boost::asio::co_spawn(loop, std::move(body), boost::asio::detached);
    loop.run();
  }
};

TEST_F(SharedLimitsTest, OneTripBringsTheSlotsOfAllLimits) {
  const auto all = limits();
  auto& a = all->add({"a", 60, 3}, own_pace, [] { return 4; });
  auto& b = all->add({"b", 600, 3}, own_pace, [] { return 2; });
  play([&]() -> awaitable<void> {
    co_await until([&] { return a.next(clock->now()) != TimePoint::max() && b.next(clock->now()) != TimePoint::max(); });
    co_await all->close();
  }());
  ASSERT_FALSE(book.trips.empty());
  ASSERT_EQ(book.trips[0].size(), 2u);
  EXPECT_EQ(book.trips[0][0].limit, "a");
  EXPECT_EQ(book.trips[0][0].slots, 4);
  EXPECT_EQ(book.trips[0][1].limit, "b");
  EXPECT_EQ(book.trips[0][1].slots, 2);
  EXPECT_THAT(book.left, ::testing::ElementsAre("a", "b"));
}

TEST_F(SharedLimitsTest, MakesOneTripAtATimeAndThenTakesAllThatWaited) {
  const auto all = limits();
  book.held = true;
  std::size_t waiting = 1;
  all->add({"a", 60, 3}, own_pace, [&] { return waiting; });
  all->add({"b", 60, 3}, own_pace, [&] { return waiting; });
  play([&]() -> awaitable<void> {
    co_await clock->sleep_for(0ms);
    waiting = 3;
    auto& c = all->add({"c", 60, 3}, own_pace, [&] { return waiting; });
    for (int i = 0; i < 10; ++i) co_await clock->sleep_for(0ms);
    book.hold(false);
    co_await until([&] { return c.next(clock->now()) != TimePoint::max(); });
    co_await all->close();
  }());
  EXPECT_EQ(book.trips[0].size(), 2u);
  EXPECT_EQ(book.trips[1].size(), 3u) << "none was sent off to wait behind the first trip";
}

TEST_F(SharedLimitsTest, AStoreThatDoesNotComeBackIsGivenUp) {
  const auto all = limits();
  book.held = true;
  auto& a = all->add({"a", 60, 3}, own_pace, [] { return 1; });
  const auto start = clock->now();
  play([&]() -> awaitable<void> {
    co_await until([&] { return a.mode() == Mode::local; });
    EXPECT_GE(clock->now() - start, kTripTime);
    EXPECT_NE(a.next(clock->now()), TimePoint::max());
    book.hold(false);
    co_await all->close();
  }());
  EXPECT_THAT(modes, ::testing::ElementsAre(Mode::local));
  EXPECT_THAT(book.left, ::testing::ElementsAre("a"));
}

TEST_F(SharedLimitsTest, FailuresAreToldAndTriedAgain) {
  const auto all = limits();
  book.down = true;
  auto& a = all->add({"a", 60, 3}, own_pace, [] { return 1; });
  play([&]() -> awaitable<void> {
    co_await until([&] { return a.mode() == Mode::local; });
    co_await until([&] { return failures >= 4; });
    co_await all->close();
  }());
  EXPECT_EQ(book.trips.back()[0].sharing, Sharing::alone);
}

TEST_F(SharedLimitsTest, AFreezeIsToldAtOnce) {
  const auto all = limits();
  auto& a = all->add({"a", 60, 3}, own_pace, [] { return 0; });
  play([&]() -> awaitable<void> {
    co_await until([&] { return book.last_freeze() == 0s && book.count() == 1; });
    a.freeze(clock->now() + 30s);
    all->look(a);
    co_await until([&] { return book.last_freeze() > 20s; });
    co_await all->close();
  }());
}

/// As one does that nobody has called yet.
TEST_F(SharedLimitsTest, WhoRestsIsNotToldOfUntilSomebodyCalls) {
  const auto all = limits();
  std::size_t waiting = 0;
  auto& busy = all->add({"busy", 60, 1}, own_pace, [] { return 0; });
  auto& quiet = all->add({"quiet", 60, 1, true}, own_pace, [&] { return waiting; });
  const auto told_of = [&](const std::string& name) {
    const std::lock_guard lock(book.mutex);
    std::vector<Sharing> out;
    for (const auto& trip : book.trips)
      for (const auto& request : trip)
        if (request.limit == name) out.push_back(request.sharing);
    return out;
  };
  play([&]() -> awaitable<void> {
    co_await until([&] { return told_of("busy").size() == 3; });
    EXPECT_THAT(told_of("quiet"), ::testing::ElementsAre(Sharing::resting));
    EXPECT_EQ(quiet.next(clock->now()), TimePoint::max());
    waiting = 2;
    all->look(busy);
    all->look(quiet);
    co_await until([&] { return quiet.next(clock->now()) != TimePoint::max(); });
    EXPECT_THAT(told_of("quiet"), ::testing::ElementsAre(Sharing::resting, Sharing::leased));
    co_await all->close();
  }());
}

/// Two workers in one process, as many calls as they get from a Redis.
TEST_F(SharedLimitsTest, TwoWorkersShareALimitThroughRedis) {
  test::RedisServer redis;
  std::vector<TimePoint> calls;
  struct Worker {
    std::unique_ptr<SharedLimits> limits;
    std::unique_ptr<core::Signal> changed;
    SharedPace* pace = nullptr;
    std::size_t calls = 0;
  };
  std::vector<Worker> workers(2);
  for (std::size_t i = 0; i < 2; ++i) {
    auto& w = workers[i];
    w.changed = clock->make_signal();
    SharedLimits::Hooks hooks;
    hooks.changed = [&w] { w.changed->notify(); };
    const auto address = config::parse_store_url(redis.url());
    ASSERT_TRUE(address);
    auto store = std::make_unique<RedisStore>(*clock, RedisStore::Settings{*address, {}, "w" + std::to_string(i)});
    w.limits = std::make_unique<SharedLimits>(loop.get_executor(), *clock, std::move(store), std::move(hooks));
    w.pace = &w.limits->add({"app/1", 200, 2}, own_pace, [] { return 8; });
  }
  const auto work = [&](Worker& w) -> awaitable<void> {
    const auto end = clock->now() + 20s;
    while (calls.size() < 300 && clock->now() < end) {
      const auto now = clock->now();
      const auto when = w.pace->next(now);
      if (when > now) {
        co_await w.changed->wait_until(std::min(when, end));
        continue;
      }
      w.pace->take(now);
      calls.push_back(now);
      ++w.calls;
      w.limits->look(*w.pace);
    }
    co_await w.limits->close();
  };
  for (auto& w : workers) boost::asio::co_spawn(loop, work(w), boost::asio::detached);
  loop.run();
  ASSERT_GE(calls.size(), 300u);
  for (const auto& w : workers) EXPECT_GE(w.calls, 75u);
  for (std::size_t i = 0; i + 200 < calls.size(); ++i) ASSERT_GE(calls[i + 200] - calls[i], 1s) << i;
  EXPECT_EQ(redis.ask({"HLEN", "stsync:limit:app/1"}), "6") << "both have left";
}

}  // namespace
}  // namespace stsync::limits
