#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

namespace stsync::telemetry {

enum class Level { debug, info, warn, error };

/// One named value of a log line. Text is escaped; numbers stay numbers in JSON.
struct Field {
  std::string_view name;
  std::string text;
  bool number = false;
  Field(std::string_view n, std::string_view v) : name(n), text(v) {}
  Field(std::string_view n, const char* v) : name(n), text(v) {}
  Field(std::string_view n, const std::string& v) : name(n), text(v) {}
  template <class T>
    requires std::is_arithmetic_v<T>
  Field(std::string_view n, T v) : name(n), text(std::to_string(v)), number(true) {}
};

/// Sends log lines to stderr: JSON ({"time","level","event","message",fields…}, one line each) or text. Lines wait in a bounded
/// queue that drops the oldest when stderr is blocked, so logging never stops the loop. Call once at start; before it, and after
/// log_shutdown(), lines are dropped except errors, which go to stderr as text.
void log_start(std::string_view format, std::string_view level);
void log_shutdown();
/// Lines that were dropped since it was last asked. Any thread.
std::uint64_t log_lines_dropped();

/// `event`: a fixed snake_case name. Never a secret or a body. Any thread.
void log(Level level, std::string_view event, std::string_view message, std::initializer_list<Field> fields = {});
/// As log(), but at most once in `seconds` for the same event; the next line says how many were left out.
void log_rarely(Level level, std::string_view event, int seconds, std::string_view message,
                std::initializer_list<Field> fields = {});

}  // namespace stsync::telemetry
