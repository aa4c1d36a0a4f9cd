#include "sim/simulator.hpp"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "http/certificate.hpp"
#include "http/server.hpp"
#include "sim/world.hpp"

namespace stsync::sim {

using core::ErrorKind;
using core::fail;

namespace {

/// How long a report is made, where it is asked for without waiting (facts 7).
constexpr auto kSlowReport = std::chrono::seconds(10);
constexpr auto kReportWindow = std::chrono::minutes(1);
constexpr auto kApp = "acme";

core::Duration scale(core::Duration d, double by) {
  return std::chrono::duration_cast<core::Duration>(std::chrono::duration<double>(d) / by);
}

}  // namespace

TenantWorld::TenantWorld(std::int64_t tenant, const Options& options, Writers& writers, const Dataset::Watcher& watcher)
    : store(tenant, options.seed, static_cast<Dataset::Index>(options.records), writers, &watcher),
      quota(options.requests_per_second),
      reports(scale(kReportWindow, options.time_scale), scale(kSlowReport, options.time_scale)),
      feed_seed(options.seed) {
  for (const auto& what : options.without) access.take(what);
}

void Access::take(const std::string& what) { (what.starts_with("tn.") ? without_scopes : without_modules).insert(what); }

void Access::give(const std::string& what) {
  without_scopes.erase(what);
  without_modules.erase(what);
}

World::World(boost::asio::any_io_executor l, core::Clock& c, Options o)
    : loop(std::move(l)),
      clock(c),
      options(std::move(o)),
      accounts(options.seed, options.tenants, options.token_life),
      cache(options.cache_bytes),
      writers(options.record_bytes),
      app_quota(options.requests_per_second),
      churn{.per_second = options.churn_per_second, .resource = {}},
      webhooks(std::make_shared<WebhookSender>(loop, clock, kApp, options.seed, options.time_scale)) {
  watcher = [this](const Dataset& rows, Dataset::Index index, Happened what) {
    if (!webhooks->wanted()) return;
    const auto& store = tenants.at(rows.tenant()).store;
    if (auto event = event_of(store, rows, index, what, clock.wall_now(), webhooks->outbox().counts().events))
      webhooks->tell(std::move(*event));
  };
  for (const auto tenant : options.tenants)
    tenants.emplace(std::piecewise_construct, std::forward_as_tuple(tenant),
                    std::forward_as_tuple(tenant, options, writers, watcher));
}

std::vector<TenantWorld*> World::find_tenants(std::int64_t tenant) {
  std::vector<TenantWorld*> out;
  for (auto& [id, world] : tenants)
    if (tenant == 0 || id == tenant) out.push_back(&world);
  return out;
}

std::vector<const Resource*> World::find_resources(std::string_view names) {
  std::vector<const Resource*> out;
  const auto wanted = fmt::format(",{},", names);
  for (const auto& resource : Schema::get().resources())
    if (names.empty() || wanted.find(fmt::format(",{},", resource.name)) != std::string::npos) out.push_back(&resource);
  return out;
}

Truth World::truth_of(const TenantWorld& tenant, const Resource& resource, Rows* rows) {
  const auto id = tenant.store.tenant();
  Truth out{id, resource.name, 0, {}};
  Sum128 sum;
  const auto add = [&](const std::string& key, const Sum128& hash) {
    ++out.count;
    sum += hash;
    if (rows != nullptr) rows->emplace_back(key, hash.hex());
  };
  const auto* source = resource.source();
  if (source == nullptr || answers_for_period(*source) || source->shape == Shape::binary) {
    for (const auto& [key, hash] : answered[{id, resource.name}]) add(key, hash);
    out.hash = sum.hex();
    return out;
  }
  auto& known = truths[{id, resource.name}];
  const auto generation = tenant.store.of(resource).generation() + 1;
  if (rows == nullptr && known.generation == generation) return known.truth;
  tenant.store.each_record(resource, [&](std::string key, const std::string& bytes) {
    key.insert(0, std::to_string(id) + ":");
    add(key, record_hash(key, bytes));
  });
  out.hash = sum.hex();
  known = {generation, out};
  return out;
}

core::Duration World::scaled(core::Duration d) const { return scale(d, options.time_scale); }

namespace {

namespace asio = boost::asio;
using http::ServerRequest;
using http::ServerResponse;

constexpr std::size_t kMaxRecords = 1'000'000'000;
constexpr auto kStopGrace = std::chrono::seconds(2);

std::string http_date(core::WallTime now) {
  const auto day = std::chrono::floor<std::chrono::days>(now);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss time{std::chrono::floor<std::chrono::seconds>(now - day)};
  constexpr std::string_view kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[std::chrono::weekday{day}.c_encoding()],
                     static_cast<unsigned>(date.day()), kMonths[static_cast<unsigned>(date.month()) - 1],
                     static_cast<int>(date.year()), time.hours().count(), time.minutes().count(), time.seconds().count());
}

/// Answers requests. Shared by the simulator and the requests under way.
class Service {
 public:
  Service(asio::any_io_executor loop, core::Clock& clock, Options options) : world_(std::move(loop), clock, std::move(options)) {}

