#pragma once
#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "core/clock.hpp"
#include "core/rng.hpp"
#include "core/task_group.hpp"

namespace stsync::simulation {

/// What goes wrong between workers and the broker. Probabilities of one request.
struct Trouble {
  double lost = 0;          ///< it never arrives
  double answer_lost = 0;   ///< it is carried out, and nobody hears of it
  double late = 0;          ///< a lost EndTxn or InitProducerId is no more than late: it arrives within a minute
  double aborted = 0;       ///< of a transaction: the broker finds a reason to abort it
  double out_of_order = 0;  ///< of a write: the broker knows nothing of the one before
  double refused = 0;       ///< of a request outside of transactions: not now
  core::Duration slowest = std::chrono::milliseconds(20);  ///< one way
  core::TimePoint away_until{};                            ///< nobody answers, connections are refused
};

/// The way of one worker to the broker.
struct Link {
  bool dead = false;             ///< its worker was killed
  core::TimePoint away_until{};  ///< it alone cannot reach the broker
  std::list<core::Signal*> waiting{};
  std::string member{};        ///< what the group knows it as
  core::TimePoint heard{};     ///< when the group last answered it
  std::size_t publishing = 0;  ///< bytes of records in its open transactions

  void cut() {
    dead = true;
    for (auto* signal : waiting) signal->notify();
  }
};

/// Requests on their way. What was sent goes on without its sender. Loop thread only.
class Network {
 public:
  Network(boost::asio::any_io_executor loop, core::Clock& world, core::Rng& rng)
      : clock_(world), rng_(rng), flights_(loop, world) {}

  Trouble trouble;
  std::size_t unreachable = 0;  ///< requests that found nobody

  /// Sends a request that is `carry_out` at the broker, and waits for what that returns. Nothing: no answer within `timeout`, or a
  /// connection that broke. `own`: the clock of the sender.
  template <class F>
  boost::asio::awaitable<std::optional<std::invoke_result_t<F&>>> ask(std::shared_ptr<Link> link, core::Clock& own,
                                                                      core::Duration timeout, F carry_out,
                                                                      bool may_be_late = false) {
    using R = std::invoke_result_t<F&>;
    if (link->dead) co_return std::nullopt;
    if (away(*link)) {
      ++unreachable;
      co_await own.sleep_for(std::chrono::milliseconds(50));
      co_return std::nullopt;
    }
    auto flight = std::make_shared<Flight<R>>();
    flight->arrived = own.make_signal();
    const auto plan = plan_flight(may_be_late);
    flights_.spawn("request", fly(*this, link, flight, plan, std::move(carry_out)));
    const auto deadline = own.now() + timeout;
    const auto place = link->waiting.insert(link->waiting.end(), flight->arrived.get());
    while (!flight->answer && !flight->broken && !link->dead && own.now() < deadline)
      co_await flight->arrived->wait_until(deadline);
    link->waiting.erase(place);
    flight->left = true;
    if (link->dead) co_return std::nullopt;
    co_return std::move(flight->answer);
  }
  /// Until nothing is on its way any more.
  boost::asio::awaitable<void> settle() { return flights_.join(); }

 private:
  template <class R>
  struct Flight {
    std::optional<R> answer;
    bool broken = false;  ///< its sender has seen the connection break
    bool left = false;    ///< nobody waits any more
    std::unique_ptr<core::Signal> arrived;
  };
  struct Plan {
    core::Duration there{}, back{};
    bool arrives = true, answered = true;
    bool resets = false;         ///< the sender notices what is lost
    bool outlives_death = true;  ///< it was on the wire when its sender died
    core::Duration late{};       ///< it arrives after all, so much later
  };

  bool away(const Link& link) const { return clock_.now() < trouble.away_until || clock_.now() < link.away_until; }
  Plan plan_flight(bool may_be_late);

  template <class R, class F>
  static boost::asio::awaitable<void> fly(Network& self, std::shared_ptr<Link> link, std::shared_ptr<Flight<R>> flight, Plan plan,
                                          F carry_out) {
    const auto tell = [&flight] {
      if (!flight->left) flight->arrived->notify();
    };
    co_await self.clock_.sleep_for(plan.there);
    if (plan.resets && (!plan.arrives || !plan.answered)) {
      flight->broken = true;
      tell();
    }
    if (!plan.arrives && plan.late == core::Duration(0)) co_return;
    co_await self.clock_.sleep_for(plan.late);
    if (self.clock_.now() < self.trouble.away_until || (link->dead && !plan.outlives_death)) co_return;
    auto answer = carry_out();
    if (!plan.arrives || !plan.answered) co_return;
    co_await self.clock_.sleep_for(plan.back);
    if (self.away(*link)) co_return;
    flight->answer = std::move(answer);
    tell();
  }

  core::Clock& clock_;
  core::Rng& rng_;
  core::TaskGroup flights_;
};

}  // namespace stsync::simulation
