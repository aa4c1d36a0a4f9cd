#pragma once
#include <set>
#include <string>

#include "config/config.hpp"
#include "servicetitan/catalogue.hpp"

namespace stsync::sync {

/// Every topic that records of the configured tenants go to.
std::set<std::string> record_topics(const config::Config& config, const servicetitan::Catalogue& catalogue);

/// What is wrong with the topics that overrides give to resources: no name for a topic, one of stsync's own, or one that tenants of
/// two environments would share.
void check_record_topics(const config::Config& config, const servicetitan::LoadedCatalogue& loaded, config::Report& report);

/// Warns about hashes that could be guessed: fields are to be hashed and there is no key.
void check_hash_key(const config::Config& config, const servicetitan::LoadedCatalogue& loaded, config::Report& report);

}  // namespace stsync::sync
