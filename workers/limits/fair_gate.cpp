#include "limits/fair_gate.hpp"

namespace stsync::limits {

boost::asio::awaitable<FairGate::Turn> FairGate::enter(Sharer who) {
  auto& flow = flows_[{who.app, who.tenant}];
  if (free_ > 0) {
    --free_;
    co_return Turn(*this, flow, who.work);
  }
  const auto signal = clock_.make_signal();
  Waiter me{signal.get()};
  flow.lines[index_of(who.work)].push_back(&me);
  rings_[index_of(who.work)].add(&flow, who.weight);
  ++waiting_;
  while (!me.granted) co_await signal->wait();
  co_return Turn(*this, flow, who.work);
}

void FairGate::leave(Flow& flow, WorkClass work, double cost) {
  rings_[index_of(work)].charge(&flow, cost);
  ++free_;
  grant();
}

void FairGate::grant() {
  while (free_ > 0 && waiting_ > 0) {
    ByClass<bool> has_work{};
    for (std::size_t c = 0; c < kWorkClasses; ++c) has_work[c] = !rings_[c].empty();
    const auto work = shares_.next(has_work);
    auto& ring = rings_[index_of(work)];
    auto& flow = *ring.next();
    auto& line = flow.lines[index_of(work)];
    auto* waiter = line.front();
    line.pop_front();
    if (line.empty()) ring.remove(&flow);
    shares_.served(work);
    --waiting_;
    --free_;
    waiter->granted = true;
    waiter->signal->notify();
  }
}

}  // namespace stsync::limits
