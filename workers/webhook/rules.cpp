#include "webhook/rules.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <boost/algorithm/string/predicate.hpp>

#include "codec/wire.hpp"
#include "core/text.hpp"
#include "servicetitan/plan.hpp"

namespace stsync::webhook {
namespace {

constexpr std::string_view kPath = "/webhooks/";
/// As much of an id as a header and a log line hold.
constexpr std::size_t kHeaderText = 200;

std::string tenant_key(std::string_view app, std::optional<std::int64_t> tenant) {
  return tenant ? fmt::format("{}:{}", app, *tenant) : fmt::format("{}:", app);
}

bool can_be_read(const servicetitan::Catalogue& catalogue, std::string_view name, v1::Mode mode) {
  const auto* resource = catalogue.find(name);
  v1::Sync sync;
  sync.set_mode(mode);
  return resource != nullptr && servicetitan::check_mode(catalogue, *resource, sync).has_value();
}

bool tells_of_signing(std::string_view header) {
  return boost::algorithm::icontains(header, "sign") || boost::algorithm::icontains(header, "hmac");
}

/// For who sets it up: which of the ways there are not to be signed this is. Names of headers only, never what they hold.
std::string why_unsigned(const std::string& header, const http::Headers& headers) {
  if (http::find_header(headers, header) != nullptr)
    return fmt::format("{} is no signature of the body by a secret of the app", header);
  std::string others;
  for (const auto& [name, value] : headers)
    if (tells_of_signing(name) && others.size() < kHeaderText)
      others += (others.empty() ? "; there is " : ", ") + core::printable(name, kHeaderText);
  return fmt::format("there is no header {}{}", header, others);
}

v1::Command command_for(const std::string& app, const Target& target, const Event& event, v1::Mode mode) {
  v1::Command out;
  // The same for every delivery of an event, so that a lane knows it again.
  out.set_id(core::uuid5(fmt::format("webhook {}/{}/{}/{}", app, *event.tenant, event.id, target.resource)));
  out.set_app(app);
  out.set_tenant(*event.tenant);
  auto& sync = *out.mutable_sync();
  sync.set_resource(std::string(target.resource));
  sync.set_mode(mode);
  sync.set_priority(v1::interactive);
  if (mode == v1::ids) sync.add_ids(event.id_at(*target.id));
  return out;
}

}  // namespace

std::string_view to_string(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::stored:
      return "stored";
    case Outcome::unknown_tenant:
      return "unknown_tenant";
    case Outcome::unknown_type:
      return "unknown_type";
    case Outcome::bad_signature:
      return "bad_signature";
    case Outcome::bad_event:
      return "bad_event";
    case Outcome::refused:
      return "refused";
    case Outcome::shed:
      return "shed";
    case Outcome::peer_limit:
      return "peer_limit";
    case Outcome::kafka:
      return "kafka";
  }
  return "";
}

Rules::Rules(const config::Config& config, const servicetitan::Catalogue& catalogue)
    : topics_(config.kafka.topics),
      signature_header_(config.webhook.signature.header),
      scheme_(SignatureScheme::of(config.webhook.signature)) {
  for (const auto& app : config.apps) {
    if (!app.webhook_secret_files.empty()) apps_.push_back(app.name);
    for (const auto& tenant : app.tenants) tenants_.insert(tenant_key(app.name, tenant.id));
  }
  for (const auto& type : event_types())
    for (const auto& target : type.targets) {
      auto& modes = modes_[std::string(target.resource)];
      modes.clear();  // several types name it
      for (const auto mode : {v1::ids, v1::incremental})
        if (can_be_read(catalogue, target.resource, mode)) modes.push_back(mode);
    }
}

const std::string* Rules::app_of(std::string_view path) const noexcept {
  if (!path.starts_with(kPath)) return nullptr;
  const auto it = std::find(apps_.begin(), apps_.end(), path.substr(kPath.size()));
  return it == apps_.end() ? nullptr : &*it;
}

std::optional<Refused> Rules::look(std::string_view method, std::string_view path, const http::Headers& headers,
                                   const Load& load) const {
  const auto* app = app_of(path);
  if (app == nullptr) return Refused{};
  if (method != "POST") return Refused{*app, 405, Outcome::refused};
  if (load.full) return Refused{*app, 503, Outcome::shed};
  if (load.peer_full) return Refused{*app, 429, Outcome::peer_limit};
  if (load.kafka_away) return Refused{*app, 503, Outcome::kafka};
  // Signed is what was sent: a packed body would have to be unpacked by those who check it again.
  const auto* encoding = http::find_header(headers, "Content-Encoding");
  if (encoding != nullptr && *encoding != "identity") return Refused{*app, 415, Outcome::refused};
  return std::nullopt;
}

Verdict Rules::decide(const std::string& app, std::span<const core::Secret> secrets, const http::Headers& headers,
                      std::string body) const {
  Verdict out;
  if (!is_signed(scheme_, secrets, http::find_header(headers, signature_header_), body)) {
    out.status = 401;
    out.outcome = Outcome::bad_signature;
    out.why = why_unsigned(signature_header_, headers);
    return out;
  }
  auto event = parse_event(body);
  if (!event) {
    out.status = 400;
    out.outcome = Outcome::bad_event;
    out.why = event.error().message();
    return out;
  }
  out.event = core::printable(event->id, kHeaderText);
  out.type = core::printable(event->type, kHeaderText);
  out.tenant = event->tenant;
  const auto* type = find_type(event->type);
  if (!event->tenant || !tenants_.contains(tenant_key(app, event->tenant)))
    out.outcome = Outcome::unknown_tenant;
  else if (type == nullptr)
    out.outcome = Outcome::unknown_type;
  auto commands = out.outcome == Outcome::stored ? commands_of(app, *type, *event, out) : std::vector<kafka::OwnedMessage>();
  if (out.outcome == Outcome::stored && commands.empty()) out.outcome = Outcome::unknown_type;
  const auto* content_type = http::find_header(headers, "Content-Type");
  kafka::OwnedMessage stored{.topic = topics_.webhooks, .key = tenant_key(app, event->tenant), .value = std::move(body)};
  stored.headers.emplace_back("st-event", out.event);
  for (const auto& id : out.commands) stored.headers.emplace_back("st-command", id);
  stored.headers.emplace_back("content-type",
                              content_type != nullptr ? core::printable(*content_type, kHeaderText) : "application/json");
  out.messages.push_back(std::move(stored));
  std::move(commands.begin(), commands.end(), std::back_inserter(out.messages));
  return out;
}

std::vector<kafka::OwnedMessage> Rules::commands_of(const std::string& app, const EventType& type, const Event& event,
                                                    Verdict& verdict) const {
  std::vector<kafka::OwnedMessage> out;
  for (const auto& target : type.targets) {
    const auto modes = modes_.find(target.resource);
    if (modes == modes_.end()) continue;
    const bool named = target.id && !event.id_at(*target.id).empty();
    const auto mode = std::find_if(modes->second.begin(), modes->second.end(), [&](v1::Mode m) { return m != v1::ids || named; });
    if (mode == modes->second.end()) continue;
    const auto command = command_for(app, target, event, *mode);
    verdict.commands.push_back(command.id());
    out.push_back({.topic = topics_.commands,
                   .key = tenant_key(app, event.tenant),
                   .value = codec::to_json(command),
                   .headers = {{"st-event", verdict.event}}});
  }
  return out;
}

}  // namespace stsync::webhook
