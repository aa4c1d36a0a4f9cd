#include "tokens/tokens.hpp"

#include <algorithm>
#include <list>
#include <optional>

namespace stsync::tokens {

using core::Duration;
using core::ErrorKind;
using core::TimePoint;
using namespace std::chrono_literals;

namespace {
// The vendor says 900 s; anything odd is brought into a range in which the worker neither storms nor trusts for ever.
constexpr Duration kShortestLife = 30s;
constexpr Duration kLongestLife = 24h;
constexpr double kRenewAt = 0.8;
/// A token is not handed out in its last seconds: the call it is for may take a while.
constexpr Duration kSpare = 15s;
struct CoolDown {
  Duration first, longest;
};
constexpr CoolDown kRefused{60s, 15min};
constexpr CoolDown kFailed{1s, 1min};
}  // namespace

struct Tokens::Entry {
  std::optional<core::Secret> token;
  std::uint64_t generation = 0;
  TimePoint expires{}, renew_at{};
  bool fetching = false;
  std::optional<core::Error> failure;  ///< until `ask_again`
  TimePoint ask_again{};
  Duration cool_down{};
  std::list<core::Signal*> waiters;
};

Tokens::Tokens(boost::asio::any_io_executor loop, core::Clock& clock, core::Rng& rng, TokenSource& source, Observer observer)
    : clock_(clock), rng_(rng), source_(source), observer_(std::move(observer)), fetches_(std::move(loop), clock) {}

Tokens::~Tokens() = default;

Tokens::Entry& Tokens::entry(const Account& account) {
  auto& slot = entries_[account];
  if (!slot) slot = std::make_unique<Entry>();
  return *slot;
}

boost::asio::awaitable<core::Result<Token>> Tokens::get(Account account, core::StopToken stop) {
  auto& e = entry(account);
  for (;;) {
    if (stop.stop_requested() || stop_.stop_requested())
      co_return core::fail(ErrorKind::cancelled, "stopped while waiting for a token");
    const auto now = clock_.now();
    const bool good = e.token && now < e.expires - kSpare;
    const bool may_ask = !e.fetching && now >= e.ask_again;
    if (may_ask && (!good || now >= e.renew_at)) {
      e.fetching = true;
      fetches_.spawn("token of " + account.app + ":" + std::to_string(account.tenant), fetch(account));
      if (!e.fetching) continue;  // answered at once: what was known before does not hold any more
    }
    if (good) co_return Token{*e.token, e.generation};
    if (!e.fetching) {
      auto error = *e.failure;
      error.with_retry_after(std::chrono::ceil<std::chrono::milliseconds>(e.ask_again - now));
      co_return core::fail(std::move(error));
    }
    const auto signal = clock_.make_signal();
    const auto place = e.waiters.insert(e.waiters.end(), signal.get());
    const auto on_stop = stop.on_stop([&signal] { signal->notify(); });
    co_await signal->wait();
    e.waiters.erase(place);
  }
}

boost::asio::awaitable<void> Tokens::fetch(Account account) {
  const auto asked = clock_.now();
  auto fetched = co_await source_.fetch(account, stop_.token());
  auto& e = entry(account);
  e.fetching = false;
  if (fetched) {
    keep(e, std::move(*fetched), asked);
    observer_(account, "ok");
  } else {
    observer_(account, fetched.error().kind() == ErrorKind::unauthorized ? "refused" : "failed");
    cool_down(e, std::move(fetched.error()));
  }
  for (auto* waiter : e.waiters) waiter->notify();
}

void Tokens::keep(Entry& e, Fetched fetched, TimePoint asked) {
  const auto life = std::clamp(fetched.life, kShortestLife, kLongestLife);
  e.token = std::move(fetched.token);
  ++e.generation;
  e.expires = asked + life;
  // Not all at the same second after a start.
  const auto at = kRenewAt - 0.05 * rng_.unit();
  e.renew_at = asked + std::chrono::duration_cast<Duration>(life * at);
  e.failure.reset();
  e.cool_down = {};
  e.ask_again = {};
}

void Tokens::cool_down(Entry& e, core::Error error) {
  const auto range = error.kind() == ErrorKind::unauthorized ? kRefused : kFailed;
  e.cool_down = std::clamp(e.cool_down * 2, range.first, range.longest);
  e.ask_again = clock_.now() + e.cool_down;
  e.failure = std::move(error);
}

void Tokens::drop(const Account& account, std::uint64_t generation) {
  auto& e = entry(account);
  if (e.generation == generation) e.token.reset();
}

boost::asio::awaitable<void> Tokens::close() {
  stop_.request_stop();
  for (auto& [account, e] : entries_)
    for (auto* waiter : e->waiters) waiter->notify();
  co_await fetches_.join();
}

}  // namespace stsync::tokens
