#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/rng.hpp"
#include "core/secret.hpp"
#include "core/stop.hpp"
#include "core/task_group.hpp"

namespace stsync::tokens {

/// Whose token: one app's connection to one tenant (which has exactly one environment).
struct Account {
  std::string app;
  std::int64_t tenant = 0;
  auto operator<=>(const Account&) const = default;
};

struct Fetched {
  core::Secret token;
  core::Duration life{};
};

/// Asks the vendor for a token. Errors: unauthorized (the client is refused), anything of http.
class TokenSource {
 public:
  virtual ~TokenSource() = default;
  virtual boost::asio::awaitable<core::Result<Fetched>> fetch(Account account, core::StopToken stop) = 0;
};

struct Token {
  core::Secret text;
  std::uint64_t generation = 0;  ///< for drop(): which token was refused
};

/// One live token per account: asked for once however many wait, renewed at 80 % of its life while the old one serves, and after
/// a refusal left alone for a growing time (60 s to 15 min, other failures 1 s to 1 min) in which get() fails at once. Lives are
/// counted on the monotonic clock from the moment of the request. Loop thread only.
class Tokens {
 public:
  using Observer = std::function<void(const Account&, const char* outcome)>;  ///< ok, refused, failed
  Tokens(boost::asio::any_io_executor loop, core::Clock& clock, core::Rng& rng, TokenSource& source, Observer observer);
  ~Tokens();

  /// The error carries retry_after: when asking again makes sense.
  boost::asio::awaitable<core::Result<Token>> get(Account account, core::StopToken stop);
  /// A call with this token was answered 401: the next get() fetches a new one, unless that has happened since.
  void drop(const Account& account, std::uint64_t generation);
  /// Cancels fetches and waits for them.
  boost::asio::awaitable<void> close();

 private:
  struct Entry;
  Entry& entry(const Account& account);
  boost::asio::awaitable<void> fetch(Account account);
  void keep(Entry& e, Fetched fetched, core::TimePoint asked);
  void cool_down(Entry& e, core::Error error);

  core::Clock& clock_;
  core::Rng& rng_;
  TokenSource& source_;
  Observer observer_;
  std::map<Account, std::unique_ptr<Entry>> entries_;
  core::StopSource stop_;
  core::TaskGroup fetches_;
};

}  // namespace stsync::tokens
