#pragma once
#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "core/spool.hpp"

namespace stsync::core {

/// Bytes that do not change any more: in memory, or in a spool file when they are too many. Any thread.
class Body {
 public:
  Body() = default;
  explicit Body(std::string text) : text_(std::move(text)) {}
  /// `file` is mapped.
  explicit Body(std::shared_ptr<const SpoolFile> file) : file_(std::move(file)) {}

  std::string_view view() const noexcept { return file_ ? file_->view() : std::string_view(text_); }
  std::size_t size() const noexcept { return view().size(); }
  bool spooled() const noexcept { return file_ != nullptr; }
  /// Of a spooled body: [begin, end) is not needed in memory for now.
  void forget(std::size_t begin = 0, std::size_t end = std::string::npos) const noexcept {
    if (file_) file_->forget(begin, end);
  }

 private:
  std::string text_;
  std::shared_ptr<const SpoolFile> file_;
};

/// A way through a body from front to back that keeps no more of a spooled one in memory than a few MiB around where it is. Costs
/// a comparison a step.
class Passage {
 public:
  static constexpr std::size_t kWindow = 4u << 20;  ///< bytes

  explicit Passage(const Body& body) noexcept : body_(body), next_(body.spooled() ? kWindow : std::string::npos) {}
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;
  ~Passage() { body_.forget(behind_); }

  /// What stands before `offset` is done with.
  void reached(std::size_t offset) noexcept {
    if (offset >= next_) let_go(offset);
  }

 private:
  void let_go(std::size_t offset) noexcept {
    body_.forget(behind_, offset);
    behind_ = offset;
    next_ = offset + kWindow;
  }

  const Body& body_;
  std::size_t behind_ = 0;
  std::size_t next_;
};

}  // namespace stsync::core
