#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace stsync::telemetry {

/// The metrics of the program: one function an event, names and labels in one table (metrics.cpp). Tenant and resource never
/// stand in one family. Loop thread only; values are atomic, so rendering may run elsewhere.
class Metrics {
 public:
  /// `tenant_label` off: tenant families carry tenant="".
  explicit Metrics(bool tenant_label);
  ~Metrics();

  /// One call to the vendor was answered or failed. `status`: HTTP status, 0 without an answer. `seconds`: from write to last byte.
  void api_call(std::string_view app, std::int64_t tenant, std::string_view resource, int status, double seconds);
  /// A permit to call was given after so long. `waited_for`: nothing, tenant, app, resource, breaker, connection.
  void permit(std::string_view app, std::string_view waited_for, double seconds);
  void refused(std::string_view app);                                                                       ///< 429
  void token_fetch(std::string_view app, std::string_view outcome);                                         ///< ok, refused, failed
  void records(std::string_view app, std::string_view resource, std::uint64_t count, std::uint64_t bytes);  ///< committed
  void pages(std::string_view app, std::string_view resource, std::uint64_t count);                         ///< committed
  /// Fields of records; `change`: appeared, vanished.
  void schema_change(std::string_view app, std::string_view resource, std::string_view change, std::uint64_t count);
  void commit(std::string_view outcome, double seconds);           ///< ok, aborted, doubt, fenced
  void command(std::string_view outcome);                          ///< accepted, rejected, duplicate, coalesced, forwarded
  void jobs(const std::map<std::string, int>& by_state);           ///< how many jobs are in each state now
  void job_ended(std::string_view app, std::string_view outcome);  ///< completed, failed, cancelled
  void dead_letter(std::string_view reason);
  void quota(std::string_view app, double per_second);   ///< configured limit; call once an app at start
  void freeze(std::string_view app);                     ///< a 429 stopped all calls of a quota
  void utilisation(std::string_view app, double ratio);  ///< of the quota that is used most
  void limit_store(int local, int all);                  ///< limits that the store shares, and those kept alone without it
  void limit_store_failure();
  void commands_expired(std::int64_t at_most);     ///< removed from their topic before they were read
  void lag(int partition, std::int64_t messages);  ///< commands not yet read
  void lag_remove(int partition);
  void lanes(int count);
  void scheduled_run(std::uint64_t missed);  ///< one began, and stands for so many that were missed
  void schedule_lag(double seconds);
  using PairValues = std::map<std::pair<std::string, std::string>, double>;      ///< by app and resource or tenant
  void freshness(const PairValues& of_resources, const PairValues& of_tenants);  ///< ages in seconds: all there are
  void rebalance();
  void kafka_error(std::string_view reason);
  void webhook_app(std::string_view app);                             ///< is served; call once at start
  void webhook(std::string_view app, std::string_view outcome);       ///< a request has its answer
  void webhook_stored(std::string_view app, std::string_view type);   ///< an event is in Kafka
  void webhook_duration(double seconds);                              ///< from the request to an answer of Kafka's
  void webhook_load(std::size_t in_flight, std::size_t connections);  ///< now
  void webhook_refusal(std::string_view reason);                      ///< of a connection, or of a request of no app
  void webhook_certificate(std::int64_t expires);                     ///< that is shown now; seconds since 1970
  void loop_lag(double seconds);                                      ///< how late the loop served its heartbeat
  void log_lines_dropped(std::uint64_t count);
  void ready(bool yes);  ///< what /readyz would answer now

  /// Prometheus text exposition, version 0.0.4.
  std::string render() const;
  /// Markdown table of every family, for docs/reference/metrics.md.
  static std::string reference();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stsync::telemetry
