#pragma once
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "config/config.hpp"
#include "http/message.hpp"
#include "kafka/message.hpp"
#include "servicetitan/catalogue.hpp"
#include "stsync/v1/command.pb.h"
#include "webhook/event.hpp"
#include "webhook/signature.hpp"

namespace stsync::webhook {

/// What became of a request: the label of the metric.
enum class Outcome {
  stored,          ///< event and commands are in Kafka
  unknown_tenant,  ///< the event alone is: its tenant is not configured, or cannot be read
  unknown_type,    ///< the event alone is: nothing is known to be read for it
  bad_signature,
  bad_event,   ///< signed well, and no CloudEvent
  refused,     ///< by its method or encoding
  shed,        ///< too much is under way
  peer_limit,  ///< too much of this peer is
  kafka,       ///< Kafka is away, or did not acknowledge
};
std::string_view to_string(Outcome outcome) noexcept;

/// What the ingress has under way when a request comes.
struct Load {
  bool full = false;        ///< as many events are on their way to Kafka as may be
  bool peer_full = false;   ///< of this peer
  bool kafka_away = false;  ///< nothing would be acknowledged
};

/// Why a request is not even read.
struct Refused {
  std::string app;  ///< empty: none of ours
  int status = 404;
  std::optional<Outcome> outcome;  ///< nothing: it is no app's
};

/// What to do about a request that is whole.
struct Verdict {
  int status = 200;  ///< once the messages are stored
  Outcome outcome = Outcome::stored;
  std::string why;  ///< for a log: nothing of the body but what an error may say
  std::string event, type;
  std::optional<std::int64_t> tenant;
  std::vector<std::string> commands;          ///< ids
  std::vector<kafka::OwnedMessage> messages;  ///< the event, then its commands
};

/// Everything the ingress decides. Pure: it touches no socket, clock or Kafka.
class Rules {
 public:
  Rules(const config::Config& config, const servicetitan::Catalogue& catalogue);

  /// By path, method and header alone, before a body is read. Nothing: read it.
  std::optional<Refused> look(std::string_view method, std::string_view path, const http::Headers& headers, const Load& load) const;
  /// `secrets`: the app's live ones. The body goes into the message as it came.
  Verdict decide(const std::string& app, std::span<const core::Secret> secrets, const http::Headers& headers,
                 std::string body) const;

  /// Names of the apps that are served: those with signing secrets.
  const std::vector<std::string>& apps() const noexcept { return apps_; }
  /// "acme" of "/webhooks/acme"; nothing: no app that is served.
  const std::string* app_of(std::string_view path) const noexcept;

 private:
  std::vector<kafka::OwnedMessage> commands_of(const std::string& app, const EventType& type, const Event& event,
                                               Verdict& verdict) const;

  const config::Topics topics_;
  const std::string signature_header_;
  const SignatureScheme scheme_;
  std::vector<std::string> apps_;
  std::unordered_set<std::string> tenants_;  ///< "acme:1001"
  std::map<std::string, std::vector<v1::Mode>, std::less<>>
      modes_;  ///< of the resources that events name: what they can be read by
};

}  // namespace stsync::webhook
