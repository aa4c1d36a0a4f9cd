#include "sync/drift.hpp"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "codec/page.hpp"
#include "core/text.hpp"

namespace stsync::sync {
namespace {

constexpr std::size_t kNameBytes = 64;
constexpr std::size_t kNamesTold = 20;

/// How a name is kept and told: short and printable, whatever the vendor sends. So it holds no line end.
std::string shown(const std::string& name) {
  if (name.find('\\') == std::string::npos) return core::printable(name, kNameBytes);
  return core::printable(codec::json_text('"' + name + '"').value_or(name), kNameBytes);
}

template <class OnLine>
void each_line(std::string_view text, OnLine on_line) {
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    on_line(std::string(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void add_line(std::string& text, const std::string& line) {
  if (!text.empty()) text += '\n';
  text += line;
}

std::string list(std::string_view what, const std::vector<std::string>& names) {
  if (names.empty()) return {};
  const auto told = std::min(names.size(), kNamesTold);
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(told);
  const auto more = names.size() > told ? fmt::format(" and {} more", names.size() - told) : std::string();
  return fmt::format("fields {}: {}{}", what, fmt::join(names.begin(), end, ", "), more);
}

}  // namespace

Drift::Drift(const v1::StreamState& stream, std::string job, bool whole)
    : job_(std::move(job)), learner_(stream.fields_job()), whole_(whole) {
  each_line(stream.fields(), [this](std::string name) { known_.emplace(std::move(name), Name{}); });
  each_line(stream.vanished_fields(), [this](const std::string& name) {
    if (const auto at = known_.find(name); at != known_.end()) at->second.gone = true;
  });
}

std::vector<std::string> Drift::look(const std::vector<std::string>& names) {
  std::vector<std::string> out;
  if (names.size() >= codec::kMostNames) whole_ = false;  // there may have been more
  for (const auto& written : names) {
    if (looked_at_.contains(written)) continue;
    if (looked_at_.size() < 2 * kMostNames) looked_at_.insert(written);
    const auto name = shown(written);
    if (const auto at = known_.find(name); at != known_.end()) {
      at->second.seen = true;
      continue;
    }
    if (known_.size() >= kMostNames || name.empty()) continue;
    if (known_.empty() && learner_.empty()) learner_ = job_;
    known_[name].seen = true;
    changed_ = true;
    if (learner_ != job_) out.push_back(name);
  }
  return out;
}

std::vector<std::string> Drift::end(std::int64_t records) {
  std::vector<std::string> out;
  if (!whole_ || records < kFewestRecords || learner_ == job_) return out;
  for (auto& [name, state] : known_) {
    if (state.seen || state.gone) continue;
    state.gone = changed_ = true;
    out.push_back(name);
  }
  return out;
}

bool Drift::write(v1::StreamState& stream) {
  if (!changed_) return false;
  changed_ = false;
  stream.set_fields_job(learner_);
  stream.clear_fields();
  stream.clear_vanished_fields();
  for (const auto& [name, state] : known_) {
    add_line(*stream.mutable_fields(), name);
    if (state.gone) add_line(*stream.mutable_vanished_fields(), name);
  }
  return true;
}

std::string drift_note(const std::vector<std::string>& appeared, const std::vector<std::string>& vanished) {
  const auto separator = appeared.empty() || vanished.empty() ? "" : "; ";
  return list("never seen before", appeared) + separator + list("gone", vanished);
}

}  // namespace stsync::sync
