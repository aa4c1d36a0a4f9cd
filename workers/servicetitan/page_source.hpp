#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "codec/page.hpp"
#include "core/body.hpp"
#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/stop.hpp"
#include "limits/fair_ring.hpp"
#include "servicetitan/crawl.hpp"
#include "tokens/tokens.hpp"

namespace stsync::servicetitan {

/// A page of the API, whole and checked. Behind a page that is spooled stand the keys of its records once more.
struct FetchedPage {
  std::shared_ptr<const core::Body> body;
  codec::Page page;
  int status = 200;
  PageView view() const { return {body->view(), page, status}; }
};

/// What the calls of a job cost, and what it should tell its user while it waits.
struct CallLog {
  std::int64_t calls = 0;
  std::int64_t throttled = 0;
  std::int64_t retries = 0;
  core::WallTime sent{};  ///< when the last call went out
};

/// Said while get_page() is at it, for the job's status events.
class CallObserver {
 public:
  virtual ~CallObserver() = default;
  virtual void throttled(const core::Error& why) = 0;
  virtual void retrying(const core::Error& why, core::Duration wait) = 0;
  /// Whether a call may be made now (the lane's lease); false waits.
  virtual bool may_call() = 0;
  /// How soon somebody wants the job's pages.
  virtual limits::WorkClass work() const = 0;
  /// Who is to blame should an answer crash the process: core::AtWork.
  virtual std::string at_work() const { return {}; }
};

/// Where a job's pages come from. Loop thread only.
class PageSource {
 public:
  virtual ~PageSource() = default;
  /// The answer to `request`, asked again until it can be used or classify() gives up. Errors are of classify.hpp; a timeout ends
  /// it at once where a smaller page can be asked for, any error where the request has a turn.
  virtual boost::asio::awaitable<core::Result<FetchedPage>> get_page(tokens::Account account, Request request, CallLog& log,
                                                                     CallObserver& observer, core::StopToken stop) = 0;
  /// Own clock, or the vendor's where that is behind (from the Date of its answers).
  virtual core::WallTime vendor_now() const = 0;
};

}  // namespace stsync::servicetitan
