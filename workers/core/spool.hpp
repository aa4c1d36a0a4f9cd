#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "core/error.hpp"
#include "core/run_on.hpp"

namespace stsync::core {

/// A temporary file without a name, written from front to back and read through a mapping: whatever ends the process, nothing is
/// left behind. Its functions may wait for the disk, so they belong on helper threads. One thread at a time; what is mapped may be
/// read by any.
class SpoolFile {
 public:
  explicit SpoolFile(int fd) noexcept : fd_(fd) {}
  SpoolFile(const SpoolFile&) = delete;
  SpoolFile& operator=(const SpoolFile&) = delete;
  ~SpoolFile();

  /// spool_full: no room for them; bad_config: anything else that the disk says.
  Result<void> append(std::string_view bytes);
  /// Waits until everything written is on the disk, which is when some of them (network disks, thin volumes) first say that they
  /// have no room. Errors as append().
  Result<void> settle();
  /// Makes everything written so far readable in view(). bad_config: the system has no room for a mapping.
  Result<void> map();

  std::size_t size() const noexcept { return size_; }
  /// As of the last map(). A disk that cannot read what it has confirmed ends the process (SIGBUS).
  std::string_view view() const noexcept { return {base_, mapped_}; }
  /// Bytes of view() that this process need not have in memory for now; looked at again they come back.
  void forget(std::size_t begin, std::size_t end) const noexcept;

 private:
  void unmap() noexcept;

  int fd_;
  std::size_t size_ = 0;
  const char* base_ = nullptr;
  std::size_t mapped_ = 0;
};

/// The folder of such files and the thread that writes to them. Outlives its files.
class Spool {
 public:
  /// Does not look at the folder.
  explicit Spool(std::string folder);

  /// bad_config: files cannot be made there; spool_full. May wait for the disk. The file may be let go of on any thread: it is
  /// freed on the spool's own, because that takes long for a large one.
  Result<std::shared_ptr<SpoolFile>> create();
  /// For writing, step by step; long work belongs elsewhere.
  boost::asio::any_io_executor writer() { return thread_.executor(); }

 private:
  const std::string folder_;
  ThreadPool thread_{"spool", 1};
};

}  // namespace stsync::core
