#include "tokens/tokens.hpp"

#include <algorithm>
#include <list>

#include "tokens/account_state.hpp"

namespace stsync::tokens {

using core::Duration;
using core::ErrorKind;
using core::TimePoint;

namespace {
constexpr std::chrono::milliseconds kThrottled = std::chrono::seconds(1);

const char* outcome_of(const core::Result<Fetched>& answer) {
  return answer ? "ok" : answer.error().kind() == ErrorKind::unauthorized ? "refused" : "failed";
}
}  // namespace

struct Tokens::Entry {
  AccountState state;
  std::list<core::Signal*> waiters;
  Health told = Health::working;
};

Tokens::Tokens(boost::asio::any_io_executor loop, core::Clock& clock, core::Rng& rng, TokenSource& source, Gate& gate,
               Observer& observer)
    : clock_(clock), rng_(rng), source_(source), gate_(gate), observer_(observer), fetches_(std::move(loop), clock) {
  static_assert(sizeof(Entry) <= 256, "there is one for each of thousands of tenants");
}

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
    if (e.state.wants_look(now) && source_.changed(account)) e.state.credentials_changed(now);
    if (e.state.wants_fetch(now)) {
      e.state.fetch_began();
      fetches_.spawn("token of " + account.app + ":" + std::to_string(account.tenant), fetch(account));
      if (!e.state.fetching()) continue;  // answered at once: what was known before does not hold any more
    }
    tell(account, e);
    if (const auto* token = e.state.token(now)) co_return Token{*token, e.state.generation()};
    if (!e.state.fetching()) co_return core::fail(e.state.error(now));
    const auto signal = clock_.make_signal();
    const auto place = e.waiters.insert(e.waiters.end(), signal.get());
    const auto on_stop = stop.on_stop([&signal] { signal->notify(); });
    co_await signal->wait();
    e.waiters.erase(place);
  }
}

boost::asio::awaitable<void> Tokens::fetch(Account account) {
  auto& e = entry(account);
  TimePoint asked;
  auto answer = co_await request(account, asked);
  if (!answer && answer.error().kind() == ErrorKind::unauthorized && source_.has_another(account))
    answer = co_await request(account, asked);
  const auto now = clock_.now();
  if (answer)
    e.state.fetched(std::move(*answer), asked, now, rng_);
  else if (stop_.stop_requested())
    e.state.fetch_cancelled();
  else
    e.state.fetch_failed(std::move(answer.error()), now, rng_);
  tell(account, e);
  for (auto* waiter : e.waiters) waiter->notify();
}

boost::asio::awaitable<core::Result<Fetched>> Tokens::request(Account account, TimePoint& asked) {
  if (auto turn = co_await gate_.pass(account, stop_.token()); !turn) co_return core::fail(std::move(turn.error()));
  asked = clock_.now();
  auto answer = co_await source_.fetch(account, stop_.token());
  if (!answer && stop_.stop_requested()) co_return answer;
  observer_.fetched(account, outcome_of(answer));
  if (answer) co_return answer;
  entry(account).state.request_failed(answer.error(), asked);
  if (answer.error().kind() == ErrorKind::throttled) gate_.throttled(account, answer.error().retry_after().value_or(kThrottled));
  co_return answer;
}

void Tokens::tell(const Account& account, Entry& e) {
  const auto now = clock_.now();
  const auto health = e.state.health(now);
  if (health == e.told) return;
  e.told = health;
  observer_.changed(account, health, e.state.reason(now));
}

void Tokens::drop(const Account& account, std::uint64_t generation) {
  const auto found = entries_.find(account);
  if (found == entries_.end()) return;
  found->second->state.dropped(generation, clock_.now(), rng_);
  tell(account, *found->second);
}

boost::asio::awaitable<void> Tokens::close() {
  stop_.request_stop();
  for (auto& [account, e] : entries_)
    for (auto* waiter : e->waiters) waiter->notify();
  co_await fetches_.join();
}

}  // namespace stsync::tokens
