#pragma once
#include <list>
#include <map>
#include <string>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/stop.hpp"
#include "tokens/account.hpp"
#include "tokens/pacer.hpp"

namespace stsync::tokens {

/// Who may ask the token endpoint when. A store that several workers share can stand here. Loop thread only.
class Gate {
 public:
  virtual ~Gate() = default;
  /// Waits for the account's turn; the request leaves at once. cancelled: stop was asked first.
  virtual boost::asio::awaitable<core::Result<void>> pass(Account account, core::StopToken stop) = 0;
  /// The endpoint answered 429: nobody of this app asks for `wait`.
  virtual void throttled(const Account& account, core::Duration wait) = 0;
};

/// This worker's own pace: the vendor throttles the endpoint and does not say how, and two thousand tenants begin in one second.
/// The requests of an app leave evenly, in the order in which they came.
class PacedGate final : public Gate {
 public:
  explicit PacedGate(core::Clock& clock, double per_second = 5);
  boost::asio::awaitable<core::Result<void>> pass(Account account, core::StopToken stop) override;
  void throttled(const Account& account, core::Duration wait) override;

 private:
  struct Line {
    Pacer pacer;
    std::list<core::Signal*> waiting;
  };
  Line& line(const std::string& app);

  core::Clock& clock_;
  const core::Duration interval_;
  std::map<std::string, Line> lines_;
};

}  // namespace stsync::tokens
