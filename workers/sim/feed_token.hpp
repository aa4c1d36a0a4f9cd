#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sim/dataset.hpp"

namespace stsync::sim {

/// The continuation token of a place in an export feed: opaque, valid for ever, for this tenant and resource only.
std::string make_feed_token(std::uint64_t seed, const Dataset& dataset, Dataset::Position at);
/// Nothing when the token is not one of this feed.
std::optional<Dataset::Position> read_feed_token(std::uint64_t seed, const Dataset& dataset, std::string_view token);

}  // namespace stsync::sim
