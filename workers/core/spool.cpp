#include "core/spool.hpp"

#include <cerrno>
#include <cstdlib>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

namespace stsync::core {
namespace {

Error disk_error(int code, std::string_view what) {
  // EFBIG: the process may not write larger files.
  const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
  return {full ? ErrorKind::spool_full : ErrorKind::bad_config,
          fmt::format("a body too large for memory: {}: {}", what, std::generic_category().message(code))};
}

/// -1 and errno when there is none.
int open_nameless(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  // Not every file system has files without a name; some of those take the folder for what is to be opened.
  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) return fd;
  auto name = folder + "/stsync-spool-XXXXXX";
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(name.c_str());
  return named;
}

}  // namespace

SpoolFile::~SpoolFile() {
  unmap();
  ::close(fd_);
}

void SpoolFile::unmap() noexcept {
  if (base_ != nullptr) ::munmap(const_cast<char*>(base_), mapped_);
  base_ = nullptr;
  mapped_ = 0;
}

Result<void> SpoolFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(disk_error(errno, "cannot write to worker.spool_dir"));
    size_ += static_cast<std::size_t>(n);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> SpoolFile::settle() {
  while (::fdatasync(fd_) != 0)
    if (errno != EINTR) return fail(disk_error(errno, "cannot write to worker.spool_dir"));
  return {};
}

Result<void> SpoolFile::map() {
  unmap();
  if (size_ == 0) return {};
  // Every byte was written, so none of them needs room on the disk when it is read.
  void* at = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd_, 0);
  if (at == MAP_FAILED) return fail(disk_error(errno, "cannot map it"));
  base_ = static_cast<const char*>(at);
  mapped_ = size_;
  return {};
}

void SpoolFile::forget(std::size_t begin, std::size_t end) const noexcept {
  static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  begin -= begin % page;
  end = end >= mapped_ ? mapped_ : end - end % page;
  if (begin < end) ::madvise(const_cast<char*>(base_) + begin, end - begin, MADV_DONTNEED);
}

Spool::Spool(std::string folder) : folder_(std::move(folder)) {}

Result<std::shared_ptr<SpoolFile>> Spool::create() {
  const int fd = open_nameless(folder_);
  if (fd < 0) return fail(disk_error(errno, fmt::format("cannot create a file in worker.spool_dir '{}'", folder_)));
  const auto free_there = [thread = writer()](SpoolFile* file) {
    boost::asio::post(thread, [owned = std::unique_ptr<SpoolFile>(file)] {});
  };
  return std::shared_ptr<SpoolFile>(new SpoolFile(fd), free_there);
}

}  // namespace stsync::core
