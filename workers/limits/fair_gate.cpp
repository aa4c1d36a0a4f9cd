#include "limits/fair_gate.hpp"

namespace stsync::limits {

boost::asio::awaitable<core::Result<FairGate::Turn>> FairGate::enter(Sharer who, std::size_t size, double cost,
                                                                     core::StopToken stop) {
  const core::Error stopped(core::ErrorKind::cancelled, "stopped while waiting for its turn");
  if (stop.stop_requested()) co_return core::fail(stopped);
  auto& flow = flows_[{who.app, who.tenant}];
  auto& line = flow.lines[index_of(who.work)];
  const auto signal = clock_.make_signal();
  Waiter me{signal.get(), size, cost};
  line.push_back(&me);
  rings_[index_of(who.work)].add(&flow, who.weight);
  ++waiting_;
  grant();
  const auto on_stop = stop.on_stop([&signal] { signal->notify(); });
  while (!me.granted && !stop.stop_requested()) co_await signal->wait();
  if (me.granted) {
    Turn turn(*this, size);
    if (stop.stop_requested()) co_return core::fail(stopped);
    co_return turn;
  }
  line.remove(&me);
  --waiting_;
  if (line.empty()) rings_[index_of(who.work)].remove(&flow);
  grant();  // it may have stood before a smaller one
  co_return core::fail(stopped);
}

void FairGate::leave(std::size_t size) {
  used_ -= size;
  grant();
}

void FairGate::grant() {
  while (waiting_ > 0) {
    ByClass<bool> has_work{};
    for (std::size_t c = 0; c < kWorkClasses; ++c) has_work[c] = !rings_[c].empty();
    const auto work = shares_.next(has_work);
    auto& ring = rings_[index_of(work)];
    auto& flow = *ring.next();
    auto& line = flow.lines[index_of(work)];
    auto* waiter = line.front();
    if (!fits(waiter->size)) return;  // whose turn it is waits until there is room
    line.pop_front();
    ring.charge(&flow, waiter->cost);
    if (line.empty()) ring.remove(&flow);
    shares_.served(work);
    --waiting_;
    used_ += waiter->size;
    waiter->granted = true;
    waiter->signal->notify();
  }
}

}  // namespace stsync::limits
