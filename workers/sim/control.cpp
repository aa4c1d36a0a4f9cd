#include <algorithm>

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/text.hpp"
#include "sim/flat_json.hpp"
#include "sim/world.hpp"

namespace stsync::sim {
namespace {

namespace asio = boost::asio;
using http::ServerRequest;
using http::ServerResponse;

constexpr std::size_t kTruthStep = 2000;   // rows between two looks at other requests
constexpr std::size_t kMaxRepeated = 100;  // pages named in /__sim/fetches

/// RapidJSON's writer with the types of this house.
class Json {
 public:
  Json& begin_object() { return writer_.StartObject(), *this; }
  Json& end_object() { return writer_.EndObject(), *this; }
  Json& begin_array() { return writer_.StartArray(), *this; }
  Json& end_array() { return writer_.EndArray(), *this; }
  Json& key(std::string_view name) { return writer_.Key(name.data(), static_cast<rapidjson::SizeType>(name.size())), *this; }
  Json& text(std::string_view s) { return writer_.String(s.data(), static_cast<rapidjson::SizeType>(s.size())), *this; }
  Json& number(std::uint64_t n) { return writer_.Uint64(n), *this; }
  Json& number(std::int64_t n) { return writer_.Int64(n), *this; }
  ServerResponse answer() const {
    ServerResponse response;
    response.body.assign(out_.GetString(), out_.GetSize());
    return response;
  }

 private:
  rapidjson::StringBuffer out_;
  rapidjson::Writer<rapidjson::StringBuffer> writer_{out_};
};

ServerResponse bad_request(std::string_view message) {
  auto response = Json().begin_object().key("error").text(message).end_object().answer();
  response.status = 400;
  return response;
}

using Fields = std::map<std::string, std::string>;

std::string text_of(const Fields& fields, const std::string& name, std::string otherwise = {}) {
  const auto at = fields.find(name);
  return at == fields.end() ? std::move(otherwise) : at->second;
}

constexpr std::int64_t kMaxNumber = 1'000'000'000'000;
constexpr std::int64_t kMaxExtra = 1 << 30;  // bytes a record may grow by

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
  for (auto* dataset : world.find(natural(query, "tenant", 0).value_or(-1), text_of(query, "resource"))) {
    while (!dataset->advance_truth(kTruthStep)) co_await asio::post(world.loop, asio::use_awaitable);
    json.begin_object().key("tenant").number(dataset->tenant()).key("resource").text(dataset->resource().name);
    json.key("count").number(std::uint64_t{dataset->size()}).key("hash").text(dataset->truth().hex()).end_object();
  }
  co_return json.end_array().answer();
}

ServerResponse stats(const World& world) {
  Json json;
  json.begin_object().key("token_calls").number(world.token_calls).key("unauthorized").number(world.unauthorized);
  json.key("tenants").begin_array();
  for (const auto& [tenant, s] : world.stats) {
    json.begin_object().key("app").text("acme").key("tenant").number(tenant).key("calls").number(s.calls).key("ok").number(s.ok);
    json.key("refused_429").number(s.refused).key("max_calls_in_one_second");
    json.number(std::uint64_t{s.quota.max_calls_in_one_second()}).end_object();
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

ServerResponse enlarge(World& world, const Fields& fields) {
  const auto bytes = natural(fields, "oversize_record", 0);
  const auto tenant = natural(fields, "tenant", world.options.tenants.front());
  if (!bytes || !tenant || *bytes > kMaxExtra) return bad_request("oversize_record (at most 1 GiB) and tenant are numbers");
  const auto datasets = world.find(*tenant, text_of(fields, "resource", "jpm.jobs"));
  if (datasets.empty()) return bad_request("no such tenant or resource");
  for (auto* dataset : datasets) dataset->enlarge(static_cast<std::size_t>(*bytes));
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
  const auto datasets = world.find(*tenant, text_of(fields, "resource"));
  if (datasets.empty()) return bad_request("no such tenant or resource");
  const auto modified = to_ticks(world.clock.wall_now() - std::chrono::minutes(*minutes));
  std::uint64_t touched = 0;
  for (auto* dataset : datasets) {
    const auto some = std::min<std::uint64_t>(static_cast<std::uint64_t>(*count), dataset->size());
    dataset->touch(some, modified);
    touched += some;
  }
  std::string time;
  append_time(time, modified);
  return Json().begin_object().key("touched").number(touched).key("modifiedOn").text(time).end_object().answer();
}

}  // namespace

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
  const bool sets_fault = is("POST", "/__sim/faults");
  if (sets_fault || is("POST", "/__sim/touch")) {
    const auto fields = parse_flat(request.body.empty() ? "{}" : std::string_view(request.body));
    if (!fields) co_return bad_request(fields.error().message());
    co_return sets_fault ? set_fault(world, *fields) : touch(world, *fields);
  }
  auto response = bad_request("no such control endpoint");
  response.status = 404;
  co_return response;
}

}  // namespace stsync::sim
