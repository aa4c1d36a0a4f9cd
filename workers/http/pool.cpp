#include "http/pool.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "http/public_address.hpp"
#include "http/tls.hpp"

namespace stsync::http {

using core::ErrorKind;
using core::fail;

namespace {

SteadyTime steady_in(core::Duration limit) {
  return std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(limit);
}

/// A host with more addresses is reached over its first ones or not at all.
constexpr std::size_t kMaxAddresses = 6;

core::Error closed_error() { return {ErrorKind::cancelled, "the HTTP client is closed"}; }

}  // namespace

Pool::Pool(asio::any_io_executor loop, core::Clock& clock, std::shared_ptr<asio::ssl::context> tls, ClientOptions options,
           Lookup lookup)
    : loop_(loop),
      clock_(clock),
      tls_(std::move(tls)),
      options_(std::move(options)),
      names_(loop, clock, std::move(lookup)),
      returned_(clock.make_signal()) {
  options_.max_connections_per_origin = std::max<std::size_t>(1, options_.max_connections_per_origin);
}

Pool::~Pool() = default;

Pool::Waiter::Waiter(Pool& p, Origin o) : pool(p), origin(std::move(o)), signal(p.clock_.make_signal()) {}

Pool::Waiter::~Waiter() {
  if (granted) return;
  std::erase(pool.lanes_[origin].waiting, this);
  pool.forget_if_empty(origin);
}

Pool::Lease::~Lease() {
  if (!reusable) transport_.reset();
  pool_->give_back(origin_, std::move(transport_));
}

asio::awaitable<core::Result<std::unique_ptr<Pool::Lease>>> Pool::lease(Origin origin, bool fresh, core::StopToken stop) {
  const auto self = shared_from_this();
  if (closing_) co_return fail(closed_error());
  if (stop.stop_requested()) co_return fail(ErrorKind::cancelled, "stopped before connecting to " + origin.text());
  drop_old();
  auto place = co_await take_place(origin, stop);
  if (!place) co_return fail(place.error());
  auto& lane = lanes_[origin];  // stays while it has a lease
  if (!fresh) (*place)->transport_ = take_idle(lane);
  if ((*place)->transport_) {
    (*place)->reused = true;
    co_return std::move(*place);
  }
  // A fresh connection may have to push an idle one out.
  while (!lane.idle.empty() && lane.leased + lane.idle.size() > options_.max_connections_per_origin)
    lane.idle.erase(lane.idle.begin());
  auto transport = co_await dial(origin, stop);
  if (!transport) co_return fail(transport.error());
  (*place)->transport_ = std::move(*transport);
  co_return std::move(*place);
}

asio::awaitable<core::Result<std::unique_ptr<Pool::Lease>>> Pool::take_place(Origin origin, core::StopToken stop) {
  auto& lane = lanes_[origin];  // stays while somebody waits in it
  if (lane.leased < options_.max_connections_per_origin) {
    ++lane.leased;
    co_return std::make_unique<Lease>(shared_from_this(), origin);
  }
  Waiter me(*this, origin);
  lane.waiting.push_back(&me);
  const auto on_stop = stop.on_stop([&me] { me.signal->notify(); });
  while (!me.granted && !closing_ && !stop.stop_requested()) co_await me.signal->wait();
  // A place that was handed over is given back by the lease, even when nobody wants it any more.
  auto place = me.granted ? std::make_unique<Lease>(shared_from_this(), origin) : nullptr;
  if (closing_) co_return fail(closed_error());
  if (stop.stop_requested()) co_return fail(ErrorKind::cancelled, "stopped while waiting for a connection to " + origin.text());
  co_return place;
}

std::unique_ptr<Transport> Pool::take_idle(Lane& lane) {
  while (!lane.idle.empty()) {
    auto newest = std::move(lane.idle.back());
    lane.idle.pop_back();
    // Bytes that nobody asked for would be read as the next answer.
    if (clock_.now() - newest.since <= options_.max_idle && !newest.transport->has_unread_bytes())
      return std::move(newest.transport);
  }
  return nullptr;
}

void Pool::give_back(const Origin& origin, std::unique_ptr<Transport> transport) {
  auto& lane = lanes_[origin];
  if (transport && !closing_) lane.idle.push_back({std::move(transport), clock_.now()});
  if (!lane.waiting.empty() && !closing_) {
    auto* next = lane.waiting.front();  // takes over our place, so `leased` stays
    lane.waiting.pop_front();
    next->granted = true;
    next->signal->notify();
    return;
  }
  --lane.leased;
  forget_if_empty(origin);
}

void Pool::forget_if_empty(const Origin& origin) {
  const auto at = lanes_.find(origin);
  const auto& lane = at->second;
  if (lane.leased > 0 || !lane.idle.empty() || !lane.waiting.empty()) return;
  lanes_.erase(at);
  returned_->notify();
}

void Pool::drop_old() {
  const auto now = clock_.now();
  for (auto at = lanes_.begin(); at != lanes_.end();) {
    auto& lane = at->second;
    std::erase_if(lane.idle, [&](const Idle& i) { return now - i.since > options_.max_idle; });
    at = lane.leased == 0 && lane.idle.empty() && lane.waiting.empty() ? lanes_.erase(at) : std::next(at);
  }
}

asio::awaitable<core::Result<std::unique_ptr<Transport>>> Pool::dial(Origin origin, core::StopToken stop) {
  std::unique_ptr<Transport> transport;  // of the address that is tried
  const auto on_stop = stop.on_stop([&transport] {
    if (transport) transport->cut(Cut::stop);
  });
  auto connected = co_await connect(transport, origin, stop);
  if (connected && origin.tls) connected = co_await secure(*transport, origin);
  if (!connected) co_return fail(connected.error());
  transport->clear_deadline();
  if (transport->cut_by() != Cut::none) co_return fail(transport_error(*transport, {}, "connecting", origin));
  co_return transport;
}

/// One address after the other, and for a silent one only its share of the time: an address that swallows everything (IPv6 where
/// it is not routed) must not keep us from the next.
asio::awaitable<core::Result<void>> Pool::connect(std::unique_ptr<Transport>& transport, Origin origin, core::StopToken stop) {
  const auto deadline = steady_in(options_.connect_timeout);
  auto addresses = co_await names_.resolve(origin.host, options_.connect_timeout, stop);
  if (!addresses) co_return fail(addresses.error());
  if (options_.public_only) std::erase_if(*addresses, [](const auto& address) { return !is_public(address); });
  if (addresses->empty()) co_return fail(ErrorKind::protocol, "no public address, not connected to (" + origin.text() + ")");
  core::Error error(ErrorKind::timeout, "no time is left to connect (" + origin.text() + ")");
  const auto count = std::min(addresses->size(), kMaxAddresses);
  for (std::size_t i = 0; i < count && !stop.stop_requested(); ++i) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= deadline) break;
    transport = std::make_unique<Transport>(loop_);
    transport->set_deadline(now + (deadline - now) / static_cast<int>(count - i));
    const auto ec = co_await transport->connect({(*addresses)[i], origin.port});
    if (!ec && transport->cut_by() == Cut::none) {
      names_.prefer(origin.host, (*addresses)[i]);
      co_return core::Result<void>();
    }
    error = transport_error(*transport, ec, "connecting", origin);
  }
  if (stop.stop_requested()) co_return fail(ErrorKind::cancelled, "stopped while connecting (" + origin.text() + ")");
  names_.doubt(origin.host);
  co_return fail(std::move(error));
}

asio::awaitable<core::Result<void>> Pool::secure(Transport& transport, Origin origin) {
  transport.use_tls(*tls_);
  if (auto set = expect_host(transport.ssl(), origin.host); !set) co_return fail(set.error());
  transport.set_deadline(steady_in(options_.handshake_timeout));
  const auto ec = co_await transport.handshake(asio::ssl::stream_base::client);
  if (!ec) co_return core::Result<void>();
  auto error = transport_error(transport, ec, "the TLS handshake", origin);
  const auto why = refusal(transport.ssl());
  if (error.kind() == ErrorKind::tls && !why.empty())
    co_return fail(ErrorKind::tls, fmt::format("the certificate of {} is refused: {}", origin.text(), why));
  co_return fail(std::move(error));
}

asio::awaitable<void> Pool::close() {
  const auto self = shared_from_this();
  closing_ = true;
  for (auto& [origin, lane] : lanes_) {
    lane.idle.clear();
    for (auto* waiter : lane.waiting) waiter->signal->notify();
  }
  std::erase_if(lanes_, [](const auto& entry) { return entry.second.leased == 0 && entry.second.waiting.empty(); });
  while (!lanes_.empty()) co_await returned_->wait();
}

}  // namespace stsync::http
