#pragma once
#include <functional>
#include <list>
#include <memory>
#include <utility>

namespace stsync::core {

namespace detail {
struct StopState {
  bool requested = false;
  std::list<std::function<void()>> callbacks;
};
}  // namespace detail

/// Keeps a stop callback registered for as long as it lives.
class StopCallback {
 public:
  StopCallback() = default;
  StopCallback(std::shared_ptr<detail::StopState> state, std::list<std::function<void()>>::iterator at)
      : state_(std::move(state)), at_(at) {}
  StopCallback(StopCallback&& o) noexcept : state_(std::exchange(o.state_, nullptr)), at_(o.at_) {}
  StopCallback& operator=(StopCallback&& o) noexcept {
    reset();
    state_ = std::exchange(o.state_, nullptr);
    at_ = o.at_;
    return *this;
  }
  ~StopCallback() { reset(); }
  void reset() {
    if (state_) state_->callbacks.erase(at_);
    state_.reset();
  }

 private:
  std::shared_ptr<detail::StopState> state_;
  std::list<std::function<void()>>::iterator at_;
};

/// The asking end of a stop request is StopSource, the asked end StopToken. Loop thread only. A callback may only notify or
/// close something; it must not destroy callbacks other than its own.
class StopToken {
 public:
  StopToken() = default;  ///< a token that is never stopped
  explicit StopToken(std::shared_ptr<detail::StopState> state) : state_(std::move(state)) {}
  bool stop_requested() const noexcept { return state_ && state_->requested; }
  /// Calls `f` at once when the stop was asked already.
  [[nodiscard]] StopCallback on_stop(std::function<void()> f) const {
    if (!state_) return {};
    if (state_->requested) {
      f();
      return {};
    }
    return {state_, state_->callbacks.insert(state_->callbacks.end(), std::move(f))};
  }

 private:
  std::shared_ptr<detail::StopState> state_;
};

class StopSource {
 public:
  StopSource() : state_(std::make_shared<detail::StopState>()) {}
  StopToken token() const { return StopToken(state_); }
  bool stop_requested() const noexcept { return state_->requested; }
  void request_stop() {
    if (std::exchange(state_->requested, true)) return;
    const auto keep = state_;
    for (auto it = keep->callbacks.begin(); it != keep->callbacks.end();) {
      const auto call = *it++;  // a copy: the callback may unregister itself
      call();
    }
  }

 private:
  std::shared_ptr<detail::StopState> state_;
};

}  // namespace stsync::core
