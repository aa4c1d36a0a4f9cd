#include "codec/gzip.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>
#include <zlib.h>

namespace stsync::codec {
namespace {

constexpr int kGzipOrZlib = 15 + 32;
constexpr int kGzip = 15 + 16;

struct Inflater {
  z_stream z{};
  bool ok = inflateInit2(&z, kGzipOrZlib) == Z_OK;
  ~Inflater() { inflateEnd(&z); }
};

Bytef* bytes(const char* p) { return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(p)); }

}  // namespace

core::Result<std::string> gunzip(std::string_view body, std::size_t max_bytes) {
  using core::ErrorKind;
  // zlib counts in 32 bits: it would see the first part and, with luck, take it for the whole.
  if (body.size() > std::numeric_limits<uInt>::max())
    return core::fail(ErrorKind::too_large, "a compressed body of more than 4 GiB");
  Inflater in;
  core::check(in.ok, "inflateInit2");
  std::string out;
  out.resize(std::clamp<std::size_t>(body.size() * 4, 4096, std::max<std::size_t>(max_bytes, 4096)));
  std::size_t written = 0;
  in.z.next_in = bytes(body.data());
  in.z.avail_in = static_cast<uInt>(body.size());
  for (;;) {
    if (written == out.size()) {
      if (written > max_bytes)
        return core::fail(ErrorKind::too_large, fmt::format("the body inflates to more than {} bytes", max_bytes));
      out.resize(std::min(out.size() * 2, max_bytes + 1));
    }
    in.z.next_out = bytes(out.data()) + written;
    in.z.avail_out = static_cast<uInt>(std::min<std::size_t>(out.size() - written, 1u << 30));
    const auto before = in.z.avail_out;
    const int rc = inflate(&in.z, Z_NO_FLUSH);
    written += before - in.z.avail_out;
    if (written > max_bytes)
      return core::fail(ErrorKind::too_large, fmt::format("the body inflates to more than {} bytes", max_bytes));
    if (rc == Z_STREAM_END) {
      if (in.z.avail_in == 0) break;
      if (inflateReset(&in.z) != Z_OK) return core::fail(ErrorKind::malformed, "damaged gzip data");
      continue;
    }
    if (rc == Z_BUF_ERROR && in.z.avail_in == 0) return core::fail(ErrorKind::malformed, "gzip data is cut off");
    if (rc != Z_OK && rc != Z_BUF_ERROR) return core::fail(ErrorKind::malformed, "damaged gzip data");
    if (in.z.avail_in == 0 && in.z.avail_out != 0) return core::fail(ErrorKind::malformed, "gzip data is cut off");
  }
  out.resize(written);
  return out;
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
