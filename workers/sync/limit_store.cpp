#include "sync/limit_store.hpp"

#include <fmt/format.h>

#include "config/store_url.hpp"
#include "limits/pacer.hpp"
#include "limits/redis_store.hpp"
#include "telemetry/log.hpp"

namespace stsync::sync {

using limits::SharedPace;
using telemetry::Level;

namespace {
constexpr int kTellFailures = 30;  // seconds
}

LimitStore::LimitStore(boost::asio::any_io_executor loop, core::Clock& clock, const config::Config& config,
                       telemetry::Metrics& metrics)
    : loop_(std::move(loop)), clock_(clock), config_(config), metrics_(metrics) {}

core::Result<void> LimitStore::open(const std::string& member, limits::Limiter& limiter, tokens::PacedGate& gate) {
  limiter_ = &limiter;
  gate_ = &gate;
  if (!config_.shares_limits()) return {};
  limits::RedisStore::Settings settings;
  auto address = config::parse_store_url(config_.limits_store);
  if (!address) return core::fail(address.error().within("limits.store"));
  settings.address = std::move(*address);
  settings.member = member;
  if (config_.limits_password.set()) {
    auto password = config_.limits_password.read();
    if (!password) return core::fail(password.error());
    settings.password = std::move(*password);
  }
  telemetry::log(Level::info, "limit_store", "limits are shared", {{"store", settings.address.text()}});
  limits::SharedLimits::Hooks hooks;
  hooks.changed = [this] {
    limiter_->changed();
    gate_->changed();
  };
  hooks.switched = [this](const std::string& limit, SharedPace::Mode mode) { switched(limit, mode); };
  hooks.trip_failed = [this](const core::Error& error) {
    metrics_.limit_store_failure();
    telemetry::log_rarely(Level::warn, "limit_store_unreachable", kTellFailures, error.message());
  };
  shared_ = std::make_unique<limits::SharedLimits>(loop_, clock_, std::make_unique<limits::RedisStore>(clock_, std::move(settings)),
                                                   std::move(hooks));
  limiter.on_demand([this](const limits::Pace& pace) { shared_->look(pace); });
  gate.on_demand([this](const limits::Pace& pace) { shared_->look(pace); });
  return {};
}

boost::asio::awaitable<void> LimitStore::close() {
  if (shared_) co_await shared_->close();
}

std::shared_ptr<limits::Pace> LimitStore::quota(const limits::LimitName& name, double per_second) {
  if (!shared_) return std::make_shared<limits::Pacer>(per_second);
  auto text = "quota:" + name.app;
  if (name.tenant != 0) text += fmt::format(":{}", name.tenant);
  if (!name.resource.empty()) text += ":" + name.resource;
  // A tenant is called by the worker that owns its partition; an app by all of them.
  const int members = name.tenant == 0 ? config_.expected_workers : 1;
  return shared(std::move(text), per_second, members, [this, name] { return limiter_->waiting_for(name); });
}

std::shared_ptr<limits::Pace> LimitStore::token_requests(const std::string& app) {
  constexpr auto kAll = tokens::PacedGate::kPerSecond;
  if (!shared_) return std::make_shared<limits::Pacer>(kAll / config_.expected_workers);
  return shared("tokens:" + app, kAll, config_.expected_workers, [this, app] { return gate_->waiting(app); });
}

std::shared_ptr<limits::Pace> LimitStore::shared(std::string name, double per_second, int members,
                                                 std::function<std::size_t()> waiting) {
  metrics_.limit_store(local_, ++all_);
  auto& pace = shared_->add(
      {std::move(name), per_second, members, members == 1}, [](double share) { return std::make_unique<limits::Pacer>(share); },
      std::move(waiting));
  return {std::shared_ptr<void>(), &pace};  // lives as long as the shared limits
}

void LimitStore::switched(const std::string& limit, SharedPace::Mode mode) {
  const bool local = mode == SharedPace::Mode::local;
  local_ += local ? 1 : -1;
  metrics_.limit_store(local_, all_);
  telemetry::log_rarely(local ? Level::warn : Level::info, local ? "limit_local" : "limit_shared", kTellFailures,
                        local ? "the store is away: this worker uses its own share of the limit" : "the limit is shared again",
                        {{"limit", limit}, {"limits_local", local_}});
}

}  // namespace stsync::sync
