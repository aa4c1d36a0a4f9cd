#include "core/crash_notes.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "core/text.hpp"

namespace stsync::core {
namespace {

constexpr std::int64_t kDay = 86'400;
constexpr std::size_t kMostNotes = 1000;
constexpr std::size_t kMostBytes = 1u << 20;
constexpr std::size_t kLine = 600;
constexpr std::int64_t kMostSignal = 64;
constexpr int kTimes = 2;

/// A word of printable characters, and the rest of the line without it.
std::string_view take_word(std::string_view& line) {
  const auto end = std::min(line.find(' '), line.size());
  const auto word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

bool printable_line(std::string_view line) {
  return line.size() <= kLine && std::all_of(line.begin(), line.end(), [](unsigned char c) { return c >= ' ' && c < 0x7f; });
}

std::optional<CrashNote> parse(std::string_view line, std::int64_t now) {
  if (!printable_line(line)) return std::nullopt;
  const auto seconds = parse_int(take_word(line));
  const auto signal = parse_int(take_word(line));
  CrashNote note;
  note.what = take_word(line);
  note.detail = take_word(line);
  if (!seconds || !signal || note.what.empty() || !line.empty() || *signal < 1 || *signal > kMostSignal) return std::nullopt;
  if (*seconds < now - kDay || *seconds > now + kDay) return std::nullopt;
  note.seconds = *seconds;
  note.signal = static_cast<int>(*signal);
  return note;
}

Error disk_error(const std::string& path) {
  return {ErrorKind::bad_config,
          fmt::format("worker.spool_dir: crashes cannot be noted in {}: {}", path, std::generic_category().message(errno))};
}

/// The end of the file: the newest notes.
Result<std::string> read_end(const std::string& path) {
  // Made where it is not there: so it shows now whether a note could be written.
  const int fd = ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0600);
  if (fd < 0) return fail(disk_error(path));
  const auto size = ::lseek(fd, 0, SEEK_END);
  ::lseek(fd, std::max<off_t>(0, size - static_cast<off_t>(kMostBytes)), SEEK_SET);
  std::string text;
  std::array<char, 16u << 10> part{};
  ssize_t n = 0;
  while (text.size() < kMostBytes && (n = ::read(fd, part.data(), part.size())) > 0)
    text.append(part.data(), static_cast<std::size_t>(n));
  const auto wrong = n < 0 ? std::optional(disk_error(path)) : std::nullopt;
  ::close(fd);
  if (wrong) return fail(*wrong);
  return text;
}

/// Whole or not at all. A note that is lost meanwhile is one crash more before something is set aside.
void replace(const std::string& path, const std::string& text) {
  const auto fresh = path + ".new";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return;
  const bool whole = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(fd);
  if (!whole || std::rename(fresh.c_str(), path.c_str()) != 0) ::unlink(fresh.c_str());
}

}  // namespace

CrashNotes::CrashNotes(std::string_view text, WallTime now) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    if (auto note = parse(text.substr(0, end), seconds)) notes_.push_back(std::move(*note));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (notes_.size() > kMostNotes) notes_.erase(notes_.begin(), notes_.end() - kMostNotes);
}

std::optional<CrashNote> CrashNotes::repeated(std::string_view what) const {
  const auto is_it = [what](const CrashNote& note) { return note.what == what; };
  if (std::count_if(notes_.begin(), notes_.end(), is_it) < kTimes) return std::nullopt;
  return *std::find_if(notes_.rbegin(), notes_.rend(), is_it);
}

void CrashNotes::forget(std::string_view what) {
  std::erase_if(notes_, [what](const CrashNote& note) { return note.what == what; });
}

std::string CrashNotes::text() const {
  std::string out;
  for (const auto& note : notes_)
    out += fmt::format("{} {} {}{}{}\n", note.seconds, note.signal, note.what, note.detail.empty() ? "" : " ", note.detail);
  return out;
}

std::string CrashNoteFile::path_of(const std::string& folder, std::string_view group, std::string_view instance) {
  auto name = fmt::format("stsync-{}-{}", group, instance);
  for (auto& c : name)
    if (c == '/' || static_cast<unsigned char>(c) <= ' ') c = '_';
  return folder + "/" + name + ".crashes";
}

CrashNoteFile::CrashNoteFile(std::string path, WallTime now) : path_(std::move(path)) {
  const auto text = read_end(path_);
  if (!text) {
    problem_ = text.error();
    return;
  }
  notes_ = CrashNotes(*text, now);
  if (auto kept = notes_.text(); kept != *text) replace(path_, kept);
}

void CrashNoteFile::forget(const std::string& what) {
  notes_.forget(what);
  if (!writer_) writer_.emplace("notes", 1);
  boost::asio::post(writer_->executor(), [path = path_, text = notes_.text()] { replace(path, text); });
}

}  // namespace stsync::core
