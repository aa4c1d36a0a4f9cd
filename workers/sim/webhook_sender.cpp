#include "sim/webhook_sender.hpp"

#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace stsync::sim {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kMaxAnswer = 64u << 10;

}  // namespace

WebhookSender::WebhookSender(asio::any_io_executor loop, core::Clock& clock, std::string app, std::uint64_t seed, double time_scale)
    : loop_(std::move(loop)),
      clock_(clock),
      app_(std::move(app)),
      time_scale_(time_scale),
      outbox_(seed, {}),
      changed_(clock.make_signal()),
      ended_(clock.make_signal()) {}

core::Result<void> WebhookSender::configure(WebhookSettings settings) {
  std::shared_ptr<http::Client> client;
  if (!settings.url.empty()) {
    auto url = http::parse_url(callback_url(settings, app_));
    if (!url) return core::fail(url.error());
    auto made = http::make_client(loop_, clock_,
                                  {.ca_file = settings.ca_file,
                                   .connect_timeout = settings.timeout,
                                   .handshake_timeout = settings.timeout,
                                   .user_agent = "stsync-sim"});
    if (!made) return core::fail(made.error());
    client = std::move(*made);
    url_ = std::move(*url);
  }
  client_ = std::move(client);  // requests under way keep the one before
  settings_ = std::move(settings);
  outbox_.retry_scale = settings_.retry_scale * time_scale_;
  outbox_.duplicates = settings_.duplicates;
  if (client_ && !std::exchange(running_, true)) asio::co_spawn(loop_, run(shared_from_this()), asio::detached);
  changed_->notify();
  return {};
}

void WebhookSender::tell(WebhookEvent event) {
  if (!wanted()) return;
  outbox_.add(std::move(event), clock_.now());
  changed_->notify();
}

bool WebhookSender::replay(const std::string& event) {
  const bool known = outbox_.replay(event, clock_.now());
  changed_->notify();
  return known;
}

std::size_t WebhookSender::replay_all() {
  const auto events = outbox_.replay_all(clock_.now());
  changed_->notify();
  return events;
}

void WebhookSender::request_stop() {
  stopping_ = true;
  stop_.request_stop();
  changed_->notify();
}

asio::awaitable<void> WebhookSender::stop() {
  request_stop();
  while (running_ || under_way_ > 0) co_await ended_->wait();
  client_.reset();
}

asio::awaitable<void> WebhookSender::run(std::shared_ptr<WebhookSender> self) {
  while (!self->stopping_) {
    self->start_what_is_due();
    const auto due = self->outbox_.next_due();
    const bool room = self->client_ && self->under_way_ < self->settings_.connections;
    if (due && room)
      co_await self->changed_->wait_until(*due);
    else
      co_await self->changed_->wait();
  }
  self->running_ = false;
  self->ended_->notify();
}

void WebhookSender::start_what_is_due() {
  while (client_ && under_way_ < settings_.connections) {
    auto delivery = outbox_.take(clock_.now(), clock_.wall_now());
    if (!delivery) return;
    ++under_way_;
    asio::co_spawn(loop_, deliver(shared_from_this(), std::move(*delivery)), asio::detached);
  }
}

asio::awaitable<void> WebhookSender::deliver(std::shared_ptr<WebhookSender> self, WebhookOutbox::Delivery delivery) {
  const bool accepted = co_await self->post(delivery);
  --self->under_way_;
  self->outbox_.finish(std::move(delivery), accepted, self->clock_.now(), self->clock_.wall_now());
  self->changed_->notify();
  self->ended_->notify();
}

asio::awaitable<bool> WebhookSender::post(const WebhookOutbox::Delivery& delivery) {
  const auto client = client_;
  const auto url = url_;
  http::Request request;
  request.method = "POST";
  request.target = url.target;
  request.body = cloud_event(delivery.record->event, delivery.id);
  request.headers.emplace_back("Content-Type", "application/json");
  if (!settings_.secret.empty()) request.headers.emplace_back(settings_.header, sign(settings_, request.body));
  const http::ExchangeLimits limits{.first_byte = settings_.timeout, .total = settings_.timeout, .max_body = kMaxAnswer};
  // A keep-alive connection that the receiver has closed meanwhile is no answer: then once more over a new one.
  for (const bool fresh : {false, true}) {
    const auto connection = co_await client->connect(url.origin, fresh, stop_.token());
    if (!connection) co_return false;
    const auto response = co_await (*connection)->exchange(request, limits, stop_.token());
    if (response) co_return response->status / 100 == 2;
    if (fresh || !(*connection)->stale()) co_return false;
  }
  co_return false;
}

}  // namespace stsync::sim
