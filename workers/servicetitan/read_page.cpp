#include "servicetitan/read_page.hpp"

#include <algorithm>
#include <utility>

#include "codec/gzip.hpp"
#include "core/text.hpp"

namespace stsync::servicetitan {
namespace {

using core::ErrorKind;
using core::Result;
using File = std::shared_ptr<core::SpoolFile>;

Result<bool> is_gzip(const http::Response& response) {
  const auto* encoding = http::find_header(response.headers, "Content-Encoding");
  if (encoding == nullptr || *encoding == "identity") return false;
  if (*encoding == "gzip") return true;
  return core::fail(ErrorKind::protocol, "unknown Content-Encoding " + core::printable(*encoding, 40));
}

Result<File> inflate(http::Response response, const PageLimits& limits, core::Spool& spool) {
  auto file = spool.create();
  if (!file) return file;
  if (response.spooled)
    if (auto mapped = response.spooled->map(); !mapped) return core::fail(mapped.error());
  const auto wire = response.spooled ? core::Body(std::move(response.spooled)) : core::Body(std::move(response.body));
  const auto append = [&file](std::string_view part) { return (*file)->append(part); };
  if (auto inflated = codec::gunzip_parts(wire, limits.max_body, append); !inflated) return core::fail(inflated.error());
  return file;
}

/// What records say of themselves (key, modification time), written behind the page they come from. Crawls look at these of every
/// record: next to each other they take little memory, where they come from they would bring in the whole page.
class Digest {
 public:
  explicit Digest(core::SpoolFile& file) : file_(file), page_(file.view()), end_(file.size()) {}

  Result<void> add(codec::Record& record) {
    if (auto ok = move(record.key); !ok) return ok;
    return move(record.modified);
  }
  Result<void> write() {
    auto written = file_.append(text_);
    text_.clear();
    return written;
  }

 private:
  Result<void> move(codec::Slice& slice) {
    if (slice.empty()) return {};
    if (end_ + slice.length > codec::kMaxPage)
      return core::fail(ErrorKind::too_large, "a page of more than 4 GiB with the keys of its records");
    text_ += slice.in(page_);
    slice.offset = static_cast<std::uint32_t>(end_);
    end_ += slice.length;
    return text_.size() < kPart ? Result<void>() : write();
  }

  static constexpr std::size_t kPart = 1u << 20;
  core::SpoolFile& file_;
  const std::string_view page_;
  std::size_t end_;
  std::string text_;
};

Result<FetchedPage> cut(const File& file, const codec::RecordFields& fields, const PageLimits& limits) {
  if (auto mapped = file->map(); !mapped) return core::fail(mapped.error());
  Digest digest(*file);
  auto page = codec::cut_large_page(core::Body(file), fields, limits.max_records,
                                    [&digest](codec::Record& record) { return digest.add(record); });
  if (!page) return core::fail(page.error());
  if (auto written = digest.write(); !written) return core::fail(written.error());
  // Only what the disk has confirmed is published: it is read again from there where memory is short.
  if (auto settled = file->settle(); !settled) return core::fail(settled.error());
  if (auto mapped = file->map(); !mapped) return core::fail(mapped.error());
  page->records.shrink_to_fit();
  return FetchedPage{std::make_shared<const core::Body>(file), std::move(*page)};
}

}  // namespace

std::optional<Result<FetchedPage>> read_page(http::Response& response, const codec::RecordFields& fields,
                                             const PageLimits& limits) {
  if (response.spooled) return std::nullopt;
  const auto gzip = is_gzip(response);
  if (!gzip) return core::fail(gzip.error());
  std::string inflated;
  if (*gzip) {
    auto text = codec::gunzip(response.body, limits.in_memory);
    if (!text && text.error().kind() == ErrorKind::too_large) return std::nullopt;
    if (!text) return core::fail(text.error());
    inflated = std::move(*text);
  }
  auto body = std::make_shared<const core::Body>(std::move(*gzip ? inflated : response.body));
  auto page = codec::cut_page(body->view(), fields, limits.max_records);
  if (!page) return core::fail(page.error());
  return FetchedPage{std::move(body), std::move(*page)};
}

Result<FetchedPage> read_large_page(http::Response response, const codec::RecordFields& fields, const PageLimits& limits,
                                    core::Spool& spool) {
  const auto gzip = is_gzip(response);
  if (!gzip) return core::fail(gzip.error());
  if (!*gzip) return cut(response.spooled, fields, limits);
  const auto file = inflate(std::move(response), limits, spool);
  if (!file) return core::fail(file.error());
  return cut(*file, fields, limits);
}

}  // namespace stsync::servicetitan
