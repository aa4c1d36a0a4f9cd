#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "stage/stage.hpp"

namespace stsync::chaos {

/// The workers of a run: they die and are started again, each under the first identity that is free.
class Workers {
 public:
  Workers(const test::Stage& stage, std::size_t count);

  std::size_t size() const noexcept { return running_.size(); }
  /// SIGKILL, and another one in its place.
  void kill(std::size_t which);
  /// SIGTERM, and another one once it has ended. Throws where it does not end, or not well.
  void replace(std::size_t which);
  void freeze(std::size_t which);
  void thaw(std::size_t which);
  /// Those that ended by themselves, replaced by others: how many. A worker that woke up after its session may be told that
  /// another one has its identity (exit 69); any other end is a failure.
  std::size_t revive();
  /// What they wrote to stderr that no worker should: a line each.
  const std::vector<std::string>& complaints() const noexcept { return complaints_; }
  /// Everything that the ended ones wrote to stderr, one after the other.
  const std::string& logs() const noexcept { return logs_; }
  /// Ends all of them.
  void stop();

 private:
  void start(std::size_t which);
  void look_at(const test::Process& ended);

  const test::Stage& stage_;
  std::vector<std::unique_ptr<test::Process>> running_;
  std::vector<std::string> complaints_;
  std::string logs_;
};

}  // namespace stsync::chaos
