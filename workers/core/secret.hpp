#pragma once
#include <string>
#include <utility>

namespace stsync::core {

/// A text that must never be printed. There is no conversion and no stream operator; reveal() names the few places that need it.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}
  const std::string& reveal() const noexcept { return text_; }
  bool empty() const noexcept { return text_.empty(); }
  friend bool operator==(const Secret&, const Secret&) = default;

 private:
  std::string text_;
};

}  // namespace stsync::core
