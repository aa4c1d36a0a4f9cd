#include "config/problem.hpp"

#include <fmt/format.h>

namespace stsync::config {

std::string Problem::text() const {
  if (line == 0) return fmt::format("{}: {}", file, message);
  return fmt::format("{}:{}:{}: {}", file, line, column, message);
}

void Report::add(std::vector<Problem>& list, const Where& where, std::string message) {
  if (list.size() > kMost) return;
  if (list.size() == kMost) message = "too many problems, the rest is left out";
  list.push_back({where.source ? where.source->name : "", where.line, where.column, std::move(message)});
}

}  // namespace stsync::config
