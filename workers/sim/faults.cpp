#include "sim/faults.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/text.hpp"
#include "sim/mangle.hpp"

namespace stsync::sim {
namespace {

using core::ErrorKind;
using core::fail;

constexpr std::size_t kMaxFaults = 1000;
constexpr std::int64_t kMaxNumber = 1'000'000'000'000;

bool is_number_field(std::string_view name) {
  constexpr std::array<std::string_view, 6> names{"count", "every", "delay_ms", "drip_ms", "status", "cut_body"};
  return std::find(names.begin(), names.end(), name) != names.end();
}

core::Result<void> set_field(Fault& fault, const std::string& name, const std::string& value) {
  const auto number = core::parse_int(value);
  const bool natural = number && *number >= 0 && *number <= kMaxNumber;
  if (name == "path_contains") {
    fault.path_contains = value;
  } else if (name == "retry_after") {
    fault.retry_after = value;
  } else if (name == "body") {
    if (value != "object" && value != "apim" && value != "html" && value != "empty")
      return fail(ErrorKind::bad_data, "'body' is object, apim, html or empty");
    fault.body = value;
  } else if (name == "garbage" || name == "repeat_token" || name == "reset") {
    (name == "garbage" ? fault.garbage : name == "reset" ? fault.reset : fault.repeat_token) = value == "true";
  } else if (name == "text" || name == "raw") {
    (name == "text" ? fault.text.emplace() : fault.raw) = value;
  } else if (name == "mangle") {
    if (!is_mangle(value)) return fail(ErrorKind::bad_data, fmt::format("'mangle' is one of {}", mangle_names()));
    fault.mangle = value;
  } else if (!is_number_field(name)) {
    return fail(ErrorKind::bad_data, fmt::format("unknown field '{}'", core::printable(name)));
  } else if (!natural || (name == "status" && (*number < 200 || *number > 599)) ||
             (name.ends_with("_ms") && *number > 86'400'000) || (name == "every" && *number == 0)) {
    return fail(ErrorKind::bad_data, fmt::format("'{}' is out of range", name));
  } else if (name == "count") {
    fault.count = static_cast<std::uint64_t>(*number);
  } else if (name == "every") {
    fault.every = static_cast<std::uint64_t>(*number);
  } else if (name == "delay_ms" || name == "drip_ms") {
    (name == "delay_ms" ? fault.delay : fault.drip) = std::chrono::milliseconds(*number);
  } else if (name == "status") {
    fault.status = static_cast<int>(*number);
  } else {
    fault.cut_body = static_cast<std::size_t>(*number);
  }
  return {};
}

}  // namespace

core::Result<void> Faults::add(const std::map<std::string, std::string>& fields) {
  Fault fault;
  for (const auto& [name, value] : fields)
    if (auto set = set_field(fault, name, value); !set) return set;
  if (faults_.size() >= kMaxFaults) return fail(ErrorKind::bad_data, "too many faults");
  if (fault.count > 0) faults_.push_back(std::move(fault));
  return {};
}

std::optional<Fault> Faults::take(std::string_view path_and_query) {
  for (auto at = faults_.begin(); at != faults_.end(); ++at) {
    if (path_and_query.find(at->path_contains) == std::string_view::npos) continue;
    if (at->repeat_token && path_and_query.find("/export/") == std::string_view::npos) continue;
    if (++at->met % at->every != 0) continue;
    auto fault = *at;
    if (--at->count == 0) faults_.erase(at);
    return fault;
  }
  return std::nullopt;
}

}  // namespace stsync::sim
