#include "telemetry/metrics.hpp"

#include <initializer_list>
#include <unordered_map>
#include <unordered_set>
#include <variant>

#include <fmt/format.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "core/error.hpp"
#include "telemetry/families.hpp"

namespace stsync::telemetry {
namespace {

constexpr std::string_view kOther = "__other__";

/// The series of one family, bounded: labels come from commands and brokers, and each series costs memory for ever.
template <class T>
class Series {
 public:
  Series(const FamilyInfo& info, prometheus::Family<T>& family) : info_(info), family_(family) {}

  T& at(std::initializer_list<std::string_view> values) {
    core::check(values.size() == info_.label_count(), "a value for each label of the family");
    std::array<std::string_view, kMostLabels> v{};
    std::copy(values.begin(), values.end(), v.begin());
    if (auto* known = find(v)) return *known;
    if (!values.size() || known_.size() < info_.most) return add(v);
    v[values.size() - 1] = kOther;
    if (auto* known = find(v)) return *known;
    if (known_.size() >= 2 * info_.most) v.fill(kOther);
    auto* known = find(v);
    return known != nullptr ? *known : add(v);
  }
  void remove(std::string_view value) {
    const auto at = known_.find(key({value}));
    if (at == known_.end()) return;
    family_.Remove(at->second);
    known_.erase(at);
  }

  /// These and no others.
  void replace(const Metrics::PairValues& values) {
    std::unordered_set<std::string> kept;
    for (const auto& [names, value] : values) {
      kept.insert(key({names.first, names.second}));
      at({names.first, names.second}).Set(value);
    }
    std::erase_if(known_, [&](const auto& known) {
      if (kept.contains(known.first)) return false;
      family_.Remove(known.second);
      return true;
    });
  }

 private:
  static std::string key(const std::array<std::string_view, kMostLabels>& v) { return fmt::format("{}", fmt::join(v, "\x1f")); }
  T* find(const std::array<std::string_view, kMostLabels>& v) {
    const auto at = known_.find(key(v));
    return at == known_.end() ? nullptr : at->second;
  }
  T& add(const std::array<std::string_view, kMostLabels>& v) {
    prometheus::Labels labels;
    for (std::size_t i = 0; i < info_.label_count(); ++i) labels.emplace(info_.labels[i], v[i]);
    T* metric = nullptr;
    if constexpr (std::is_same_v<T, prometheus::Histogram>)
      metric = &family_.Add(labels, prometheus::Histogram::BucketBoundaries(info_.buckets.begin(), info_.buckets.end()));
    else
      metric = &family_.Add(labels);
    known_.emplace(key(v), metric);
    return *metric;
  }

  const FamilyInfo& info_;
  prometheus::Family<T>& family_;
  std::unordered_map<std::string, T*> known_;
};

using Counters = Series<prometheus::Counter>;
using Gauges = Series<prometheus::Gauge>;
using Histograms = Series<prometheus::Histogram>;

std::string_view code_class(int status) {
  switch (status / 100) {
    case 2:
      return "2xx";
    case 3:
      return "3xx";
    case 4:
      return "4xx";
    case 5:
      return "5xx";
    default:
      return "none";
  }
}

std::string_view sort_name(Sort sort) { return sort == Sort::counter ? "counter" : sort == Sort::gauge ? "gauge" : "histogram"; }

}  // namespace

struct Metrics::Impl {
  explicit Impl(bool with_tenant) : tenant_label(with_tenant) {
    for (const auto& info : families()) add(info);
    for (const auto f : {Family::commit_duration, Family::loop_lag}) histogram(f, {});
    counter(Family::rebalances, {});
    counter(Family::commands_expired, {});
    counter(Family::log_lines_dropped, {});
    gauge(Family::lanes, {});
    gauge(Family::build_info, {STSYNC_VERSION}).Set(1);
  }
  void add(const FamilyInfo& info) {
    const std::string name(info.name), help(info.help);
    switch (info.sort) {
      case Sort::counter: {
        auto& row = std::get<Counters>(
            rows.emplace_back(Counters(info, prometheus::BuildCounter().Name(name).Help(help).Register(registry))));
        for (const auto value : info.starts) row.at({value});
        return;
      }
      case Sort::gauge:
        rows.emplace_back(Gauges(info, prometheus::BuildGauge().Name(name).Help(help).Register(registry)));
        return;
      case Sort::histogram:
        rows.emplace_back(Histograms(info, prometheus::BuildHistogram().Name(name).Help(help).Register(registry)));
        return;
    }
  }
  prometheus::Counter& counter(Family f, std::initializer_list<std::string_view> values) {
    return std::get<Counters>(rows[static_cast<std::size_t>(f)]).at(values);
  }
  prometheus::Gauge& gauge(Family f, std::initializer_list<std::string_view> values) {
    return std::get<Gauges>(rows[static_cast<std::size_t>(f)]).at(values);
  }
  prometheus::Histogram& histogram(Family f, std::initializer_list<std::string_view> values) {
    return std::get<Histograms>(rows[static_cast<std::size_t>(f)]).at(values);
  }

