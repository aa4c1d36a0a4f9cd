#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "core/error.hpp"

namespace stsync::codec {

/// Inflates a gzip or zlib body (several gzip members are one body). Stops with `too_large` above `max_bytes`, with `malformed`
/// at damaged or cut input. Any thread.
core::Result<std::string> gunzip(std::string_view body, std::size_t max_bytes);

/// Deflates into one gzip member, level 1. Any thread.
std::string gzip(std::string_view body);

}  // namespace stsync::codec
