#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/stop.hpp"
#include "http/client.hpp"
#include "http/message.hpp"
#include "sim/webhook_outbox.hpp"
#include "sim/webhook_settings.hpp"

namespace stsync::sim {

/// Sends what its outbox says over a few keep-alive connections. 2xx is a yes; any other answer, none in time or a broken
/// connection a no. What waits when it is stopped is lost with it. Loop thread only.
class WebhookSender : public std::enable_shared_from_this<WebhookSender> {
 public:
  /// Nothing is sent before configure(). The waits between tries pass `time_scale` times faster.
  WebhookSender(boost::asio::any_io_executor loop, core::Clock& clock, std::string app, std::uint64_t seed, double time_scale);

  /// Whether there is a receiver: without one nothing is to be told.
  bool wanted() const noexcept { return !stopping_ && client_ != nullptr; }
  /// From the next request on. bad_config: the CA file cannot be used; bad_data: the URL. All is as before then.
  core::Result<void> configure(WebhookSettings settings);
  const WebhookSettings& settings() const noexcept { return settings_; }

  void tell(WebhookEvent event);
  bool replay(const std::string& event);
  std::size_t replay_all();
  const WebhookOutbox& outbox() const noexcept { return outbox_; }
  std::size_t under_way() const noexcept { return under_way_; }

  /// Sends nothing more and breaks requests under way off.
  void request_stop();
  /// The same, and ends when none is left.
  boost::asio::awaitable<void> stop();

 private:
  static boost::asio::awaitable<void> run(std::shared_ptr<WebhookSender> self);
  static boost::asio::awaitable<void> deliver(std::shared_ptr<WebhookSender> self, WebhookOutbox::Delivery delivery);
  boost::asio::awaitable<bool> post(const WebhookOutbox::Delivery& delivery);
  void start_what_is_due();

  boost::asio::any_io_executor loop_;
  core::Clock& clock_;
  std::string app_;
  double time_scale_;
  WebhookSettings settings_;
  WebhookOutbox outbox_;
  std::shared_ptr<http::Client> client_;
  http::Url url_;
  core::StopSource stop_;
  std::unique_ptr<core::Signal> changed_, ended_;
  std::size_t under_way_ = 0;
  bool running_ = false, stopping_ = false;
};

}  // namespace stsync::sim
