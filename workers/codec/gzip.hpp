#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "core/body.hpp"
#include "core/error.hpp"

namespace stsync::codec {

/// Inflates a gzip or zlib body (several gzip members are one body). Stops with `too_large` above `max_bytes`, with `malformed`
/// at damaged or cut input. Any thread.
core::Result<std::string> gunzip(std::string_view body, std::size_t max_bytes);

/// The same for what is not to be in memory as a whole: `part` gets the bytes one MiB at a time, and ends it with an error of its
/// own. Errors come after the parts before them.
core::Result<void> gunzip_parts(const core::Body& body, std::size_t max_bytes,
                                const std::function<core::Result<void>(std::string_view)>& part);

/// Deflates into one gzip member, level 1. Any thread.
std::string gzip(std::string_view body);

}  // namespace stsync::codec
