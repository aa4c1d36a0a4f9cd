#include "sync/stream_gate.hpp"

namespace stsync::sync {

boost::asio::awaitable<void> StreamGate::let_by(core::StopToken stop) {
  const auto on_stop = stop.on_stop([this] { host_wake_->notify(); });
  open_ = waiting_;
  guest_wake_->notify();
  while (open_ && !stop.stop_requested()) co_await host_wake_->wait();
}

boost::asio::awaitable<bool> StreamGate::enter(core::StopToken stop) {
  const auto on_stop = stop.on_stop([this] { guest_wake_->notify(); });
  waiting_ = true;
  while (host_ && !open_ && !stop.stop_requested()) co_await guest_wake_->wait();
  waiting_ = false;
  inside_ = !stop.stop_requested();
  if (!inside_) {
    open_ = false;
    host_wake_->notify();
  }
  co_return inside_;
}

void StreamGate::leave() {
  if (!inside_) return;
  inside_ = open_ = false;
  host_wake_->notify();
}

void StreamGate::host_gone() {
  host_ = false;
  guest_wake_->notify();
}

}  // namespace stsync::sync
