#pragma once
#include <cstdint>
#include <map>
#include <memory>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/rng.hpp"
#include "core/secret.hpp"
#include "core/stop.hpp"
#include "core/task_group.hpp"
#include "tokens/account.hpp"
#include "tokens/gate.hpp"
#include "tokens/observer.hpp"
#include "tokens/source.hpp"

namespace stsync::tokens {

struct Token {
  core::Secret text;
  std::uint64_t generation = 0;  ///< for drop(): which token was refused
};

/// Whether a call got no token for a reason that is not its own and passes: the endpoint is away, overloaded or talks nonsense.
/// Wait for the error's retry_after and ask again, without counting the call as tried and without a limit. Ask this before anything
/// else: the kind (network, tls, timeout, server, throttled …) is the endpoint's, not the API's. False for a refused client, whose
/// kind is unauthorized, for bad_config (a secret cannot be read), and for cancelled.
inline bool is_token_outage(const core::Error& error) noexcept { return error.before_call(); }

/// One live token per account: asked for once however many wait, renewed at 80 % of its life (10 % more or less) while the old one
/// serves. A refused client is left alone for a growing time (60 s to 15 min), in which get() fails at once, and costs the endpoint
/// at most 20 requests an hour; so does a client whose tokens the API refuses. Other failures wait 1 s to 1 min, or what the
/// endpoint asks for. Lives are counted on the monotonic clock from the moment of the request. Loop thread only.
class Tokens {
 public:
  /// All must outlive this.
  Tokens(boost::asio::any_io_executor loop, core::Clock& clock, core::Rng& rng, TokenSource& source, Gate& gate,
         Observer& observer);
  ~Tokens();

  /// Errors carry retry_after, when asking again makes sense: is_token_outage(), unauthorized (the client is refused; a change of
  /// its credentials is noticed within a few seconds of a get()), bad_config; cancelled without.
  boost::asio::awaitable<core::Result<Token>> get(Account account, core::StopToken stop);
  /// A call with this token was answered 401: the next get() fetches a new one, unless that has happened since.
  void drop(const Account& account, std::uint64_t generation);
  /// Cancels fetches and waits for them.
  boost::asio::awaitable<void> close();

 private:
  struct Entry;
  Entry& entry(const Account& account);
  boost::asio::awaitable<void> fetch(Account account);
  boost::asio::awaitable<core::Result<Fetched>> request(Account account, core::TimePoint& asked);
  void tell(const Account& account, Entry& e);

  core::Clock& clock_;
  core::Rng& rng_;
  TokenSource& source_;
  Gate& gate_;
  Observer& observer_;
  std::map<Account, std::unique_ptr<Entry>> entries_;
  core::StopSource stop_;
  core::TaskGroup fetches_;
};

}  // namespace stsync::tokens
