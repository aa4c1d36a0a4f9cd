#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "limits/lease.hpp"

namespace stsync::limits {

/// The files of this folder that are compiled in: name, text.
std::span<const std::pair<std::string_view, std::string_view>> scripts();

/// The script that leases slots, as the store gets it.
std::string lease_script();
/// What it is called with after the key, and what it answers.
std::vector<std::string> lease_arguments(const std::string& member, const LeaseRequest& request);
std::vector<std::string> leave_arguments(const std::string& member);
/// The request left at `asked`, the answer was there at `answered`. `protocol` when these are not the numbers of a lease.
core::Result<Lease> read_lease(std::span<const std::int64_t> numbers, core::TimePoint asked, core::TimePoint answered);

}  // namespace stsync::limits
