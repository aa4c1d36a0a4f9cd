#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/run_on.hpp"

namespace stsync::core {

/// That the process crashed while it was at work on something.
struct CrashNote {
  std::int64_t seconds = 0;  ///< since 1970
  int signal = 0;
  std::string what;
  std::string detail;  ///< may be empty
};

/// What earlier lives of the process crashed at: the lines that note_crashes() wrote. Anything else that stands among them is left
/// out, so is what is older than a day, or newer than now by a day, and all but the newest thousand.
class CrashNotes {
 public:
  CrashNotes() = default;
  CrashNotes(std::string_view text, WallTime now);

  /// The newest note of what crashed the process at least twice; nothing where it did not. Once may be anything's fault.
  std::optional<CrashNote> repeated(std::string_view what) const;
  void forget(std::string_view what);
  const std::vector<CrashNote>& all() const noexcept { return notes_; }
  std::string text() const;

 private:
  std::vector<CrashNote> notes_;  ///< the oldest first
};

/// The notes of one worker, in a file that outlives it. One thread.
class CrashNoteFile {
 public:
  /// "stsync-<group>-<instance>.crashes" in a folder.
  static std::string path_of(const std::string& folder, std::string_view group, std::string_view instance);
  /// Reads it, and drops from it what is not needed any more. No file is no notes. May wait for the disk.
  CrashNoteFile(std::string path, WallTime now);

  /// Why no notes can be taken; nothing: they can.
  const std::optional<Error>& problem() const noexcept { return problem_; }
  const std::string& path() const noexcept { return path_; }
  const CrashNotes& notes() const noexcept { return notes_; }
  /// What is settled and will not be tried again. Written by a thread of its own.
  void forget(const std::string& what);

 private:
  const std::string path_;
  std::optional<Error> problem_;
  CrashNotes notes_;
  std::optional<ThreadPool> writer_;
};

}  // namespace stsync::core
