#pragma once
#include <memory>
#include <string>
#include <vector>

namespace stsync::config {

/// Where a text comes from: a file, a variable of the environment or an option.
struct Source {
  std::string name;       ///< as shown to people
  std::string directory;  ///< what relative paths inside it are relative to
};

/// A place in a source. Lines and columns count from 1; 0: the source as a whole.
struct Where {
  std::shared_ptr<const Source> source;
  int line = 0, column = 0;
};

/// One thing wrong with a configuration: "file:line:column: what was found, what was expected".
struct Problem {
  std::string file;
  int line = 0, column = 0;  ///< from 1; 0: the whole file
  std::string message;
  std::string text() const;
};

/// Collects problems. Keeps at most kMost of each sort, so that a hostile file cannot fill the memory with complaints.
class Report {
 public:
  static constexpr std::size_t kMost = 200;
  void error(const Where& where, std::string message) { add(errors_, where, std::move(message)); }
  void warn(const Where& where, std::string message) { add(warnings_, where, std::move(message)); }
  /// Whether further errors would be left out: no need to look for them.
  bool full() const noexcept { return errors_.size() > kMost; }
  const std::vector<Problem>& errors() const noexcept { return errors_; }
  const std::vector<Problem>& warnings() const noexcept { return warnings_; }

 private:
  static void add(std::vector<Problem>& list, const Where& where, std::string message);
  std::vector<Problem> errors_, warnings_;
};

}  // namespace stsync::config
