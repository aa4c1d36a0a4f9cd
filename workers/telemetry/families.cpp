#include "telemetry/families.hpp"

namespace stsync::telemetry {
namespace {

using Name = std::string_view;

constexpr std::size_t kApps = 200;
constexpr std::size_t kTenants = 2000;
constexpr std::size_t kResources = 2000;
constexpr std::size_t kFew = 100;

constexpr std::array kCallSeconds{0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0};
constexpr std::array kCommitSeconds{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0};
constexpr std::array kWebhookSeconds{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 8.0};
constexpr std::array kLagSeconds{0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0};

constexpr std::array<Name, 4> kCommitOutcomes{"ok", "aborted", "doubt", "fenced"};
constexpr std::array<Name, 2> kRunOutcomes{"started", "missed"};
constexpr std::array<Name, 5> kCommandOutcomes{"accepted", "rejected", "duplicate", "coalesced", "forwarded"};

/// In the order of Family.
constexpr std::array<FamilyInfo, static_cast<std::size_t>(Family::count)> kFamilies{{
    {"stsync_api_requests_total",
     Sort::counter,
     {"app", "code_class"},
     kApps * 6,
     "Calls to ServiceTitan by class of the answer: 2xx, 3xx, 4xx, 5xx, or none when there was no answer."},
    {"stsync_tenant_api_requests_total", Sort::counter, {"app", "tenant"}, kTenants, "Calls to ServiceTitan by tenant."},
    {"stsync_resource_api_requests_total", Sort::counter, {"app", "resource"}, kResources, "Calls to ServiceTitan by resource."},
    {"stsync_api_request_duration_seconds",
     Sort::histogram,
     {"app"},
     kApps,
     "Time from sending a call to the last byte of its answer.",
     kCallSeconds},
    {"stsync_api_throttled_total", Sort::counter, {"app"}, kApps, "Calls that ServiceTitan refused with 429."},
    {"stsync_api_throttle_wait_seconds_total",
     Sort::counter,
     {"app", "waited_for"},
     kApps * 5,
     "Time that calls waited for a permit, by what they waited for: the quota of the tenant or of the app, a resource's own limit, "
     "a "
     "breaker or a connection."},
    {"stsync_token_requests_total",
     Sort::counter,
     {"app", "outcome"},
     kApps * 3,
     "Requests to the token endpoint: ok, refused or failed."},
    {"stsync_quota_limit", Sort::gauge, {"app"}, kApps, "Configured calls a second, for each tenant or for the app."},
    {"stsync_quota_utilisation_ratio",
     Sort::gauge,
     {"app"},
     kApps,
     "Share of the quota that left as calls lately: of the app's, or of the tenant of the app that uses most of its own."},
    {"stsync_quota_permits_total", Sort::counter, {"app"}, kApps, "Permits to call that were given."},
    {"stsync_quota_freezes_total", Sort::counter, {"app"}, kApps, "Times that a 429 stopped all calls of a quota for a while."},
    {"stsync_limit_store_limits",
     Sort::gauge,
     {"mode"},
     kFew,
     "Limits that are shared through the store, and those that this worker keeps alone (local) while the store is away."},
    {"stsync_limit_store_failures_total", Sort::counter, {}, 1, "Trips to the store of limits that failed."},
    {"stsync_records_total", Sort::counter, {"app", "resource"}, kResources, "Records published and committed."},
    {"stsync_record_bytes_total", Sort::counter, {"app", "resource"}, kResources, "Bytes of the records published and committed."},
    {"stsync_pages_total", Sort::counter, {"app", "resource"}, kResources, "Pages published and committed."},
    {"stsync_schema_changes_total",
     Sort::counter,
     {"app", "change", "resource"},
     kResources,
     "Fields of records that appeared or vanished."},
    {"stsync_commits_total",
     Sort::counter,
     {"outcome"},
     kFew,
     "Transactions by outcome: ok, aborted, doubt when the answer was not clear, fenced when the partition is somebody else's.",
     {},
     kCommitOutcomes},
    {"stsync_commit_duration_seconds", Sort::histogram, {}, 1, "Time from the begin of a transaction to its end.", kCommitSeconds},
    {"stsync_commands_total", Sort::counter, {"outcome"}, kFew, "Commands read, by what became of them.", {}, kCommandOutcomes},
    {"stsync_command_lag", Sort::gauge, {"partition"}, kFew * 10, "Commands in an owned partition that are not read yet."},
    {"stsync_commands_expired_total",
     Sort::counter,
     {},
     1,
     "Commands that were removed from their topic before they were read, at most: it keeps them too short."},
    {"stsync_jobs", Sort::gauge, {"state"}, kFew, "Jobs of the owned partitions by state."},
    {"stsync_jobs_ended_total", Sort::counter, {"app", "outcome"}, kApps * 3, "Jobs that ended: completed, failed or cancelled."},
    {"stsync_scheduled_runs_total",
     Sort::counter,
     {"outcome"},
     kFew,
     "Runs of schedules that began (started), and those that one of them stands for beside its own (missed).",
     {},
     kRunOutcomes},
    {"stsync_schedule_lag_seconds", Sort::gauge, {}, 1, "How long the scheduled run that waits longest has been due."},
    {"stsync_freshness_seconds",
     Sort::gauge,
     {"app", "resource"},
     kResources,
     "Age of the newest record published, by its modifiedOn: of the tenant for which it is the oldest."},
    {"stsync_tenant_freshness_seconds",
     Sort::gauge,
     {"app", "tenant"},
     kTenants,
     "Age of the newest record published of any of the tenant's resources, by its modifiedOn."},
    {"stsync_dead_letters_total", Sort::counter, {"reason"}, kFew, "Messages sent to the dead letter topic."},
    {"stsync_lanes", Sort::gauge, {}, 1, "Partitions of the commands topic that this worker owns."},
    {"stsync_rebalances_total", Sort::counter, {}, 1, "Times that partitions were assigned or revoked."},
    {"stsync_kafka_errors_total", Sort::counter, {"reason"}, kFew, "Errors that the Kafka client reported."},
    {"stsync_webhook_events_total",
     Sort::counter,
     {"app", "outcome"},
     kApps * 12,
     "Webhook requests by what became of them; only those stored, unknown_tenant and unknown_type were answered with 200."},
    {"stsync_webhook_types_total",
     Sort::counter,
     {"app", "type"},
     kApps * 22,
     "Webhook events that are in Kafka, by type; other: one that this version does not know."},
    {"stsync_webhook_duration_seconds",
     Sort::histogram,
     {},
     1,
     "Time from the last byte of a webhook request to its answer, where the answer waited for Kafka.",
     kWebhookSeconds},
    {"stsync_webhook_in_flight", Sort::gauge, {}, 1, "Webhook events on their way to Kafka."},
    {"stsync_webhook_connections", Sort::gauge, {}, 1, "Connections open at the webhook ingress."},
    {"stsync_webhook_refusals_total",
     Sort::counter,
     {"reason"},
     kFew,
     "Connections that the webhook ingress closed, and requests that it refused, before they were any app's."},
    {"stsync_webhook_certificate_expiration_timestamp_seconds",
     Sort::gauge,
     {},
     1,
     "When the certificate that the webhook ingress shows expires, in seconds since 1970."},
    {"stsync_loop_lag_seconds", Sort::histogram, {}, 1, "How late the event loop served its heartbeat.", kLagSeconds},
    {"stsync_log_lines_dropped_total", Sort::counter, {}, 1, "Log lines that were dropped because nobody reads stderr."},
    {"stsync_ready", Sort::gauge, {}, 1, "1 while /readyz answers ok, else 0."},
    {"stsync_build_info", Sort::gauge, {"version"}, 1, "Always 1; the label names the version."},
}};

}  // namespace

std::span<const FamilyInfo> families() noexcept { return kFamilies; }

}  // namespace stsync::telemetry
