#pragma once
#include <span>
#include <string>
#include <string_view>

#include "core/clock.hpp"
#include "telemetry/log.hpp"

namespace stsync::telemetry {

enum class LogFormat { json, text, colour_text };

/// One line with its line end. Control characters and bytes that are no UTF-8 are escaped or replaced, long texts cut, so that
/// nothing from outside can forge a second line, move a terminal's cursor or break a JSON reader.
std::string format_line(LogFormat format, core::WallTime time, Level level, std::string_view event, std::string_view message,
                        std::span<const Field> fields);

}  // namespace stsync::telemetry
