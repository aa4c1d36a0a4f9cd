#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "sim/webhook_settings.hpp"

namespace stsync::sim {

struct Options {
  std::string listen = "127.0.0.1:0";
  bool plain = false;                       ///< HTTP instead of HTTPS
  bool gzip = true;                         ///< answers are compressed for those who ask
  std::string tls_cert_file, tls_key_file;  ///< empty: a CA and a certificate are made at start
  std::vector<std::int64_t> tenants{1001};
  std::size_t records = 1000;  ///< rows per tenant and resource
  std::uint64_t seed = 1;
  double requests_per_second = 60;  ///< sliding one-second window per app and tenant; 0: none
  bool quota_of_app = false;        ///< one window for all tenants of the app
  core::Duration token_life = std::chrono::seconds(900);
  std::size_t export_page = 500;                           ///< rows an export page
  std::size_t max_page_size = 5000;                        ///< of lists; larger ones are clamped
  std::size_t record_bytes = 1000;                         ///< about the size of a record
  core::Duration export_delay = std::chrono::minutes(15);  ///< feeds hide younger changes, unless includeRecentChanges
  std::size_t cache_bytes = 256u << 20;                    ///< rendered pages kept; 0: none
  std::vector<std::string> tls_names{};                    ///< further names in the certificate
  double time_scale = 1;                                   ///< the export delay and the reports' quota pass so many times faster
  double churn_per_second = 0;                             ///< things that happen to rows that were read, per tenant
  std::string faults{};                                    ///< JSON: a fault, or an array of them, at work from the start
  WebhookSettings webhooks{};                              ///< what happens to rows is told to this receiver
  std::vector<std::string> without{};  ///< scopes or their beginnings ("tn.prl."), or APIs ("payroll"), that no tenant has
};

struct TenantAccess {
  std::int64_t id = 0;
  std::string client_id, client_secret;
};

struct Truth {
  std::int64_t tenant = 0;
  std::string resource;
  std::uint64_t count = 0;
  std::string hash;  ///< 32 hex digits: sum modulo 2^128 of the first 16 bytes (big endian) of SHA-256(key, NUL, bytes)
};

/// ServiceTitan as far as stsync reads it: token endpoint, API, quotas; seeded, deterministic rows. Call stop() and let it end
/// before the clock goes away. Loop thread only.
///
/// Control endpoints, JSON, without credentials and quota (all members optional but where it says so):
///   GET  /__sim/truth[?tenant=T&resource=R,S&rows=true]  [{tenant, resource, count, hash, rows: [{key, hash}]}]: what can be read
///   now
///                        from each resource's export feed, else its list, else the children of all parents. Of resources whose
///                        records follow from the question (periods, single ids): what was answered
///   GET  /__sim/stats    {token_calls, unauthorized, tenants: [{app, tenant, calls, ok, refused_429, max_calls_in_one_second,
///                        report_runs_held}],
///                        resources: {name: calls}}
///   GET  /__sim/fetches  [{tenant, resource, requests, distinct, repeated: [{page, count}]}]: pages answered with data; a page is
///                        an export's `from`, a list's window, ids and page number; POST {"clear":true} counts anew
///   GET  /__sim/faults   faults still at work
///   POST /__sim/faults   a Fault (faults.hpp) as an object with delay_ms and drip_ms, or an array of them; {"clear":true}; or
///                        {"oversize_record":bytes, tenant, resource}, which lets one row grow (default: the first tenant's
///                        jpm.jobs)
///   POST /__sim/touch    {tenant, resource, count, minutes_ago} (default all, all, 1, 20): changes rows -> {touched, modifiedOn}
///   POST /__sim/churn    {tenant, resource, count, seed}: lets rows change, vanish and appear -> {changed, vanished, appeared};
///                        {per_second, resource: R,S}: from now on by itself, to these (default: all that were read);
///                        {only_changes: true}: none vanishes or appears
///   GET  /__sim/webhooks {told, sent, accepted, retried, given_up, waiting, under_way, events: [{userassignedid, type, tenant, id,
///                        time_ms, first_sent_ms, accepted_ms, tries}]}: what was told of changed rows; a time that has not come is
///                        null
///   POST /__sim/webhooks members of WebhookSettings (webhook_settings.hpp), or {"replay": userassignedid or "all"}
///   POST /__sim/access   {tenant, without: "tn.prl.employees:r" or "payroll"; with: the same, granted again}
///   POST /__sim/refresh  {tenant, records}: the tenant's data is replaced by other rows, and no token of a feed is known any more
///   POST /__sim/layout   {tenant}: reports have another order of columns from now on
class Simulator {
 public:
  virtual ~Simulator() = default;
  virtual std::string url() const = 0;       ///< also the base of token_url: url() + "/connect/token"
  virtual std::string ca_pem() const = 0;    ///< empty with plain or a certificate given from outside
  virtual std::string app_name() const = 0;  ///< "acme"
  virtual std::string app_key() const = 0;
  virtual std::vector<TenantAccess> tenants() const = 0;
  virtual double requests_per_second() const = 0;  ///< of the quota; 0: none
  virtual bool quota_of_app() const = 0;
  virtual int reports_per_minute() const = 0;  ///< runs of one report
  /// Of every resource with rows. The first call renders and hashes all of them, about 2 s a million.
  virtual std::vector<Truth> truth(const std::string& resource = {}) const = 0;
  virtual boost::asio::awaitable<void> stop() = 0;
};

/// bad_config: the address, certificate, tenants or sizes cannot be used.
core::Result<std::unique_ptr<Simulator>> start(boost::asio::any_io_executor loop, core::Clock& clock, Options options);

}  // namespace stsync::sim
