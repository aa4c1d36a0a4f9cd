#pragma once
#include <cstddef>
#include <optional>

#include "core/spool.hpp"
#include "http/client.hpp"
#include "servicetitan/page_source.hpp"

namespace stsync::servicetitan {

struct PageLimits {
  std::size_t in_memory;    ///< bytes of a body, as sent or inflated; a larger one goes through files
  std::size_t max_body;     ///< bytes of a body, as sent or inflated
  std::size_t max_records;  ///< of a page: the list of them is in memory
};

/// An answer as a page: inflated, checked, cut. Nothing where it has more than limits.in_memory bytes: then `response` is as it
/// was, for read_large_page(). Errors: protocol (an unknown Content-Encoding), malformed, too_large. Any thread.
std::optional<core::Result<FetchedPage>> read_page(http::Response& response, const codec::RecordFields& fields,
                                                   const PageLimits& limits);

/// The same through files, with little of it in memory at a time. Errors also of core::SpoolFile. Any thread that may wait for the
/// disk.
core::Result<FetchedPage> read_large_page(http::Response response, const codec::RecordFields& fields, const PageLimits& limits,
                                          core::Spool& spool);

}  // namespace stsync::servicetitan
