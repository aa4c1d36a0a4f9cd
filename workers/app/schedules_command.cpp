// stsync schedules: what begins by itself, when it did and when it will.
#include <algorithm>
#include <cstdio>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "app/json.hpp"
#include "app/read_topic.hpp"
#include "app/setup.hpp"
#include "core/text.hpp"
#include "sync/names.hpp"
#include "sync/schedules.hpp"

namespace stsync::app {
namespace {

struct Line {
  sync::Schedules::Stream stream;
  v1::ScheduleState state;
  bool known = false;  ///< a worker has seen it
  v1::JobState::Phase result = v1::JobState::unspecified;
  core::WallTime next;
  core::Duration lag{};  ///< how long a run has been due that has not begun
};

struct Journal {
  sync::Memory schedules;
  std::map<std::string, v1::JobState::Phase> jobs;
};

core::Result<Journal> read(const config::Config& config) {
  Journal out;
  const auto ok = read_topic(config, config.kafka.topics.journal, [&out](const kafka::Message& m) {
    const auto key = m.key.value_or("");
    if (key.starts_with("schedule/")) static_cast<void>(out.schedules.read(key, m.value));
    v1::JobState job;
    if (!key.starts_with("job/")) return;
    if (m.value && job.ParseFromString(*m.value))
      out.jobs[key] = job.phase();
    else
      out.jobs.erase(key);
  });
  if (!ok) return core::fail(ok.error());
  return out;
}

Line line_of(const std::string& key, sync::Schedules::Stream stream, const Journal& journal, core::WallTime now) {
  Line out;
  out.stream = std::move(stream);
  out.state = journal.schedules.schedule(key);
  out.known = out.state.last_due_ms() != 0;
  out.next = out.stream.next();
  out.lag = std::max<core::Duration>(core::Duration::zero(), now - out.next);
  out.result = out.state.result();
  const auto job = journal.jobs.find(sync::job_journal_key(out.stream.app, out.stream.tenant, out.state.job()));
  if (out.result == v1::JobState::unspecified && job != journal.jobs.end()) out.result = job->second;
  return out;
}

std::vector<Line> lines(const Setup& setup, const SchedulesOptions& o, const Journal& journal) {
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  std::vector<Line> out;
  for (int partition = 0; partition < setup.config.kafka.partitions; ++partition) {
    sync::Schedules schedules(setup.config, setup.catalogue, partition);
    static_cast<void>(schedules.start(journal.schedules, now));
    for (const auto& [key, stream] : schedules.streams())
      if ((o.app.empty() || stream.app == o.app) && (o.tenant == 0 || stream.tenant == o.tenant) &&
          (o.resource.empty() || stream.resource == o.resource))
        out.push_back(line_of(key, stream, journal, now));
  }
  std::sort(out.begin(), out.end(), [](const Line& a, const Line& b) {
    return std::tie(a.stream.app, a.stream.tenant, a.stream.resource) < std::tie(b.stream.app, b.stream.tenant, b.stream.resource);
  });
  return out;
}

std::string utc(core::WallTime t) { return core::format_utc(t); }
std::string last_of(const Line& l) {
  return l.state.job().empty() ? std::string() : utc(core::WallTime(std::chrono::milliseconds(l.state.last_due_ms())));
}
std::string result_of(const Line& l) { return l.result == v1::JobState::unspecified ? "" : v1::JobState::Phase_Name(l.result); }
std::string rules_of(const Line& l) {
  std::string out;
  for (const auto& rule : l.stream.rules) out += (out.empty() ? "" : "; ") + rule.text + (rule.mode == v1::full ? " (full)" : "");
  return out;
}
std::int64_t seconds(core::Duration d) { return std::chrono::duration_cast<std::chrono::seconds>(d).count(); }

void print_table(const std::vector<Line>& all) {
  std::printf("%-12s %10s %-32s %-24s %-24s %-11s %8s  %s\n", "app", "tenant", "resource", "next", "last", "result", "lag",
              "schedule");
  for (const auto& l : all)
    std::printf("%-12s %10lld %-32s %-24s %-24s %-11s %7llds  %s\n", l.stream.app.c_str(), static_cast<long long>(l.stream.tenant),
                l.stream.resource.c_str(), utc(l.next).c_str(), last_of(l).c_str(), result_of(l).c_str(),
                static_cast<long long>(seconds(l.lag)), rules_of(l).c_str());
}

void print_json(const std::vector<Line>& all) {
  print_json_list(all, [](auto& out, const Line& l) {
    std::vector<std::string> rules;
    for (const auto& rule : l.stream.rules) rules.push_back(rule.text);
    out.text("app", l.stream.app);
    out.number("tenant", l.stream.tenant);
    out.text("resource", l.stream.resource);
    out.texts("schedules", rules);
    out.text("next", utc(l.next));
    out.text("last", last_of(l));
    out.text("job", l.state.job());
    out.text("result", result_of(l));
    if (l.state.finished_ms() != 0) out.text("finished", utc(core::WallTime(std::chrono::milliseconds(l.state.finished_ms()))));
    out.number("missed", l.state.missed());
    out.number("lag_seconds", seconds(l.lag));
  });
}

}  // namespace

int run_schedules(const SchedulesOptions& o) {
  const auto setup = load_setup(o.config);
  if (!setup) return Exit::bad_config;
  const auto journal = read(setup->config);
  if (!journal) {
    complain(journal.error().message());
    return exit_code(journal.error());
  }
  const auto all = lines(*setup, o, *journal);
  if (all.empty()) {
    complain(o.resource.empty() && o.tenant == 0 && o.app.empty() ? "no tenant has schedules in the configuration"
                                                                  : "no schedule of the configuration fits");
    if (o.output == "json") std::printf("[]\n");
    return o.resource.empty() && o.tenant == 0 && o.app.empty() ? Exit::ok : Exit::not_found;
  }
  if (std::none_of(all.begin(), all.end(), [](const Line& l) { return l.known; }))
    complain("no worker has seen these schedules yet: they count from when one starts");
  o.output == "json" ? print_json(all) : print_table(all);
  return Exit::ok;
}

}  // namespace stsync::app