  static asio::awaitable<ServerResponse> handle(std::shared_ptr<Service> self, ServerRequest request) {
    auto response = co_await self->answer(std::move(request));
    response.headers.emplace_back("Date", http_date(self->world_.clock.wall_now()));
    co_return response;
  }
  /// Lets things happen to the rows of resources that were read, as often as the world wants it.
  static asio::awaitable<void> live(std::shared_ptr<Service> self) {
    constexpr auto kTick = std::chrono::milliseconds(100);
    double due = 0;
    std::uint64_t happened = 0;
    while (!self->stopping_) {
      co_await self->wait(kTick);
      due += self->world_.churn.per_second * std::chrono::duration<double>(kTick).count();
      for (; due >= 1; due -= 1) churn_everywhere(self->world_, ++happened);
    }
  }
  /// Ends the waiting of delayed answers, and what is told of rows.
  void stop() {
    stopping_ = true;
    world_.webhooks->request_stop();
    for (auto* signal : delayed_) signal->notify();
  }
  World& world() noexcept { return world_; }

 private:
  asio::awaitable<ServerResponse> answer(ServerRequest request) {
    if (request.path.starts_with("/__sim/")) co_return co_await answer_control(world_, std::move(request));
    const auto fault = world_.faults.take(request.query.empty() ? request.path : request.path + "?" + request.query);
    if (fault && fault->delay.count() > 0) co_await wait(fault->delay);
    const bool token = request.path == "/connect/token";
    auto response = token ? answer_token(world_, request) : answer_api(world_, request, fault ? &*fault : nullptr);
    if (!fault) co_return response;
    if (token && fault->status != 0) response = fault_answer(world_, *fault);
    if (fault->garbage) {
      response = ServerResponse();
      response.body = "<!DOCTYPE html><p>\x01 not what you asked for {\"data\":[";
    }
    if (fault->text && fault->status == 0) response.body = *fault->text;
    if (fault->cut_body || fault->reset) response.cut_after = fault->cut_body.value_or(0);
    response.reset = fault->reset;
    if (!fault->raw.empty()) response.body = fault->raw;
    response.raw = !fault->raw.empty();
    response.drip = fault->drip;
    co_return response;
  }

  asio::awaitable<void> wait(core::Duration d) {
    const auto until = world_.clock.now() + d;
    const auto signal = world_.clock.make_signal();
    delayed_.insert(signal.get());
    while (!stopping_ && world_.clock.now() < until) co_await signal->wait_until(until);
    delayed_.erase(signal.get());
  }

  World world_;
  std::set<core::Signal*> delayed_;
  bool stopping_ = false;
};

class LocalSimulator final : public Simulator {
 public:
  LocalSimulator(std::shared_ptr<Service> service, std::unique_ptr<http::Server> server, std::string ca_pem)
      : service_(std::move(service)), server_(std::move(server)), ca_pem_(std::move(ca_pem)) {}
  ~LocalSimulator() override { service_->stop(); }

  std::string url() const override { return server_->url(); }
  std::string ca_pem() const override { return ca_pem_; }
  std::string app_name() const override { return kApp; }
  std::string app_key() const override { return service_->world().accounts.app_key(); }
  std::vector<TenantAccess> tenants() const override { return service_->world().accounts.tenants(); }
  double requests_per_second() const override { return service_->world().options.requests_per_second; }
  bool quota_of_app() const override { return service_->world().options.quota_of_app; }
  int reports_per_minute() const override { return static_cast<int>(std::clamp(service_->world().options.time_scale, 1.0, 60.0)); }
  std::vector<Truth> truth(const std::string& resource) const override {
    std::vector<Truth> out;
    for (auto* tenant : service_->world().find_tenants(0))
      for (const auto* r : World::find_resources(resource))
        if (auto truth = service_->world().truth_of(*tenant, *r); truth.count > 0) out.push_back(std::move(truth));
    return out;
  }
  asio::awaitable<void> stop() override {
    service_->stop();
    co_await service_->world().webhooks->stop();
    co_await server_->stop(kStopGrace);
  }

