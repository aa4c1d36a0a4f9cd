#include "rounds.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace stsync::chaos {
namespace {

/// The simulator's count of one stream's pages.
struct Fetched {
  std::int64_t requests = 0, distinct = 0;
};

/// By tenant and resource, "1001-jpm.jobs".
std::map<std::string, Fetched> fetched(const test::Stage& stage) {
  std::map<std::string, Fetched> out;
  for (const auto& row : test::json_rows(stage.control("/__sim/fetches")))
    out[row.at("tenant") + "-" + row.at("resource")] = {std::stoll(row.at("requests")), std::stoll(row.at("distinct"))};
  return out;
}

}  // namespace

void Rounds::begin(int kills) {
  kills_before_ = kills_;
  kills_ = kills;
  requests_.clear();
  for (const auto& [stream, f] : fetched(stage_)) requests_[stream] = f.requests;
  current_ = send_round(stage_, ++number_);
  jobs_.insert(current_.begin(), current_.end());
}

void Rounds::count(const Told& told, int kills) {
  const auto allowed = 2 * static_cast<std::int64_t>(kills - kills_before_);
  for (const auto& [stream, f] : fetched(stage_)) {
    const auto job = told.ended.find(fmt::format("{}-{}", number_, stream));
    if (job == told.ended.end() || job->second != "completed") continue;  // what it has read is not known
    const auto extra = f.requests - requests_[stream] - f.distinct;
    refetched_ += extra;
    refetched_of_one_ = std::max(refetched_of_one_, extra);
    if (extra > allowed)
      problems_.push_back(fmt::format("{} {} pages again with {} kills", job->first, extra, kills - kills_before_));
  }
}

}  // namespace stsync::chaos
