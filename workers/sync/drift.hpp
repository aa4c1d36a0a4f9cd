#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "stsync/v1/journal.pb.h"

namespace stsync::sync {

/// Notices when the fields of a stream's records change: names at their top level that were never seen before, and names that a
/// whole job did not have. Each is told once in the life of a stream; the first job learns and tells nothing. What is known stands
/// in the stream's state, so that a restart or another worker goes on from there. Pure.
class Drift {
 public:
  static constexpr std::size_t kMostNames = 300;      ///< of a stream; further ones are neither kept nor told
  static constexpr std::int64_t kFewestRecords = 20;  ///< of a job that may say what is gone

  /// For the job `job`, `whole` when it is at its beginning.
  Drift(const v1::StreamState& stream, std::string job, bool whole);

  /// Names of a page, as codec::Page::names has them. Gives those that are to be told.
  std::vector<std::string> look(const std::vector<std::string>& names);
  /// The job has come to its end with so many records. Gives the names that are gone.
  std::vector<std::string> end(std::int64_t records);
  /// Brings the stream's state up to date; false: it was already.
  bool write(v1::StreamState& stream);

 private:
  struct Name {
    bool seen = false;  ///< by this job
    bool gone = false;  ///< and told
  };
  const std::string job_;
  std::string learner_;  ///< the first job of the stream
  std::map<std::string, Name> known_;
  std::set<std::string> looked_at_;  ///< as written in the records: names that need no second look
  bool whole_;
  bool changed_ = false;
};

/// "fields never seen before: a, b; fields gone: c": one line, of bounded length. Empty when there is nothing to tell.
std::string drift_note(const std::vector<std::string>& appeared, const std::vector<std::string>& vanished);

}  // namespace stsync::sync