 private:
  std::shared_ptr<Service> service_;
  std::unique_ptr<http::Server> server_;
  std::string ca_pem_;
};

core::Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream content;
  content << in.rdbuf();
  if (!in) return fail(ErrorKind::bad_config, fmt::format("'{}' cannot be read", path));
  return content.str();
}

core::Result<http::ServerTls> given_certificate(const Options& options) {
  const auto certificate = read_file(options.tls_cert_file);
  if (!certificate) return fail(certificate.error());
  const auto key = read_file(options.tls_key_file);
  if (!key) return fail(key.error());
  return http::ServerTls{*certificate, *key};
}

/// A new CA and a certificate for this machine's own names; `ca_pem` gets the CA.
core::Result<http::ServerTls> own_certificate(const Options& options, std::string& ca_pem) {
  // Not the injected clock: OpenSSL compares with the real one.
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto ca = http::CertificateAuthority::make("stsync simulator", now);
  if (!ca) return fail(ca.error());
  std::vector<std::string> hosts{"localhost", "127.0.0.1", "::1"};
  hosts.insert(hosts.end(), options.tls_names.begin(), options.tls_names.end());
  const auto certificate = ca->issue(hosts, now - std::chrono::hours(24), now + std::chrono::days(3650));
  if (!certificate) return fail(certificate.error());
  ca_pem = ca->root.certificate_pem;
  return http::ServerTls{certificate->certificate_pem, certificate->key_pem};
}

core::Result<void> check_options(const Options& options) {
  const auto bad = [](std::string what) { return fail(ErrorKind::bad_config, std::move(what)); };
  if (options.tenants.empty()) return bad("the simulator needs a tenant");
  if (std::set(options.tenants.begin(), options.tenants.end()).size() != options.tenants.size())
    return bad("a tenant is named twice");
  if (std::any_of(options.tenants.begin(), options.tenants.end(), [](auto id) { return id <= 0; }))
    return bad("tenant ids are positive numbers");
  if (options.records > kMaxRecords) return bad(fmt::format("at most {} records a tenant and resource", kMaxRecords));
  if (!(options.time_scale >= 0.001 && options.time_scale <= 1e6)) return bad("the time scale lies between 0.001 and 1000000");
  if (!(options.churn_per_second >= 0 && options.churn_per_second <= 10'000)) return bad("churn lies between 0 and 10000 a second");
  if (options.export_page == 0 || options.max_page_size == 0) return bad("a page holds at least one record");
  if (options.tls_cert_file.empty() != options.tls_key_file.empty())
    return bad("a TLS certificate needs its key, and a key its certificate");
  return {};
}

}  // namespace

core::Result<std::unique_ptr<Simulator>> start(asio::any_io_executor loop, core::Clock& clock, Options options) {
  if (const auto good = check_options(options); !good) return fail(good.error());
  http::ServerOptions server_options;
  server_options.listen = options.listen;
  std::string ca_pem;
  if (!options.plain) {
    auto tls = options.tls_cert_file.empty() ? own_certificate(options, ca_pem) : given_certificate(options);
    if (!tls) return fail(tls.error());
    server_options.tls = std::move(*tls);
  }
  auto service = std::make_shared<Service>(loop, clock, std::move(options));
  if (!service->world().options.faults.empty())
    if (const auto good = set_faults(service->world(), service->world().options.faults); !good)
      return fail(ErrorKind::bad_config, "faults: " + good.error().message());
  if (const auto good = service->world().webhooks->configure(service->world().options.webhooks); !good)
    return fail(ErrorKind::bad_config, "webhooks: " + good.error().message());
  asio::co_spawn(loop, Service::live(service), asio::detached);
  auto server = http::start_server(loop, clock, std::move(server_options),
                                   [service](ServerRequest request) { return Service::handle(service, std::move(request)); });
  if (!server) return fail(server.error());
  return std::make_unique<LocalSimulator>(std::move(service), std::move(*server), std::move(ca_pem));
}

}  // namespace stsync::sim
