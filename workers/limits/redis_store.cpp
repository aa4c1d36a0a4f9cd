#include "limits/redis_store.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>

#include <hiredis/hiredis.h>
#include <sys/socket.h>

#include "core/text.hpp"
#include "limits/lease_wire.hpp"

namespace stsync::limits {

using core::Error;
using core::ErrorKind;
using core::Result;
using core::TimePoint;

namespace {

using Command = std::vector<std::string>;

/// More than all answers of a trip need; what a broken peer may make this process hold.
constexpr std::size_t kMostUnread = 1 << 20;

struct Answer {
  bool refused = false;  ///< `text` says why
  std::string text;
  std::vector<std::int64_t> numbers;
};

Answer copy(const redisReply& reply) {
  Answer out;
  out.refused = reply.type == REDIS_REPLY_ERROR;
  if (reply.type == REDIS_REPLY_ERROR || reply.type == REDIS_REPLY_STRING || reply.type == REDIS_REPLY_STATUS) {
    out.text.assign(reply.str, reply.len);
  } else if (reply.type == REDIS_REPLY_ARRAY) {
    for (std::size_t i = 0; i < reply.elements; ++i) {
      // Anything but a number makes it no lease: read_lease() refuses negative ones.
      const auto& element = *reply.element[i];
      out.numbers.push_back(element.type == REDIS_REPLY_INTEGER ? element.integer : -1);
    }
  }
  return out;
}

/// The first word of an error says what to do about it; the rest is the server's text, which nobody here vouches for.
Error refusal(const Answer& answer) {
  const auto word = core::printable(answer.text.substr(0, answer.text.find(' ')), 30);
  const auto one_of = [&word](std::initializer_list<const char*> words) {
    return std::any_of(words.begin(), words.end(), [&word](const char* w) { return word == w; });
  };
  if (one_of({"WRONGPASS", "NOAUTH", "NOPERM"})) return {ErrorKind::bad_config, "the store does not let this user in: " + word};
  if (one_of({"LOADING", "READONLY", "MASTERDOWN", "BUSY", "OOM", "MISCONF"}))
    return {ErrorKind::network, "the store cannot serve now: " + word};
  return {ErrorKind::protocol, "the store refused the script: " + word};
}

/// hiredis writes to sockets that the peer has closed: the signal of that must not end the program.
class NoPipeSignal {
 public:
  NoPipeSignal() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  NoPipeSignal(const NoPipeSignal&) = delete;
  NoPipeSignal& operator=(const NoPipeSignal&) = delete;
  ~NoPipeSignal() {
    const timespec now{};
    if (sigismember(&before_, SIGPIPE) == 0) sigtimedwait(&pipe_, nullptr, &now);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t pipe_{}, before_{};
};

}  // namespace

class RedisStore::Connection {
 public:
  static Result<std::unique_ptr<Connection>> open(const core::Clock& clock, const config::StoreAddress& address,
                                                  TimePoint deadline) {
    const auto left = time_left(clock, deadline);
    auto* context = address.host.empty() ? redisConnectUnixWithTimeout(address.socket.c_str(), left)
                                         : redisConnectWithTimeout(address.host.c_str(), address.port, left);
    if (context == nullptr) return core::fail(ErrorKind::network, "no memory for a connection");
    auto out = std::unique_ptr<Connection>(new Connection(clock, context));
    if (context->err != 0) return core::fail(out->problem("connecting", deadline));
    return out;
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  /// What is still on its way is taken back: a request that is read late would say what no longer holds.
  ~Connection() {
    const linger at_once{1, 0};
    ::setsockopt(context_->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    redisFree(context_);
  }

  /// All commands in one write, their answers in the same order. After a failure the connection is good for nothing.
  Result<std::vector<Answer>> trip(const std::vector<Command>& commands, TimePoint deadline) {
    const NoPipeSignal guard;
    for (const auto& command : commands) append(command);
    redisSetTimeout(context_, time_left(clock_, deadline));
    for (int done = 0; done == 0;) {
      if (clock_.now() >= deadline) return core::fail(ErrorKind::timeout, "the store takes no requests");
      if (redisBufferWrite(context_, &done) != REDIS_OK) return core::fail(problem("writing to", deadline));
    }
    std::vector<Answer> out;
    while (out.size() < commands.size()) {
      auto answer = read(deadline);
      if (!answer) return core::fail(std::move(answer.error()));
      out.push_back(std::move(*answer));
    }
    return out;
  }

 private:
  Connection(const core::Clock& clock, redisContext* context) : clock_(clock), context_(context) {}

  static timeval time_left(const core::Clock& clock, TimePoint deadline) {
    // No time at all would mean no limit.
    const auto left = std::max<core::Duration>(deadline - clock.now(), std::chrono::milliseconds(1));
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(left).count();
    return {us / 1'000'000, us % 1'000'000};
  }

  void append(const Command& command) {
    std::vector<const char*> texts;
    std::vector<std::size_t> sizes;
    for (const auto& word : command) {
      texts.push_back(word.data());
      sizes.push_back(word.size());
    }
    redisAppendCommandArgv(context_, static_cast<int>(command.size()), texts.data(), sizes.data());
  }

  /// redisGetReply() would begin its time anew with every byte.
  Result<Answer> read(TimePoint deadline) {
    for (;;) {
      void* raw = nullptr;
      if (redisReaderGetReply(context_->reader, &raw) != REDIS_OK || context_->reader->len > kMostUnread)
        return core::fail(ErrorKind::protocol, "the store does not speak the protocol of Redis");
      if (raw != nullptr) {
        auto* reply = static_cast<redisReply*>(raw);
        auto out = copy(*reply);
        freeReplyObject(reply);
        return out;
      }
      if (clock_.now() >= deadline) return core::fail(ErrorKind::timeout, "the store did not answer in time");
      redisSetTimeout(context_, time_left(clock_, deadline));
      if (redisBufferRead(context_) != REDIS_OK) return core::fail(problem("reading from", deadline));
    }
  }

  Error problem(const char* doing, TimePoint deadline) const {
    const auto number = context_->err == REDIS_ERR_IO ? errno : 0;
    bool late = number == EAGAIN || number == ETIMEDOUT || number == EINPROGRESS || clock_.now() >= deadline;
#ifdef REDIS_ERR_TIMEOUT
    late = late || context_->err == REDIS_ERR_TIMEOUT;  // since 1.0
#endif
    const auto kind = late ? ErrorKind::timeout : ErrorKind::network;
    return {kind, std::string(doing) + " the store: " + core::printable(static_cast<const char*>(context_->errstr), 120)};
  }

  const core::Clock& clock_;
  redisContext* context_;
};

/// One call of the script.
struct RedisStore::Call {
  std::string key;
  Command arguments;
  std::optional<Answer> answer = {};
  TimePoint asked = {}, answered = {};
};

RedisStore::RedisStore(const core::Clock& clock, Settings settings)
    : clock_(clock), settings_(std::move(settings)), script_(lease_script()) {}

RedisStore::~RedisStore() = default;

Result<std::vector<Lease>> RedisStore::lease(const std::vector<LeaseRequest>& requests) {
  std::vector<Call> calls;
  for (const auto& request : requests) calls.push_back({key(request.limit), lease_arguments(settings_.member, request)});
  if (auto done = run(calls); !done) return core::fail(std::move(done.error()));
  std::vector<Lease> out;
  for (const auto& call : calls) {
    auto one = read_lease(call.answer->numbers, call.asked, call.answered);
    if (!one) return core::fail(std::move(one.error()));
    out.push_back(*one);
  }
  return out;
}

Result<void> RedisStore::leave(const std::vector<std::string>& limits) {
  std::vector<Call> calls;
  for (const auto& limit : limits) calls.push_back({key(limit), leave_arguments(settings_.member)});
  return run(calls);
}

Result<void> RedisStore::run(std::vector<Call>& calls) {
  if (calls.empty()) return {};
  const auto deadline = clock_.now() + kTripTime;
  if (auto connected = connect(deadline); !connected) return connected;
  auto done = run_once(calls, deadline);
  const auto forgot = [](const Call& call) { return call.answer && call.answer->text.starts_with("NOSCRIPT"); };
  if (done && std::any_of(calls.begin(), calls.end(), forgot)) {
    // Whoever flushed the scripts kept the connection: a new one loads them.
    for (auto& call : calls)
      if (forgot(call)) call.answer.reset();
    connection_.reset();
    if (auto connected = connect(deadline); !connected) return connected;
    done = run_once(calls, deadline);
  }
  if (!done) connection_.reset();
  if (!done) return done;
  for (const auto& call : calls) {
    if (!call.answer->refused) continue;
    connection_.reset();  // perhaps another server is the right one by now
    return core::fail(refusal(*call.answer));
  }
  return {};
}

/// Those that have no answer yet.
Result<void> RedisStore::run_once(std::vector<Call>& calls, TimePoint deadline) {
  std::vector<Command> commands;
  for (const auto& call : calls) {
    if (call.answer) continue;
    auto& command = commands.emplace_back(Command{"EVALSHA", digest_, "1", call.key});
    command.insert(command.end(), call.arguments.begin(), call.arguments.end());
  }
  const auto asked = clock_.now();
  auto answers = connection_->trip(commands, deadline);
  if (!answers) return core::fail(std::move(answers.error()));
  auto next = answers->begin();
  for (auto& call : calls) {
    if (call.answer) continue;
    call.answer = std::move(*next++);
    call.asked = asked;
    call.answered = clock_.now();
  }
  return {};
}

Result<void> RedisStore::connect(TimePoint deadline) {
  if (connection_) return {};
  auto opened = Connection::open(clock_, settings_.address, deadline);
  if (!opened) return core::fail(std::move(opened.error()));
  std::vector<Command> commands;
  if (settings_.password) {
    auto& auth = commands.emplace_back(Command{"AUTH"});
    if (!settings_.address.user.empty()) auth.push_back(settings_.address.user);
    auth.push_back(settings_.password->reveal());
  }
  if (settings_.address.database != 0) commands.push_back({"SELECT", std::to_string(settings_.address.database)});
  commands.push_back({"SCRIPT", "LOAD", script_});
  auto answers = (*opened)->trip(commands, deadline);
  if (!answers) return core::fail(std::move(answers.error()));
  for (std::size_t i = 0; i < answers->size(); ++i) {
    if (!(*answers)[i].refused) continue;
    auto error = refusal((*answers)[i]);
    if (commands[i].front() == "SCRIPT") return core::fail(std::move(error));
    const auto* what = commands[i].front() == "AUTH" ? "the store refused user or password" : "the store has no such database";
    return core::fail(error.kind() == ErrorKind::network ? error : Error(ErrorKind::bad_config, what));
  }
  digest_ = answers->back().text;
  if (digest_.size() != 40) return core::fail(ErrorKind::protocol, "the store did not take the script");
  connection_ = std::move(*opened);
  return {};
}

}  // namespace stsync::limits
