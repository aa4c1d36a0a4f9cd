#pragma once
#include <string>
#include <string_view>

namespace stsync::core {

/// What this thread is at work on while it lives: should the process crash meanwhile, a note says so (note_crashes()). Inside of
/// another one it changes nothing: the outer one caused all of it. Never across a co_await. Costs a copy of `what`; any thread.
class AtWork {
 public:
  /// `what`: one word, told apart by its first 256 bytes; empty says nothing.
  explicit AtWork(std::string_view what) noexcept;
  AtWork(const AtWork&) = delete;
  AtWork& operator=(const AtWork&) = delete;
  ~AtWork();

  /// One more word for the note: what is known of it by now.
  static void add(std::string_view detail) noexcept;

 private:
  const int exceptions_;
};

/// From here on a signal that ends the process by its own fault (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT) first appends a line to
/// the file `path`, where the thread is at work on something: "<seconds since 1970> <signal> <what> [<detail>]". Then it does what
/// it did before. SIGKILL leaves nothing, nor does a signal from another process. Once, from the main thread. False: `path` is too
/// long.
bool note_crashes(const std::string& path) noexcept;

}  // namespace stsync::core
