#include "core/byte_budget.hpp"

#include <algorithm>

namespace stsync::core {

void Reservation::resize(std::size_t bytes) {
  if (budget_ == nullptr) return;
  budget_->change(*share_, std::exchange(bytes_, bytes), bytes);
}

asio::awaitable<Result<Reservation>> ByteBudget::take(std::string owner, std::size_t bytes, Need need, StopToken stop) {
  auto& share = shares_[owner];
  const auto signal = clock_.make_signal();
  const auto behind = need == Need::ahead
                          ? line_.end()
                          : std::find_if(line_.begin(), line_.end(), [](const Waiter& w) { return w.need == Need::ahead; });
  const auto place = line_.insert(behind, Waiter{&share, bytes, need, signal.get()});
  const auto on_stop = stop.on_stop([&signal] { signal->notify(); });
  grant();
  while (!place->granted && !stop.stop_requested()) co_await signal->wait();
  const bool granted = place->granted;
  line_.erase(place);
  if (granted) co_return Reservation(this, &share, bytes);
  grant();  // the line moved up
  co_return fail(ErrorKind::cancelled, "stopped while waiting for memory");
}

void ByteBudget::limit(std::size_t bytes) {
  if (std::exchange(limit_, bytes) < bytes) grant();
}

void ByteBudget::change(std::size_t& share, std::size_t before, std::size_t after) {
  used_ = used_ - before + after;
  share = share - before + after;
  if (after < before) grant();
}

/// From the front, as far as it goes: nobody small overtakes somebody large, but for those whose owner has enough out.
void ByteBudget::grant() {
  for (auto& w : line_) {
    if (w.granted) continue;
    if (!fits(w.bytes)) return;
    if (!fair(*w.share, w.bytes)) continue;
    w.granted = true;
    used_ += w.bytes;
    *w.share += w.bytes;
    w.signal->notify();
  }
}

}  // namespace stsync::core
