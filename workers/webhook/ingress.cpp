#include "webhook/ingress.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "http/probes.hpp"
#include "telemetry/log.hpp"
#include "webhook/peer.hpp"

namespace stsync::webhook {

using core::ErrorKind;
using core::Result;
using telemetry::Level;
using namespace std::chrono_literals;

namespace {

constexpr core::Duration kAnswerWithin = 7'900ms;  // senders are told 503 within 8 s
constexpr core::Duration kProbeEvery = 2s;
constexpr core::Duration kProbeAgain = 500ms;  // while Kafka is away: senders wait for its return
constexpr auto kProbeTimeout = 3s;
constexpr core::Duration kEndAgain = 10ms;
constexpr int kLogEvery = 10;  // seconds, of each sort of refusal

std::string_view type_label(std::string_view type) { return find_type(type) != nullptr ? type : "other"; }

/// One more, as long as it lives.
class Count {
 public:
  explicit Count(std::size_t& n) : n_(n) { ++n_; }
  Count(const Count&) = delete;
  Count& operator=(const Count&) = delete;
  ~Count() { --n_; }

 private:
  std::size_t& n_;
};

/// The same of a peer, which is forgotten with its last.
class PeerCount {
 public:
  PeerCount(std::unordered_map<std::string, std::size_t>& all, std::string peer) : all_(all), peer_(std::move(peer)) {
    ++all_[peer_];
  }
  PeerCount(const PeerCount&) = delete;
  PeerCount& operator=(const PeerCount&) = delete;
  ~PeerCount() {
    if (const auto it = all_.find(peer_); --it->second == 0) all_.erase(it);
  }

