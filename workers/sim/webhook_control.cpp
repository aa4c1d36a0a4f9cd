#include "sim/control.hpp"
#include "sim/world.hpp"

namespace stsync::sim {
namespace {

void write_time(Json& json, std::string_view name, const std::optional<core::WallTime>& time) {
  json.key(name);
  time ? json.number(std::int64_t{time->time_since_epoch().count()}) : json.null();
}

void write(Json& json, const WebhookRecord& record) {
  const auto& event = record.event;
  json.begin_object().key("userassignedid").text(event.id).key("type").text(event.type).key("tenant").number(event.tenant);
  json.key("id").text(event.entity);
  write_time(json, "time_ms", event.time);
  write_time(json, "first_sent_ms", record.first_sent);
  write_time(json, "accepted_ms", record.accepted);
  json.key("tries").number(std::uint64_t{record.tries}).end_object();
}

http::ServerResponse replay(World& world, const std::string& what) {
  auto& webhooks = *world.webhooks;
  if (what == "all")
    return Json().begin_object().key("replayed").number(std::uint64_t{webhooks.replay_all()}).end_object().answer();
  if (!webhooks.replay(what)) return bad_request("no event of this id is remembered, or too many wait");
  return Json().begin_object().key("replayed").number(std::uint64_t{1}).end_object().answer();
}

}  // namespace

http::ServerResponse tell_webhooks(const World& world) {
  const auto& webhooks = *world.webhooks;
  const auto& counts = webhooks.outbox().counts();
  Json json;
  json.begin_object().key("told").number(counts.events).key("sent").number(counts.sent).key("accepted").number(counts.accepted);
  json.key("retried").number(counts.retried).key("given_up").number(counts.given_up);
  json.key("waiting").number(std::uint64_t{webhooks.outbox().waiting()});
  json.key("under_way").number(std::uint64_t{webhooks.under_way()}).key("events").begin_array();
  for (const auto& record : webhooks.outbox().remembered()) write(json, *record);
  return json.end_array().end_object().answer();
}

http::ServerResponse set_webhooks(World& world, const Fields& fields) {
  if (const auto what = fields.find("replay"); what != fields.end())
    return fields.size() == 1 ? replay(world, what->second) : bad_request("'replay' stands alone");
  auto settings = changed_settings(world.webhooks->settings(), fields);
  if (!settings) return bad_request(settings.error().message());
  if (const auto good = world.webhooks->configure(std::move(*settings)); !good) return bad_request(good.error().message());
  return tell_webhooks(world);
}

}  // namespace stsync::sim
