#include "rounds.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace stsync::chaos {
void Rounds::begin(int kills) {
  kills_before_ = kills_;
  kills_ = kills;
  stage_.control("/__sim/fetches", R"({"clear":true})");
  current_ = send_round(stage_, ++number_);
  jobs_.insert(current_.begin(), current_.end());
}

void Rounds::count(int kills) {
  const auto allowed = 2 * static_cast<std::int64_t>(kills - kills_before_);
  for (const auto& row : test::json_rows(stage_.control("/__sim/fetches"))) {
    const auto extra = std::stoll(row.at("requests")) - std::stoll(row.at("distinct"));
    refetched_ += extra;
    refetched_of_one_ = std::max<std::int64_t>(refetched_of_one_, extra);
    if (extra > allowed)
      problems_.push_back(fmt::format("{}-{}, round {}: {} pages again with {} kills", row.at("tenant"), row.at("resource"),
                                      number_, extra, kills - kills_before_));
  }
}

}  // namespace stsync::chaos