 private:
  std::unordered_map<std::string, std::size_t>& all_;
  std::string peer_;
};

}  // namespace

Ingress::Ingress(boost::asio::any_io_executor loop, core::Clock& clock, const config::Config& config,
                 const servicetitan::Catalogue& catalogue, telemetry::Metrics& metrics, kafka::AsyncProducer& producer)
    : loop_(loop),
      clock_(clock),
      config_(config),
      metrics_(metrics),
      producer_(producer),
      rules_(config, catalogue),
      tasks_(loop, clock) {}

boost::asio::awaitable<Result<void>> Ingress::run(core::StopToken stop) {
  const auto on_stop = stop.on_stop([this] { ending_.request_stop(); });
  if (auto ok = start(); !ok) co_return ok;
  tasks_.spawn("kafka watch", watch_kafka());
  if (certificate_) tasks_.spawn("certificate watch", certificate_->keep(*server_, ending_.token()));
  const auto ended = clock_.make_signal();
  const auto on_end = ending_.token().on_stop([&ended] { ended->notify(); });
  while (!ending_.stop_requested()) co_await ended->wait();
  telemetry::log(Level::info, "webhook_stopping", "no further connections; events under way are stored",
                 {{"in_flight", in_flight_}, {"connections", server_->connections()}});
  co_await server_->stop(config_.worker.drain_timeout * 8 / 10);
  co_await tasks_.join();
  co_await probes_->stop(1s);
  // Whoever still waits for Kafka has his answer within kAnswerWithin, and comes back to this object.
  while (in_flight_ > 0 || server_->connections() > 0) co_await clock_.sleep_for(kEndAgain);
  if (failure_) co_return core::fail(*failure_);
  co_return Result<void>();
}

Result<void> Ingress::start() {
  for (const auto& app : config_.apps) {
    if (!app.webhook_secret_files.empty()) {
      secrets_.emplace(app.name, SecretFiles(app.name, app.webhook_secret_files));
      metrics_.webhook_app(app.name);
      continue;
    }
    telemetry::log(Level::warn, "webhook_app_not_served", "it has no webhook_secret_files", {{"app", app.name}});
  }
  if (rules_.apps().empty()) return core::fail(ErrorKind::bad_config, "no app has webhook_secret_files: there is nothing to serve");
  auto options = server_options();
  if (!options) return core::fail(options.error());
  auto server =
      http::start_server(loop_, clock_, std::move(*options), [this](http::ServerRequest r) { return serve(std::move(r)); });
  if (!server) return core::fail(server.error().within("starting the webhook server"));
  server_ = std::move(*server);
  http::ServerOptions probes;
  probes.listen = config_.telemetry.listen;
  auto telemetry = http::start_server(loop_, clock_, std::move(probes),
                                      http::probes([this] { return render_metrics(); }, [this] { return ready(); }));
  if (!telemetry) return core::fail(telemetry.error().within("starting the telemetry server"));
  probes_ = std::move(*telemetry);
  telemetry::log(Level::info, "webhook_started", "serving",
                 {{"url", url()},
                  {"telemetry", telemetry_url()},
                  {"apps", fmt::format("{}", fmt::join(rules_.apps(), ","))},
                  {"library", kafka::library_version()}});
  return {};
}

Result<http::ServerOptions> Ingress::server_options() {
  const auto& webhook = config_.webhook;
  auto proxies = config::Networks::parse(webhook.trusted_proxies);
  if (!proxies) return core::fail(proxies.error());
  proxies_ = std::move(*proxies);
  http::ServerOptions out;
  out.listen = webhook.listen;
  if (webhook.tls) {
    certificate_.emplace(clock_, *webhook.tls, metrics_);
    auto tls = certificate_->read();
    if (!tls) return core::fail(tls.error());
    out.tls = std::move(*tls);
  }
  out.max_body = webhook.max_body;
  out.max_header = 16u << 10;
  out.max_connections = static_cast<std::size_t>(webhook.max_connections);
  out.idle_timeout = 15s;
  out.request_timeout = 15s;
  out.max_uri = 2u << 10;
  out.max_headers = 64;
  out.max_bodies = webhook.max_memory;
  out.max_connections_per_peer = static_cast<std::size_t>(webhook.max_connections_per_peer);
  out.exempt = [this](const std::string& address) { return proxies_.contain(address); };
  out.make_room = true;
  out.handshake_timeout = 5s;
  out.header_timeout = 5s;
  out.body_timeout = 10s;
  out.min_body_rate = 500;
  out.admit = [this](const http::ServerRequest& head) { return admit(head); };
  out.on_refusal = [this](http::Refusal refusal) { metrics_.webhook_refusal(http::to_string(refusal)); };
  return out;
}

Load Ingress::load_for(const std::string& peer) const {
  // Behind a proxy connections say nothing of peers; their requests do.
  const auto it = of_peer_.find(peer);
  return {.full = in_flight_ >= static_cast<std::size_t>(config_.webhook.max_in_flight),
          .peer_full = it != of_peer_.end() && it->second >= static_cast<std::size_t>(config_.webhook.max_connections_per_peer),
          .kafka_away = kafka_seen_ && !kafka_ready_};
}

std::optional<http::ServerResponse> Ingress::admit(const http::ServerRequest& head) {
  const auto peer = peer_of(head.peer, head.headers, proxies_);
  const auto refused = rules_.look(head.method, head.path, head.headers, load_for(peer));
  if (!refused) return std::nullopt;
  return refuse(*refused, peer);
}

http::ServerResponse Ingress::refuse(const Refused& refused, const std::string& peer) {
  if (refused.outcome) {
    metrics_.webhook(refused.app, to_string(*refused.outcome));
    telemetry::log_rarely(Level::warn, "webhook_refused", kLogEvery, to_string(*refused.outcome),
                          {{"app", refused.app}, {"status", refused.status}, {"peer", peer}});
  } else {
    metrics_.webhook_refusal("not_found");
  }
  http::ServerResponse out;
  out.status = refused.status;
  if (refused.status == 405) out.headers.emplace_back("Allow", "POST");
  if (refused.status == 503 || refused.status == 429) out.headers.emplace_back("Retry-After", "5");
  out.body = "{}";
  return out;
}

boost::asio::awaitable<http::ServerResponse> Ingress::serve(http::ServerRequest request) {
  const auto peer = peer_of(request.peer, request.headers, proxies_);
  const auto* app = rules_.app_of(request.path);
  core::check(app != nullptr, "a request of no app was admitted");
  // While its body came, others may have taken what was free.
  if (const auto load = load_for(peer); load.full || load.peer_full)
    co_return refuse({*app, load.full ? 503 : 429, load.full ? Outcome::shed : Outcome::peer_limit}, peer);
  const Count in_flight(in_flight_);
  std::optional<PeerCount> of_peer;
  if (!proxies_.empty()) of_peer.emplace(of_peer_, peer);
  const auto begin = clock_.now();
  auto verdict = rules_.decide(*app, secrets_.find(*app)->second.live(begin), request.headers, std::move(request.body));
  if (!verdict.messages.empty()) {
    verdict = co_await store(std::move(verdict));
    metrics_.webhook_duration(std::chrono::duration<double>(clock_.now() - begin).count());
  }
  tell(*app, verdict, peer);
  http::ServerResponse out;
  out.status = verdict.status;
  if (verdict.status == 503) out.headers.emplace_back("Retry-After", "5");
  out.body = "{}";
  co_return out;
}

/// The verdict's messages into Kafka; without its acknowledgement the answer is another one.
boost::asio::awaitable<Verdict> Ingress::store(Verdict verdict) {
  auto sent = co_await producer_.send(std::move(verdict.messages), kAnswerWithin);
  verdict.messages.clear();
  if (sent) {
    kafka_ready_ = kafka_seen_ = true;
    co_return verdict;
  }
  verdict.status = 503;
  verdict.outcome = Outcome::kafka;
  verdict.why = sent.error().message();
  co_return verdict;
}

void Ingress::tell(const std::string& app, const Verdict& verdict, const std::string& peer) {
  metrics_.webhook(app, to_string(verdict.outcome));
  if (verdict.status != 200)
    return telemetry::log_rarely(Level::warn, fmt::format("webhook_{}", to_string(verdict.outcome)), kLogEvery,
                                 verdict.why.empty() ? std::string_view("refused") : std::string_view(verdict.why),
                                 {{"app", app}, {"status", verdict.status}, {"event", verdict.event}, {"peer", peer}});
  metrics_.webhook_stored(app, type_label(verdict.type));
  telemetry::log(Level::debug, "event_stored", to_string(verdict.outcome),
                 {{"app", app},
                  {"tenant", verdict.tenant.value_or(0)},
                  {"event", verdict.event},
                  {"type", verdict.type},
                  {"command", fmt::format("{}", fmt::join(verdict.commands, ","))}});
}

/// Whether Kafka could take an event. A topic that is not there when Kafka first answers is a mistake to be told, not to wait out.
boost::asio::awaitable<void> Ingress::watch_kafka() {
  const auto signal = clock_.make_signal();
  const auto on_end = ending_.token().on_stop([&signal] { signal->notify(); });
  while (!ending_.stop_requested()) {
    const auto ok = co_await producer_.probe({config_.kafka.topics.webhooks, config_.kafka.topics.commands}, kProbeTimeout);
    if (!ok && ok.error().kind() == ErrorKind::not_found && !kafka_seen_) {
      failure_.emplace(ErrorKind::bad_config, ok.error().message() + ": run 'stsync topics create'");
      ending_.request_stop();
      co_return;
    }
    if (ok && !kafka_ready_) telemetry::log(Level::info, "kafka_ready", "events can be stored");
    if (!ok)
      telemetry::log_rarely(Level::warn, "kafka_unreachable", 60, ok.error().message(),
                            {{"servers", config_.kafka.bootstrap_servers}});
    kafka_ready_ = ok.has_value();
    kafka_seen_ = true;
    if (!ending_.stop_requested()) co_await signal->wait_until(clock_.now() + (kafka_ready_ ? kProbeEvery : kProbeAgain));
  }
}

std::string Ingress::render_metrics() {
  metrics_.webhook_load(in_flight_, server_->connections());
  metrics_.log_lines_dropped(telemetry::log_lines_dropped());
  metrics_.ready(ready());
  return metrics_.render();
}

}  // namespace stsync::webhook
