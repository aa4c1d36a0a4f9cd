#include "simulation/vendor_model.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.hpp"

namespace stsync::simulation {

using boost::asio::awaitable;
using core::ErrorKind;
using core::Result;
using namespace std::chrono_literals;

namespace {

http::Response json(std::string body) { return {200, {{"Content-Type", "application/json"}}, std::move(body)}; }

}  // namespace

VendorModel::Called VendorModel::Called::of(const std::string& target) {
  const auto mark = std::min(target.find('?'), target.size());
  const auto path = target.substr(0, mark);
  constexpr std::string_view kTenant = "/v2/tenant/";
  const auto at = path.find(kTenant);
  if (at == std::string::npos) return {};
  const auto rest = path.substr(at + kTenant.size());
  auto name = rest.substr(rest.find('/') + 1);
  Called out;
  out.feed = name.starts_with("export/");
  if (out.feed) name = name.substr(7);
  out.tenant = core::parse_int(rest.substr(0, rest.find('/'))).value_or(0);
  out.resource = path.substr(1, at - 1) + "/" + name;
  if (mark < target.size())
    for (auto& [key, value] : http::parse_query(target.substr(mark + 1))) out.query[key] = value;
  return out;
}

void VendorModel::grow(std::int64_t tenant, const std::string& resource, int rows) {
  auto& feed = feeds_[{tenant, resource}];
  for (int i = 0; i < rows; ++i) feed.push_back(clock_.wall_now());
}

std::int64_t VendorModel::size(std::int64_t tenant, const std::string& resource) const {
  const auto it = feeds_.find({tenant, resource});
  return it == feeds_.end() ? 0 : static_cast<std::int64_t>(it->second.size());
}

std::string VendorModel::row(std::int64_t tenant, const std::string& resource, std::int64_t n) const {
  return fmt::format(R"({{"id":{},"modifiedOn":"{}","n":{},"of":"{}/{}"}})", id_of(n),
                     core::format_utc(feeds_.at({tenant, resource})[static_cast<std::size_t>(n)]), n, tenant, resource);
}

core::WallTime VendorModel::changed(std::int64_t tenant, const std::string& resource, std::int64_t n) const {
  return feeds_.at({tenant, resource})[static_cast<std::size_t>(n)];
}

std::int64_t VendorModel::newest(std::int64_t tenant, const std::string& resource, std::int64_t id) const {
  for (auto n = size(tenant, resource) - 1; n >= 0; --n)
    if (id_of(n) == id) return n;
  return -1;
}

ListModel& VendorModel::make_list(std::int64_t tenant, const std::string& resource, ListModel::Kind kind) {
  return lists_.try_emplace({tenant, resource}, fmt::format("{}/{}", tenant, resource), kind).first->second;
}

const ListModel* VendorModel::list(std::int64_t tenant, const std::string& resource) const {
  const auto it = lists_.find({tenant, resource});
  return it == lists_.end() ? nullptr : &it->second;
}

void VendorModel::change_lists() {
  auto it = lists_.begin();
  std::advance(it, rng_.between(0, lists_.size() - 1));
  auto& list = it->second;
  for (auto changes = rng_.between(1, 5); changes > 0; --changes) {
    const auto id = static_cast<std::int64_t>(rng_.between(1, static_cast<std::uint64_t>(list.last_id())));
    switch (rng_.between(0, 3)) {
      case 0:
        list.add(clock_.wall_now());
        break;
      case 1:
        list.take_away(id, clock_.wall_now());
        break;
      default:
        list.change(id, clock_.wall_now());
    }
  }
}

http::Response VendorModel::feed_page(std::int64_t tenant, const std::string& resource, const Feed& feed,
                                      const std::string& from) const {
  const auto end = static_cast<std::int64_t>(feed.size());
  std::int64_t begin = 0;
  if (from.starts_with("token-")) {
    begin = core::parse_int(from.substr(6)).value_or(0);
  } else if (const auto time = core::parse_utc(from)) {
    begin = std::lower_bound(feed.begin(), feed.end(), *time) - feed.begin();
  }
  const auto stop = std::min(end, begin + habits.page);
  std::string data;
  for (auto n = begin; n < stop; ++n) data += (data.empty() ? "" : ",") + row(tenant, resource, n);
  return json(fmt::format(R"({{"hasMore":{},"continueFrom":"token-{}","data":[{}]}})", stop < end, stop, data));
}

http::Response VendorModel::rows_by_id(std::int64_t tenant, const std::string& resource, const std::string& ids) const {
  std::string data;
  int count = 0;
  for (std::size_t at = 0; at < ids.size();) {
    const auto comma = std::min(ids.find(',', at), ids.size());
    const auto n = newest(tenant, resource, core::parse_int(ids.substr(at, comma - at)).value_or(0));
    if (n >= 0) {
      data += (data.empty() ? "" : ",") + row(tenant, resource, n);
      ++count;
    }
    at = comma + 1;
  }
  return json(fmt::format(R"({{"page":1,"pageSize":500,"hasMore":false,"totalCount":{},"data":[{}]}})", count, data));
}

http::Response VendorModel::token() {
  if (rng_.unit() < habits.locks_out) return {400, {}, R"({"error":"invalid_client"})"};
  return json(fmt::format(R"({{"access_token":"t{}","expires_in":900,"token_type":"Bearer"}})", ++tokens_));
}

bool VendorModel::good(const http::Request& request) const {
  constexpr std::string_view kBearer = "Bearer t";
  const auto* token = http::find_header(request.headers, "Authorization");
  return token != nullptr && core::parse_int(token->substr(kBearer.size())).value_or(0) >= first_good_token_;
}

Result<http::Response> VendorModel::answer(const http::Request& request) {
  if (rng_.unit() < habits.fails) return http::Response{rng_.between(0, 1) == 0 ? 500 : 503, {}, "<html>"};
  if (rng_.unit() < habits.refuses) return http::Response{429, {{"Retry-After", std::to_string(rng_.between(1, 10))}}, ""};
  if (request.method == "POST") return token();
  if (!good(request)) return http::Response{401, {}, "{}"};
  ++calls;
  auto called = Called::of(request.target);
  if (const auto* rows = list(called.tenant, called.resource)) return json(rows->page(called.query, habits.page));
  const auto feed = feeds_.find({called.tenant, called.resource});
  if (feed == feeds_.end()) return http::Response{404, {}, "{}"};
  if (called.feed) return feed_page(called.tenant, called.resource, feed->second, called.query["from"]);
  return rows_by_id(called.tenant, called.resource, called.query["ids"]);
}

core::Duration VendorModel::some(core::Duration most) {
  return std::chrono::duration_cast<core::Duration>(most * rng_.unit()) + 1ms;
}

class VendorModel::Line final : public http::Connection {
 public:
  Line(VendorModel& vendor, core::Clock& own, std::shared_ptr<Link> link) : vendor_(vendor), own_(own), link_(std::move(link)) {}
  awaitable<Result<http::Response>> exchange(http::Request request, http::ExchangeLimits, core::StopToken stop) override {
    auto called = Called::of(request.target);
    const auto asked = vendor_.clock_.wall_now();
    const bool own = called.tenant != 0 && !link_->dead && vendor_.on_call(*link_, called.tenant);
    if (!co_await pause(vendor_.some(5ms), stop)) co_return core::fail(ErrorKind::cancelled, "stopped");
    if (link_->dead || vendor_.rng_.unit() < vendor_.habits.breaks) co_return core::fail(ErrorKind::network, "reset");
    auto response = vendor_.answer(request);
    if (!co_await pause(vendor_.some(vendor_.habits.slowest), stop)) co_return core::fail(ErrorKind::cancelled, "stopped");
    if (vendor_.rng_.unit() < vendor_.habits.breaks) co_return core::fail(ErrorKind::network, "reset");
    if (own && called.feed && response && response->status == 200 && !link_->dead)
      vendor_.delivered.push_back({called.tenant, called.resource, called.query["from"], asked});
    co_return response;
  }
  bool reused() const noexcept override { return false; }
  bool stale() const noexcept override { return false; }

