#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <unistd.h>

#include "bench.hpp"

namespace stsync::bench {

Cost cost_of(int pid) {
  const auto folder = "/proc/" + std::to_string(pid) + "/";
  std::ifstream stat(folder + "stat");
  std::string line;
  if (!std::getline(stat, line)) throw std::runtime_error("no process " + std::to_string(pid));
  // Behind the name, which may hold anything: state is field 3, utime and stime are 14 and 15.
  std::istringstream fields(line.substr(line.rfind(')') + 2));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  Cost cost;
  cost.cpu_seconds = (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  std::ifstream status(folder + "status");
  while (std::getline(status, line))
    if (line.starts_with("VmRSS:"))
      cost.rss = std::stoull(line.substr(6)) * 1024;
    else if (line.starts_with("VmHWM:"))
      cost.peak_rss = std::stoull(line.substr(6)) * 1024;
  return cost;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double percentile(std::vector<double> x, double q) {
  if (x.empty()) throw std::runtime_error("nothing was measured");
  const auto at = x.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(x.size() - 1));
  std::nth_element(x.begin(), at, x.end());
  return *at;
}

void write_file(const std::string& name, const std::string& text) {
  if (name.empty()) return;
  std::ofstream out(name, std::ios::binary | std::ios::trunc);
  out << text;
  if (!out.flush()) throw std::runtime_error("cannot write " + name);
}

}  // namespace stsync::bench
