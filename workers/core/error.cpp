#include "core/error.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace stsync::core {
namespace {
constexpr auto kNames = std::to_array<std::pair<ErrorKind, std::string_view>>({
    {ErrorKind::cancelled, "cancelled"},
    {ErrorKind::timeout, "timeout"},
    {ErrorKind::network, "network"},
    {ErrorKind::tls, "tls"},
    {ErrorKind::protocol, "protocol"},
    {ErrorKind::too_large, "too_large"},
    {ErrorKind::spool_full, "spool_full"},
    {ErrorKind::throttled, "throttled"},
    {ErrorKind::unauthorized, "unauthorized"},
    {ErrorKind::forbidden, "forbidden"},
    {ErrorKind::not_found, "not_found"},
    {ErrorKind::bad_request, "bad_request"},
    {ErrorKind::maintenance, "maintenance"},
    {ErrorKind::server, "server"},
    {ErrorKind::malformed, "malformed"},
    {ErrorKind::no_progress, "no_progress"},
    {ErrorKind::unstable_list, "unstable_list"},
    {ErrorKind::cursor_lost, "cursor_lost"},
    {ErrorKind::restarted, "restarted"},
    {ErrorKind::expired, "expired"},
    {ErrorKind::dead_letters, "dead_letters"},
    {ErrorKind::tenant_mismatch, "tenant_mismatch"},
    {ErrorKind::unknown_resource, "unknown_resource"},
    {ErrorKind::unsupported, "unsupported"},
    {ErrorKind::broker, "broker"},
    {ErrorKind::fenced, "fenced"},
    {ErrorKind::doubt, "doubt"},
    {ErrorKind::bad_data, "bad_data"},
    {ErrorKind::bad_config, "bad_config"},
    {ErrorKind::internal, "internal"},
});
}  // namespace

std::string_view to_string(ErrorKind kind) noexcept {
  for (const auto& [k, name] : kNames)
    if (k == kind) return name;
  return "internal";
}

std::optional<ErrorKind> error_kind(std::string_view name) noexcept {
  for (const auto& [k, n] : kNames)
    if (n == name) return k;
  return std::nullopt;
}

Error& Error::within(std::string_view what) {
  message_ = "while " + std::string(what) + ": " + message_;
  return *this;
}

void check(bool condition, const char* what) noexcept {
  if (condition) return;
  std::fprintf(stderr, "stsync: bug: %s\n", what);
  std::abort();
}

}  // namespace stsync::core
