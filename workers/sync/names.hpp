#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/config.hpp"
#include "servicetitan/catalogue.hpp"
#include "stsync/v1/command.pb.h"

namespace stsync::sync {

/// "acme:1001": the key of everything that belongs to one tenant of one app.
std::string tenant_key(std::string_view app, std::int64_t tenant);

// Keys of the journal.
std::string job_journal_key(std::string_view app, std::int64_t tenant, std::string_view id);
std::string stream_journal_key(std::string_view app, std::int64_t tenant, std::string_view resource);
/// The stream that a job reads: its resource, or "reporting.reports/operations/17": a report each.
std::string stream_name(const v1::Sync& sync);
/// "operations/17"
std::string report_name(const v1::Report& report);
std::string stream_journal_key(const v1::Command& command);
std::string tenant_journal_key(std::string_view app, std::int64_t tenant);
std::string schedule_journal_key(std::string_view app, std::int64_t tenant, std::string_view resource);
/// Of what is asked of the job behind a journal key.
std::string asked_journal_key(std::string_view job_journal_key);
std::string lane_journal_key(std::int32_t partition);
/// "job" of "job/acme/1001/…": the word that keys of ours begin with, whatever version wrote them; empty: not ours.
std::string_view kind_of(std::string_view journal_key);
/// "acme:1001" of "job/acme/1001/…" and of every other kind of entry that is a tenant's, as later versions may have more of: the
/// key by which its partition is chosen. Nothing for lane/… and for keys that are not ours.
std::optional<std::string> owner_of(std::string_view journal_key);

/// Whose transactions a lane's are: the same for every owner of the partition, so that a new one fences the one before.
std::string transactional_id(std::string_view group, std::int32_t partition);

/// The topic of a resource's records: its own of the overrides, else "st.{api}.{resource}", filled in.
std::string records_topic(const config::Topics& topics, const servicetitan::Resource& resource, std::string_view environment);

/// Whether records of other resources go, or could go, to the same topic: then keys name the resource. The same for all tenants.
bool shares_topic(const config::Config& config, const servicetitan::Catalogue& catalogue, const servicetitan::Resource& resource);

/// What stands before the primary key in a record's key: "1001:", and "1001:jpm.jobs:" where resources share a topic.
std::string record_key_prefix(const config::Config& config, const servicetitan::Catalogue& catalogue,
                              const servicetitan::Resource& resource, std::int64_t tenant);

/// Ids of commands, 1 to 64 of [A-Za-z0-9._-].
bool valid_id(std::string_view id) noexcept;

}  // namespace stsync::sync
