#include "codec/gzip.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>
#include <zlib.h>

namespace stsync::codec {
namespace {

using core::ErrorKind;

constexpr int kGzipOrZlib = 15 + 32;
constexpr int kGzip = 15 + 16;
constexpr std::size_t kPart = 1u << 20;

Bytef* bytes(const char* p) { return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(p)); }

core::Error above(std::size_t max_bytes) {
  return {ErrorKind::too_large, fmt::format("the body inflates to more than {} bytes", max_bytes)};
}

/// Inflates into whatever room it is given. The text outlives it.
class Inflater {
 public:
  explicit Inflater(std::string_view text) : text_(text) { core::check(inflateInit2(&z_, kGzipOrZlib) == Z_OK, "inflateInit2"); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&z_); }

  /// How many bytes came, at least one; 0: that was all. At most 1 GiB at once.
  core::Result<std::size_t> read(char* into, std::size_t room) {
    z_.next_out = bytes(into);
    z_.avail_out = static_cast<uInt>(std::min<std::size_t>(room, kAtOnce));
    const auto wanted = z_.avail_out;
    while (z_.avail_out == wanted && !ended_)
      if (auto ok = step(); !ok) return core::fail(ok.error());
    return wanted - z_.avail_out;
  }
  /// How much of the text is behind it.
  std::size_t consumed() const noexcept { return given_ - z_.avail_in; }

 private:
  core::Result<void> step() {
    if (z_.avail_in == 0) {  // zlib counts in 32 bits
      const auto next = text_.substr(given_, kAtOnce);
      z_.next_in = bytes(next.data());
      z_.avail_in = static_cast<uInt>(next.size());
      given_ += next.size();
    }
    const bool last = given_ == text_.size();
    const int rc = inflate(&z_, Z_NO_FLUSH);
    if (rc == Z_STREAM_END) {
      ended_ = last && z_.avail_in == 0;
      if (!ended_ && inflateReset(&z_) != Z_OK) return core::fail(ErrorKind::malformed, "damaged gzip data");
      return {};
    }
    if (rc != Z_OK && rc != Z_BUF_ERROR) return core::fail(ErrorKind::malformed, "damaged gzip data");
    if (last && z_.avail_in == 0 && z_.avail_out != 0) return core::fail(ErrorKind::malformed, "gzip data is cut off");
    return {};
  }

  static constexpr std::size_t kAtOnce = 1u << 30;
  std::string_view text_;
  std::size_t given_ = 0;
  z_stream z_{};
  bool ended_ = false;
};

}  // namespace

core::Result<std::string> gunzip(std::string_view body, std::size_t max_bytes) {
  // What is that large does not belong into memory, and most of it would be no gzip data anyway.
  if (body.size() > std::numeric_limits<uInt>::max())
    return core::fail(ErrorKind::too_large, "a compressed body of more than 4 GiB");
  max_bytes = std::min(max_bytes, SIZE_MAX - 1);  // there is one more to count
  Inflater in(body);
  std::string out;
  out.resize(std::clamp<std::size_t>(body.size() * 4, 4096, std::max<std::size_t>(max_bytes, 4096)));
  std::size_t written = 0;
  for (;;) {
    if (written == out.size()) out.resize(std::min(out.size() * 2, max_bytes + 1));
    const auto n = in.read(out.data() + written, out.size() - written);
    if (!n) return core::fail(n.error());
    if (*n == 0) break;
    written += *n;
    if (written > max_bytes) return core::fail(above(max_bytes));
  }
  out.resize(written);
  return out;
}

core::Result<void> gunzip_parts(const core::Body& body, std::size_t max_bytes,
                                const std::function<core::Result<void>(std::string_view)>& part) {
  core::Passage passage(body);
  Inflater in(body.view());
  std::string room(kPart, '\0');
  std::size_t written = 0;
  for (;;) {
    const auto n = in.read(room.data(), room.size());
    if (!n) return core::fail(n.error());
    if (*n == 0) return {};
    written += *n;
    if (written > max_bytes) return core::fail(above(max_bytes));
    if (auto ok = part(std::string_view(room).substr(0, *n)); !ok) return ok;
    passage.reached(in.consumed());
  }
}

std::string gzip(std::string_view body) {
  z_stream z{};
  core::check(deflateInit2(&z, 1, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) == Z_OK, "deflateInit2");
  std::string out;
  out.resize(deflateBound(&z, static_cast<uLong>(body.size())));
  z.next_in = bytes(body.data());
  z.avail_in = static_cast<uInt>(body.size());
  z.next_out = bytes(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  core::check(deflate(&z, Z_FINISH) == Z_STREAM_END, "deflate");
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

}  // namespace stsync::codec
