#pragma once
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.hpp"
#include "core/error.hpp"

namespace stsync::sim {

/// Something that goes wrong with the next calls.
struct Fault {
  std::uint64_t count = 1;          ///< calls it still hits
  std::uint64_t every = 1;          ///< of the calls that it is meant for, it hits one in so many
  std::string path_contains;        ///< of path and query; empty: every call but those of /__sim
  core::Duration delay{};           ///< before anything else
  int status = 0;                   ///< answer this instead of the data
  std::string body;                 ///< of that answer: object (default), apim, html, empty
  std::optional<std::string> text;  ///< the body of that answer, or of a 200, word for word
  std::string retry_after;          ///< header of that answer
  std::optional<std::size_t> cut_body;
  bool reset = false;     ///< cut_body (or nothing of the body), and a reset behind it
  std::string raw;        ///< the bytes of the whole answer; the connection is closed behind them
  core::Duration drip{};  ///< one byte in each of these
  bool garbage = false;
  bool repeat_token = false;  ///< export feeds: hasMore with the token of the request
  std::string mangle;         ///< what becomes of a good answer: see mangle.hpp
  std::uint64_t met = 0;      ///< calls that it was meant for

  /// The data that it hits does not arrive.
  bool spoils() const noexcept { return cut_body || reset || garbage || text || !raw.empty(); }
};

/// The faults at work, in the order they were set. Loop thread only.
class Faults {
 public:
  /// Fields as in Fault, `delay_ms` for the delay. bad_data names what is wrong.
  core::Result<void> add(const std::map<std::string, std::string>& fields);
  /// The first fault for this call, counted.
  std::optional<Fault> take(std::string_view path_and_query);
  void clear() { faults_.clear(); }
  const std::list<Fault>& active() const noexcept { return faults_; }

 private:
  std::list<Fault> faults_;
};

}  // namespace stsync::sim
