#pragma once
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/stop.hpp"
#include "limits/pace.hpp"
#include "tokens/account.hpp"

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
  static constexpr double kPerSecond = 5;
  using MakePace = std::function<std::shared_ptr<limits::Pace>(const std::string& app)>;
  explicit PacedGate(core::Clock& clock);
  PacedGate(core::Clock& clock, MakePace make_pace);
  boost::asio::awaitable<core::Result<void>> pass(Account account, core::StopToken stop) override;
  void throttled(const Account& account, core::Duration wait) override;

  /// A pace may let requests go at another time than it said before.
  void changed();
  std::size_t waiting(const std::string& app) const;
  /// Calls `look` whenever somebody begins to wait for a pace: for those that are leased.
  void on_demand(std::function<void(const limits::Pace&)> look) { look_ = std::move(look); }

 private:
  struct Line {
    std::shared_ptr<limits::Pace> pace;
    std::list<core::Signal*> waiting;
  };
  Line& line(const std::string& app);

  core::Clock& clock_;
  const MakePace make_pace_;
  std::function<void(const limits::Pace&)> look_ = [](const limits::Pace&) {};
  std::map<std::string, Line> lines_;
};

}  // namespace stsync::tokens
