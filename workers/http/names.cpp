#include "http/names.hpp"

#include <algorithm>
#include <list>
#include <optional>

#include <fmt/format.h>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace stsync::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using core::ErrorKind;
using core::fail;

constexpr auto kKeep = std::chrono::seconds(30);
constexpr std::size_t kMaxNames = 256;

/// Takes part in a list for as long as it lives.
class Listed {
 public:
  Listed(std::list<asio::steady_timer*>& list, asio::steady_timer& timer) : list_(list), at_(list.insert(list.end(), &timer)) {}
  Listed(const Listed&) = delete;
  Listed& operator=(const Listed&) = delete;
  ~Listed() { list_.erase(at_); }

 private:
  std::list<asio::steady_timer*>& list_;
  std::list<asio::steady_timer*>::iterator at_;
};

}  // namespace

struct NameCache::Entry {
  Addresses addresses;
  asio::ip::address preferred;
  std::optional<core::TimePoint> asked;  // when the answer at hand was asked for
  error_code last;
  bool running = false;
  std::list<asio::steady_timer*> waiting;

  void put_preferred_first() {
    const auto at = std::find(addresses.begin(), addresses.end(), preferred);
    if (at != addresses.end()) std::rotate(addresses.begin(), at, at + 1);
  }
};

Lookup system_lookup(asio::any_io_executor loop) {
  return [loop = std::move(loop)](const std::string& host, std::function<void(error_code, Addresses)> done) {
    auto resolver = std::make_shared<asio::ip::tcp::resolver>(loop);
    resolver->async_resolve(host, "",
                            [resolver, done = std::move(done)](error_code ec, const asio::ip::tcp::resolver::results_type& found) {
                              Addresses addresses;
                              for (const auto& one : found) addresses.push_back(one.endpoint().address());
                              done(ec, std::move(addresses));
                            });
  };
}

NameCache::NameCache(asio::any_io_executor loop, core::Clock& clock, Lookup lookup)
    : loop_(std::move(loop)), clock_(clock), lookup_(std::move(lookup)) {}
NameCache::~NameCache() = default;

void NameCache::look_up(const std::string& host, const std::shared_ptr<Entry>& entry) {
  entry->running = true;
  lookup_(host, [entry, now = clock_.now()](error_code ec, Addresses found) {
    if (!ec && found.empty()) ec = asio::error::host_not_found;
    entry->running = false;
    entry->last = ec;
    if (!ec) {
      entry->asked = now;
      entry->addresses = std::move(found);
      entry->put_preferred_first();
    }
    for (auto* timer : entry->waiting) timer->cancel();
  });
}

asio::awaitable<core::Result<Addresses>> NameCache::resolve(std::string host, core::Duration limit, core::StopToken stop) {
  error_code ec;
  const auto literal = asio::ip::make_address(host, ec);
  if (!ec) co_return Addresses{literal};
  if (entries_.size() >= kMaxNames && !entries_.contains(host)) entries_.clear();
  auto& slot = entries_[host];
  if (!slot) slot = std::make_shared<Entry>();
  const auto entry = slot;  // the map may be cleared while we wait
  if (entry->asked && clock_.now() - *entry->asked < kKeep) co_return entry->addresses;
  const bool known = !entry->addresses.empty();
  if (known && entry->running) co_return entry->addresses;  // somebody waits for the new ones already
  if (!entry->running) look_up(host, entry);

  asio::steady_timer timer(loop_, std::chrono::duration_cast<std::chrono::steady_clock::duration>(known ? limit / 2 : limit));
  const Listed listed(entry->waiting, timer);
  const auto on_stop = stop.on_stop([&timer] { timer.cancel(); });
  if (!stop.stop_requested()) co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ec));
  if (stop.stop_requested()) co_return fail(ErrorKind::cancelled, fmt::format("stopped while resolving '{}'", host));
  if (!entry->addresses.empty()) co_return entry->addresses;
  if (entry->running) co_return fail(ErrorKind::timeout, fmt::format("timeout while resolving '{}'", host));
  co_return fail(ErrorKind::network, fmt::format("resolving '{}' failed: {}", host, entry->last.message()));
}

void NameCache::prefer(const std::string& host, const asio::ip::address& address) {
  const auto at = entries_.find(host);
  if (at == entries_.end()) return;  // a literal
  at->second->preferred = address;
  at->second->put_preferred_first();
}

void NameCache::doubt(const std::string& host) {
  if (const auto at = entries_.find(host); at != entries_.end()) at->second->asked.reset();
}

}  // namespace stsync::http
