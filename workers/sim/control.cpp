#include <algorithm>
#include <array>
#include <charconv>

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "codec/page.hpp"
#include "core/text.hpp"
#include "sim/call.hpp"
#include "sim/churn.hpp"
#include "sim/control.hpp"
#include "sim/flat_json.hpp"
#include "sim/world.hpp"

namespace stsync::sim {
namespace {

namespace asio = boost::asio;
using http::ServerRequest;
using http::ServerResponse;

constexpr std::size_t kMaxRepeated = 100;  // pages named in /__sim/fetches

constexpr std::int64_t kMaxNumber = 1'000'000'000'000;
constexpr std::int64_t kMaxChurn = 10'000;   // a second
constexpr std::int64_t kMaxExtra = 1 << 30;  // bytes a record may grow by

std::string text_of(const Fields& fields, const std::string& name, std::string otherwise = {}) {
  const auto at = fields.find(name);
  return at == fields.end() ? std::move(otherwise) : at->second;
}

/// A natural number of a sane size; nothing when the field is something else.
std::optional<std::int64_t> natural(const Fields& fields, const std::string& name, std::int64_t otherwise) {
  const auto at = fields.find(name);
  if (at == fields.end()) return otherwise;
  const auto number = core::parse_int(at->second);
  return number && *number >= 0 && *number <= kMaxNumber ? number : std::nullopt;
}

asio::awaitable<ServerResponse> truth(World& world, Fields query) {
  Json json;
  json.begin_array();
  const bool with_rows = text_of(query, "rows") == "true";
  for (auto* tenant : world.find_tenants(natural(query, "tenant", 0).value_or(-1)))
    for (const auto* resource : World::find_resources(text_of(query, "resource"))) {
      co_await asio::post(world.loop, asio::use_awaitable);  // others are not to wait for all of it
      World::Rows rows;
      const auto truth = world.truth_of(*tenant, *resource, with_rows ? &rows : nullptr);
      json.begin_object().key("tenant").number(truth.tenant).key("resource").text(truth.resource);
      json.key("count").number(std::uint64_t{truth.count}).key("hash").text(truth.hash);
      if (with_rows) {
        json.key("rows").begin_array();
        for (const auto& [key, hash] : rows) json.begin_object().key("key").text(key).key("hash").text(hash).end_object();
        json.end_array();
      }
      json.end_object();
    }
  co_return json.end_array().answer();
}

ServerResponse stats(const World& world) {
  Json json;
  json.begin_object().key("token_calls").number(world.token_calls).key("unauthorized").number(world.unauthorized);
  if (world.options.quota_of_app)
    json.key("max_calls_in_one_second").number(std::uint64_t{world.app_quota.max_calls_in_one_second()});
  json.key("tenants").begin_array();
  for (const auto& [tenant, s] : world.tenants) {
    json.begin_object().key("app").text("acme").key("tenant").number(tenant).key("calls").number(s.calls).key("ok").number(s.ok);
    json.key("refused_429").number(s.refused).key("max_calls_in_one_second");
    json.number(std::uint64_t{s.quota.max_calls_in_one_second()});
    json.key("report_runs_held").number(std::uint64_t{s.reports.under_way()}).end_object();
  }
  json.end_array().key("resources").begin_object();
  for (const auto& [name, calls] : world.resource_calls) json.key(name).number(calls);
  return json.end_object().end_object().answer();
}

ServerResponse fetches(const World& world) {
  Json json;
  json.begin_array();
  for (const auto& [whose, pages] : world.fetches) {
    std::uint64_t requests = 0;
    for (const auto& [page, count] : pages) requests += count;
    json.begin_object().key("tenant").number(whose.first).key("resource").text(whose.second);
    json.key("requests").number(requests).key("distinct").number(std::uint64_t{pages.size()}).key("repeated").begin_array();
    std::size_t named = 0;
    for (const auto& [page, count] : pages) {
      if (count < 2 || named++ == kMaxRepeated) continue;
      json.begin_object().key("page").text(page).key("count").number(count).end_object();
    }
    json.end_array().end_object();
  }
  return json.end_array().answer();
}

ServerResponse list_faults(const World& world) {
  Json json;
  json.begin_array();
  for (const auto& fault : world.faults.active()) {
    json.begin_object().key("count").number(fault.count).key("path_contains").text(fault.path_contains);
    json.key("status").number(std::int64_t{fault.status}).end_object();
  }
  return json.end_array().answer();
}

using Data = std::vector<std::pair<TenantWorld*, Dataset*>>;

/// The rows of a tenant (0: all) and a resource (empty: all that have been read).
Data find_data(World& world, std::int64_t tenant, const std::string& resource) {
  Data out;
  for (auto* t : world.find_tenants(tenant)) {
    if (resource.empty())
      for (auto* dataset : t->store.made()) out.emplace_back(t, dataset);
    else if (const auto* r = Schema::get().find(resource))
      out.emplace_back(t, &t->store.of(*r));
  }
  return out;
}

ServerResponse enlarge(World& world, const Fields& fields) {
  const auto bytes = natural(fields, "oversize_record", 0);
  const auto tenant = natural(fields, "tenant", world.options.tenants.front());
  if (!bytes || !tenant || *bytes > kMaxExtra) return bad_request("oversize_record (at most 1 GiB) and tenant are numbers");
  const auto datasets = find_data(world, *tenant, text_of(fields, "resource", "jpm.jobs"));
  if (datasets.empty()) return bad_request("no such tenant or resource");
  for (const auto& [store, dataset] : datasets) dataset->enlarge(static_cast<std::size_t>(*bytes));
  return list_faults(world);
}

ServerResponse set_fault(World& world, const Fields& fields) {
  if (fields.contains("clear")) {
    world.faults.clear();
    return list_faults(world);
  }
  if (fields.contains("oversize_record")) return enlarge(world, fields);
  const auto added = world.faults.add(fields);
  return added ? list_faults(world) : bad_request(added.error().message());
}

ServerResponse touch(World& world, const Fields& fields) {
  const auto count = natural(fields, "count", 1);
  const auto minutes = natural(fields, "minutes_ago", 20);
  const auto tenant = natural(fields, "tenant", 0);
  if (!count || !minutes || !tenant) return bad_request("tenant, count and minutes_ago are numbers");
  const auto datasets = find_data(world, *tenant, text_of(fields, "resource"));
  if (datasets.empty()) return bad_request("no such tenant or resource");
  const auto modified = to_ticks(world.clock.wall_now() - std::chrono::minutes(*minutes));
  std::uint64_t touched = 0;
  for (const auto& [store, dataset] : datasets)
    for (auto some = std::min<std::uint64_t>(static_cast<std::uint64_t>(*count), dataset->base()); some > 0; --some, ++touched) {
      const auto row = dataset->next_in_turn();
      dataset->change({&row, 1}, modified);
    }
  std::string time;
  append_time(time, modified);
  return Json().begin_object().key("touched").number(touched).key("modifiedOn").text(time).end_object().answer();
}

ServerResponse churn_some(World& world, const Fields& fields) {
  const auto count = natural(fields, "count", 1), tenant = natural(fields, "tenant", 0), seed = natural(fields, "seed", 1);
  const auto rate = natural(fields, "per_second", 0);
  if (!count || !tenant || !seed || !rate || *rate > kMaxChurn)
    return bad_request("tenant, count, seed and per_second are numbers");
  const bool only_changes = text_of(fields, "only_changes") == "true";
  if (fields.contains("per_second")) {
    const auto resource = text_of(fields, "resource");
    if (World::find_resources(resource).empty()) return bad_request("no such resource");
    world.churn = {static_cast<double>(*rate), resource, only_changes};
    return Json().begin_object().key("per_second").number(*rate).end_object().answer();
  }
  const auto datasets = find_data(world, *tenant, text_of(fields, "resource"));
  if (datasets.empty()) return bad_request("no such tenant or resource");
  Churned sum;
  for (const auto& [t, dataset] : datasets) {
    const auto some = churn(t->store, *dataset, static_cast<std::size_t>(*count), static_cast<std::uint64_t>(*seed),
                            to_ticks(world.clock.wall_now()), only_changes);
    sum.changed += some.changed;
    sum.vanished += some.vanished;
    sum.appeared += some.appeared;
  }
  Json json;
  json.begin_object().key("changed").number(std::uint64_t{sum.changed}).key("vanished").number(std::uint64_t{sum.vanished});
  return json.key("appeared").number(std::uint64_t{sum.appeared}).end_object().answer();
}

ServerResponse access(World& world, const Fields& fields) {
  const auto tenant = natural(fields, "tenant", 0);
  const auto tenants = world.find_tenants(tenant.value_or(-1));
  if (tenants.empty()) return bad_request("no such tenant");
  for (auto* t : tenants) {
    if (fields.contains("without")) t->access.take(fields.at("without"));
    if (fields.contains("with")) t->access.give(fields.at("with"));
  }
  return Json().begin_object().end_object().answer();
}

ServerResponse refresh(World& world, const Fields& fields) {
  const auto tenant = natural(fields, "tenant", 0);
  const auto records = natural(fields, "records", static_cast<std::int64_t>(world.options.records));
  const auto tenants = world.find_tenants(tenant.value_or(-1));
  if (tenants.empty() || !records || *records > INT32_MAX) return bad_request("no such tenant, or records is no number");
  for (auto* t : tenants) {
    t->feed_seed = mix(t->feed_seed, std::uint64_t{1});
    const auto id = t->store.tenant();
    t->store = Store(id, t->feed_seed, static_cast<Dataset::Index>(*records), world.writers, &world.watcher);
    std::erase_if(world.truths, [id](const auto& known) { return known.first.first == id; });
    std::erase_if(world.answered, [id](const auto& known) { return known.first.first == id; });
  }
  world.cache.clear();
  return Json().begin_object().end_object().answer();
}

ServerResponse forget_fetches(World& world, const Fields& fields) {
  if (text_of(fields, "clear") != "true") return bad_request("'clear' is true");
  world.fetches.clear();
  return fetches(world);
}

ServerResponse layout(World& world, const Fields& fields) {
  for (auto* tenant : world.find_tenants(natural(fields, "tenant", 0).value_or(-1))) tenant->reports.swapped = true;
  return Json().begin_object().end_object().answer();
}

/// Files: their address is all one needs, and credentials are for nobody else's eyes.
ServerResponse storage(const ServerRequest& request) {
  if (http::find_header(request.headers, "Authorization") != nullptr || http::find_header(request.headers, "ST-App-Key") != nullptr)
    return bad_request("credentials were sent to the storage");
  const auto name = std::string_view(request.path).substr(request.path.rfind('/') + 1);
  std::uint64_t seed = 0;
  std::from_chars(name.data(), name.data() + name.size(), seed, 16);
  ServerResponse response;
  response.content_type = "application/octet-stream";
  response.body = file_bytes(seed);
  return response;
}

}  // namespace

void churn_everywhere(World& world, std::uint64_t seed) {
  for (auto& [id, tenant] : world.tenants) {
    auto made = tenant.store.made();
    if (!world.churn.resource.empty()) {
      made.clear();
      for (const auto* resource : World::find_resources(world.churn.resource)) made.push_back(&tenant.store.of(*resource));
    }
    if (made.empty()) continue;
    const auto which = mix(seed, static_cast<std::uint64_t>(id));
    churn(tenant.store, *made[which % made.size()], 1, mix(which, std::uint64_t{1}), to_ticks(world.clock.wall_now()),
          world.churn.only_changes);
  }
}

core::Result<void> set_faults(World& world, std::string_view json) {
  if (!json.starts_with('[')) {
    const auto fields = parse_flat(json);
    return fields ? world.faults.add(*fields) : core::Result<void>(core::fail(fields.error()));
  }
  const auto page = codec::cut_page(json, {});
  if (!page) return core::fail(page.error());
  for (const auto& record : page->records) {
    const auto fields = parse_flat(record.bytes.in(json));
    if (!fields) return core::fail(fields.error());
    if (auto added = world.faults.add(*fields); !added) return added;
  }
  return {};
}

asio::awaitable<ServerResponse> answer_control(World& world, ServerRequest request) {
  const auto is = [&request](std::string_view method, std::string_view path) {
    return request.method == method && request.path == path;
  };
  if (is("GET", "/__sim/truth")) {
    Fields query;
    for (auto& [name, value] : http::parse_query(request.query)) query[name] = value;
    co_return co_await truth(world, std::move(query));
  }
  if (is("GET", "/__sim/stats")) co_return stats(world);
  if (is("GET", "/__sim/fetches")) co_return fetches(world);
  if (is("GET", "/__sim/faults")) co_return list_faults(world);
  if (is("GET", "/__sim/webhooks")) co_return tell_webhooks(world);
  if (is("POST", "/__sim/faults") && request.body.starts_with('[')) {
    const auto set = set_faults(world, request.body);
    co_return set ? list_faults(world) : bad_request(set.error().message());
  }
  if (is("GET", request.path) && request.path.starts_with("/__sim/storage/")) co_return storage(request);
  using Change = ServerResponse (*)(World&, const Fields&);
  static constexpr std::array<std::pair<std::string_view, Change>, 8> changes{{{"/__sim/faults", set_fault},
                                                                               {"/__sim/touch", touch},
                                                                               {"/__sim/churn", churn_some},
                                                                               {"/__sim/access", access},
                                                                               {"/__sim/refresh", refresh},
                                                                               {"/__sim/fetches", forget_fetches},
                                                                               {"/__sim/layout", layout},
                                                                               {"/__sim/webhooks", set_webhooks}}};
  for (const auto& [path, change] : changes) {
    if (!is("POST", path)) continue;
    const auto fields = parse_flat(request.body.empty() ? "{}" : std::string_view(request.body));
    co_return fields ? change(world, *fields) : bad_request(fields.error().message());
  }
  auto response = bad_request("no such control endpoint");
  response.status = 404;
  co_return response;
}

}  // namespace stsync::sim