  bool tenant_label;
  prometheus::Registry registry;
  std::vector<std::variant<Counters, Gauges, Histograms>> rows;  ///< in the order of Family
  std::map<std::string, int> states;                             ///< every state of jobs that was ever reported
};

Metrics::Metrics(bool tenant_label) : impl_(std::make_unique<Impl>(tenant_label)) {}
Metrics::~Metrics() = default;

void Metrics::api_call(std::string_view app, std::int64_t tenant, std::string_view resource, int status, double seconds) {
  impl_->counter(Family::api_requests, {app, code_class(status)}).Increment();
  impl_->counter(Family::tenant_api_requests, {app, impl_->tenant_label ? std::to_string(tenant) : std::string()}).Increment();
  impl_->counter(Family::resource_api_requests, {app, resource}).Increment();
  impl_->histogram(Family::api_duration, {app}).Observe(seconds);
}
void Metrics::permit(std::string_view app, std::string_view waited_for, double seconds) {
  impl_->counter(Family::quota_permits, {app}).Increment();
  if (seconds > 0) impl_->counter(Family::throttle_wait, {app, waited_for}).Increment(seconds);
}
void Metrics::refused(std::string_view app) { impl_->counter(Family::api_throttled, {app}).Increment(); }
void Metrics::token_fetch(std::string_view app, std::string_view outcome) {
  impl_->counter(Family::token_requests, {app, outcome}).Increment();
}
void Metrics::records(std::string_view app, std::string_view resource, std::uint64_t count, std::uint64_t bytes) {
  impl_->counter(Family::records, {app, resource}).Increment(static_cast<double>(count));
  impl_->counter(Family::record_bytes, {app, resource}).Increment(static_cast<double>(bytes));
}
void Metrics::pages(std::string_view app, std::string_view resource, std::uint64_t count) {
  impl_->counter(Family::pages, {app, resource}).Increment(static_cast<double>(count));
}
void Metrics::schema_change(std::string_view app, std::string_view resource, std::string_view change, std::uint64_t count) {
  impl_->counter(Family::schema_changes, {app, change, resource}).Increment(static_cast<double>(count));
}
void Metrics::commit(std::string_view outcome, double seconds) {
  impl_->counter(Family::commits, {outcome}).Increment();
  impl_->histogram(Family::commit_duration, {}).Observe(seconds);
}
void Metrics::command(std::string_view outcome) { impl_->counter(Family::commands, {outcome}).Increment(); }
void Metrics::jobs(const std::map<std::string, int>& by_state) {
  for (auto& [state, count] : impl_->states) count = 0;
  for (const auto& [state, count] : by_state) impl_->states[state] = count;
  for (const auto& [state, count] : impl_->states) impl_->gauge(Family::jobs, {state}).Set(count);
}
void Metrics::dead_letter(std::string_view reason) { impl_->counter(Family::dead_letters, {reason}).Increment(); }
void Metrics::job_ended(std::string_view app, std::string_view outcome) {
  impl_->counter(Family::jobs_ended, {app, outcome}).Increment();
}
void Metrics::quota(std::string_view app, double per_second) {
  impl_->gauge(Family::quota_limit, {app}).Set(per_second);
  // From the start at zero, so that a rate sees the first event and a dashboard shows "none" instead of nothing.
  for (const auto family : {Family::api_throttled, Family::quota_permits, Family::quota_freezes}) impl_->counter(family, {app});
  for (const auto* what : {"tenant", "app"}) impl_->counter(Family::throttle_wait, {app, what});
  for (const auto* outcome : {"ok", "refused", "failed"}) impl_->counter(Family::token_requests, {app, outcome});
  for (const auto* outcome : {"completed", "failed", "cancelled"}) impl_->counter(Family::jobs_ended, {app, outcome});
  for (const auto* code : {"2xx", "4xx", "5xx", "none"}) impl_->counter(Family::api_requests, {app, code});
  impl_->histogram(Family::api_duration, {app});
}
void Metrics::freeze(std::string_view app) { impl_->counter(Family::quota_freezes, {app}).Increment(); }
void Metrics::utilisation(std::string_view app, double ratio) { impl_->gauge(Family::quota_utilisation, {app}).Set(ratio); }
void Metrics::limit_store(int local, int all) {
  impl_->gauge(Family::limit_store_limits, {"local"}).Set(local);
  impl_->gauge(Family::limit_store_limits, {"shared"}).Set(all - local);
}
void Metrics::limit_store_failure() { impl_->counter(Family::limit_store_failures, {}).Increment(); }
void Metrics::commands_expired(std::int64_t at_most) {
  impl_->counter(Family::commands_expired, {}).Increment(static_cast<double>(at_most));
}
void Metrics::lag(int partition, std::int64_t messages) {
  impl_->gauge(Family::command_lag, {std::to_string(partition)}).Set(static_cast<double>(messages));
}
void Metrics::lag_remove(int partition) {
  std::get<Gauges>(impl_->rows[static_cast<std::size_t>(Family::command_lag)]).remove(std::to_string(partition));
}
void Metrics::scheduled_run(std::uint64_t missed) {
  impl_->counter(Family::scheduled_runs, {"started"}).Increment();
  impl_->counter(Family::scheduled_runs, {"missed"}).Increment(static_cast<double>(missed));
}
void Metrics::schedule_lag(double seconds) { impl_->gauge(Family::schedule_lag, {}).Set(seconds); }
void Metrics::freshness(const PairValues& of_resources, const PairValues& of_tenants) {
  const auto gauges = [this](Family f) -> Gauges& { return std::get<Gauges>(impl_->rows[static_cast<std::size_t>(f)]); };
  gauges(Family::freshness).replace(of_resources);
  if (impl_->tenant_label) gauges(Family::tenant_freshness).replace(of_tenants);
}
void Metrics::ready(bool yes) { impl_->gauge(Family::ready, {}).Set(yes ? 1 : 0); }
void Metrics::lanes(int count) { impl_->gauge(Family::lanes, {}).Set(count); }
void Metrics::rebalance() { impl_->counter(Family::rebalances, {}).Increment(); }
void Metrics::kafka_error(std::string_view reason) { impl_->counter(Family::kafka_errors, {reason}).Increment(); }
void Metrics::webhook_app(std::string_view app) {
  for (const auto* outcome : {"stored", "unknown_tenant", "unknown_type", "bad_signature", "bad_event", "shed", "kafka"})
    impl_->counter(Family::webhook_events, {app, outcome});
}
void Metrics::webhook(std::string_view app, std::string_view outcome) {
  impl_->counter(Family::webhook_events, {app, outcome}).Increment();
}
void Metrics::webhook_stored(std::string_view app, std::string_view type) {
  impl_->counter(Family::webhook_types, {app, type}).Increment();
}
void Metrics::webhook_duration(double seconds) { impl_->histogram(Family::webhook_duration, {}).Observe(seconds); }
void Metrics::webhook_load(std::size_t in_flight, std::size_t connections) {
  impl_->gauge(Family::webhook_in_flight, {}).Set(static_cast<double>(in_flight));
  impl_->gauge(Family::webhook_connections, {}).Set(static_cast<double>(connections));
}
void Metrics::webhook_refusal(std::string_view reason) { impl_->counter(Family::webhook_refusals, {reason}).Increment(); }
void Metrics::webhook_certificate(std::int64_t expires) {
  impl_->gauge(Family::webhook_certificate_expiration, {}).Set(static_cast<double>(expires));
}
void Metrics::log_lines_dropped(std::uint64_t count) {
  impl_->counter(Family::log_lines_dropped, {}).Increment(static_cast<double>(count));
}
void Metrics::loop_lag(double seconds) { impl_->histogram(Family::loop_lag, {}).Observe(seconds); }

std::string Metrics::render() const { return prometheus::TextSerializer().Serialize(impl_->registry.Collect()); }

std::string Metrics::reference() {
  std::string out =
      "# Metrics reference\n\nGenerated from the table that makes the metrics; a test keeps the two alike. Tenant and resource "
      "never stand "
      "in one\nfamily, and a family has a limit of series: what comes after it is counted under `__other__`.\n\n"
      "| metric | type | labels | most series | meaning |\n|---|---|---|---|---|\n";
  for (const auto& info : families()) {
    std::string labels;
    for (std::size_t i = 0; i < info.label_count(); ++i) labels += fmt::format("{}`{}`", i == 0 ? "" : ", ", info.labels[i]);
    out += fmt::format("| `{}` | {} | {} | {} | {} |\n", info.name, sort_name(info.sort), labels, info.most, info.help);
  }
  return out;
}

}  // namespace stsync::telemetry
