// stsync dlq: the dead letters, looked at and tried again.
#include <algorithm>
#include <cstdio>
#include <deque>
#include <map>

#include <fmt/format.h>

#include "app/follow.hpp"
#include "app/json.hpp"
#include "app/read_topic.hpp"
#include "app/setup.hpp"
#include "core/rng.hpp"
#include "core/text.hpp"
#include "sync/dead_letter.hpp"

namespace stsync::app {
namespace {

struct Letter {
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  std::int64_t time_ms = 0;
  sync::ReadLetter what;
  std::string name() const { return fmt::format("{}:{}", partition, offset); }
};

core::WallTime now() { return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now()); }

bool meant(const Letter& letter, const DlqOptions& o) {
  if (!o.code.empty() && letter.what.code != o.code) return false;
  return o.letters.empty() || std::find(o.letters.begin(), o.letters.end(), letter.name()) != o.letters.end();
}

struct Letters {
  std::deque<Letter> them;  ///< the oldest first
  std::size_t older = 0;    ///< left out: there were more than o.last
};

/// Those that the options mean.
core::Result<Letters> read_letters(const config::Config& config, const DlqOptions& o) {
  std::multimap<std::int64_t, Letter> newest;  // by time
  Letters out;
  const auto read = read_topic(config, config.kafka.topics.dlq, [&](const kafka::Message& m) {
    Letter letter{m.partition, m.offset, m.timestamp_ms, sync::read_letter(m)};
    if (!meant(letter, o)) return;
    newest.emplace(m.timestamp_ms, std::move(letter));
    if (!o.letters.empty() || newest.size() <= o.last) return;
    newest.erase(newest.begin());
    ++out.older;
  });
  if (!read) return core::fail(read.error());
  for (auto& [time, letter] : newest) out.them.push_back(std::move(letter));
  return out;
}

std::string utc(std::int64_t ms) { return core::format_utc(core::WallTime(std::chrono::milliseconds(ms))); }

void print_table(const std::deque<Letter>& letters) {
  std::printf("%-12s %-24s %-18s %-24s %-28s %s\n", "letter", "time", "code", "from", "key", "why");
  for (const auto& l : letters)
    std::printf("%-12s %-24s %-18s %-24s %-28s %s\n", l.name().c_str(), utc(l.time_ms).c_str(),
                core::printable(l.what.code, 40).c_str(), core::printable(l.what.topic, 80).c_str(),
                core::printable(l.what.key, 80).c_str(), core::printable(l.what.message, 200).c_str());
}

/// Without the bytes: those `show` prints as they are.
void print_json(const std::deque<Letter>& letters) {
  print_json_list(letters, [](auto& out, const Letter& l) {
    for (const auto& [name, value] :
         {std::pair("letter", l.name()), std::pair("time", utc(l.time_ms)), std::pair("code", l.what.code),
          std::pair("stage", l.what.stage), std::pair("message", l.what.message), std::pair("topic", l.what.topic),
          std::pair("key", l.what.key), std::pair("source", l.what.source), std::pair("replay_of", l.what.replay_of)})
      out.text(name, core::printable(value, 2000));
    out.number("bytes", static_cast<std::int64_t>(l.what.value.size()));
  });
}

int show(const std::deque<Letter>& letters) {
  for (const auto& l : letters) {
    for (const auto& [name, value] :
         {std::pair("letter", l.name()), std::pair("time", utc(l.time_ms)), std::pair("code", l.what.code),
          std::pair("stage", l.what.stage), std::pair("why", l.what.message), std::pair("from", l.what.topic),
          std::pair("key", l.what.key), std::pair("source", l.what.source), std::pair("replay of", l.what.replay_of)})
      if (!value.empty()) std::fprintf(stderr, "%-10s %s\n", name, core::printable(value, 2000).c_str());
    if (l.what.truncated) std::fprintf(stderr, "%-10s only the beginning was kept\n", "bytes");
    std::fwrite(l.what.value.data(), 1, l.what.value.size(), stdout);
    std::fputc('\n', stdout);
  }
  return Exit::ok;
}

/// All of them or none: what cannot be tried again is said, and nothing is sent.
int replay(const Setup& setup, const DlqOptions& o, const std::deque<Letter>& letters) {
  const auto& topics = setup.config.kafka.topics;
  auto rng = core::Rng::from_system();
  std::vector<CommandMessage> commands;
  bool all = true;
  for (const auto& l : letters) {
    auto command = sync::replayed(l.what, topics.commands, setup.catalogue, core::uuid7(now(), rng));
    if (!command) {
      complain(fmt::format("letter {} cannot be tried again: {}", l.name(), command.error().message()));
      all = false;
      continue;
    }
    commands.push_back({std::move(*command), {{sync::kReplayOf, fmt::format("{}/{}/{}", topics.dlq, l.partition, l.offset)}}});
  }
  if (!all) return Exit::bad_data;
  return send_commands(setup.config, commands, o.wait);
}

}  // namespace

int run_dlq(const DlqOptions& o) {
  const auto setup = load_setup(o.config);
  if (!setup) return Exit::bad_config;
  const auto read = read_letters(setup->config, o);
  if (!read) {
    complain(read.error().message());
    return exit_code(read.error());
  }
  const auto& letters = read->them;
  if (read->older > 0) complain(fmt::format("{} older ones are left out: --last says how many are looked at", read->older));
  for (const auto& name : o.letters)
    if (std::none_of(letters.begin(), letters.end(), [&](const Letter& l) { return l.name() == name; })) {
      complain(fmt::format("there is no dead letter {}: 'stsync dlq list' shows their names", core::printable(name, 80)));
      return Exit::not_found;
    }
  if (o.action == "show") return show(letters);
  if (o.action == "list") {
    o.output == "json" ? print_json(letters) : print_table(letters);
    return Exit::ok;
  }
  if (o.letters.empty() && o.code.empty()) {
    complain("name the dead letters to try again, or --code");
    return Exit::usage;
  }
  if (letters.empty()) {
    complain("there are no such dead letters");
    return Exit::not_found;
  }
  return replay(*setup, o, letters);
}

}  // namespace stsync::app
