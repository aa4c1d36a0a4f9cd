#pragma once
#include <memory>

#include "core/clock.hpp"
#include "core/stop.hpp"

namespace stsync::sync {

/// Two jobs that read one stream, page about: the host, a long one, and a guest that cannot wait for its end. At most one answer of
/// the guest's goes between two pages of the host's, and each is committed before the other asks. Loop thread only.
class StreamGate {
 public:
  explicit StreamGate(core::Clock& clock) : host_wake_(clock.make_signal()), guest_wake_(clock.make_signal()) {}

  /// Of the host, with nothing of its own uncommitted: whether somebody waits to be let by, and letting by.
  bool guest_waits() const noexcept { return waiting_; }
  boost::asio::awaitable<void> let_by(core::StopToken stop);
  /// Of the guest, before it asks for a page. False: stopped.
  boost::asio::awaitable<bool> enter(core::StopToken stop);
  /// Its page is committed, or will not be; nothing where it has not entered.
  void leave();
  /// The host has ended: a guest has the stream for itself.
  void host_gone();

 private:
  bool host_ = true;
  bool open_ = false;     ///< the host lets one answer by
  bool waiting_ = false;  ///< the guest, to enter
  bool inside_ = false;
  std::unique_ptr<core::Signal> host_wake_, guest_wake_;
};

}  // namespace stsync::sync