 private:
  /// False: stopped.
  awaitable<bool> pause(core::Duration d, core::StopToken stop) {
    const auto signal = own_.make_signal();
    const auto on_stop = stop.on_stop([&signal] { signal->notify(); });
    if (!stop.stop_requested()) co_await signal->wait_until(own_.now() + d);
    co_return !stop.stop_requested();
  }
  VendorModel& vendor_;
  core::Clock& own_;
  const std::shared_ptr<Link> link_;
};

class VendorModel::Client final : public http::Client {
 public:
  Client(VendorModel& vendor, core::Clock& own, std::shared_ptr<Link> link) : vendor_(vendor), own_(own), link_(std::move(link)) {}
  awaitable<Result<std::unique_ptr<http::Connection>>> connect(http::Origin, bool, core::StopToken) override {
    co_await own_.sleep_for(vendor_.some(20ms));
    if (link_->dead || vendor_.rng_.unit() < vendor_.habits.breaks) co_return core::fail(ErrorKind::network, "refused");
    std::unique_ptr<http::Connection> line = std::make_unique<Line>(vendor_, own_, link_);
    co_return line;
  }
  awaitable<void> close() override { co_return; }

 private:
  VendorModel& vendor_;
  core::Clock& own_;
  const std::shared_ptr<Link> link_;
};

std::unique_ptr<http::Client> VendorModel::client(core::Clock& own, std::shared_ptr<Link> link) {
  return std::make_unique<Client>(*this, own, std::move(link));
}

}  // namespace stsync::simulation
