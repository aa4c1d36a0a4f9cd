#include "stage/kafka_proxy.hpp"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <type_traits>

#include <fcntl.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "core/text.hpp"

namespace stsync::test {

namespace {

using boost::asio::awaitable;
using boost::asio::ip::tcp;
using std::chrono::milliseconds;
using namespace boost::asio::experimental::awaitable_operators;

constexpr auto kAsync = boost::asio::as_tuple(boost::asio::use_awaitable);
constexpr std::size_t kMaxConnections = 1000;
/// Requests of a connection that wait for their answers. Those that ask for none (Produce without acks) stay until the next answer.
constexpr std::size_t kMaxPending = 10'000;

/// What a request met, as the rule was then.
struct Met {
  KafkaRuleId rule;
  KafkaFault fault;
  milliseconds delay;
  bool cut_client;
};

/// The rules, shared between the proxy's thread and its users'.
class Book {
 public:
  template <class F>
  auto with(F f) {
    const std::lock_guard lock(mutex_);
    return f(faults_);
  }
  std::optional<Met> decide(const KafkaRequest& request) {
    const std::lock_guard lock(mutex_);
    const auto id = faults_.decide(request);
    changed_.notify_all();
    if (!id) return std::nullopt;
    const auto& rule = faults_.rule(*id);
    return Met{*id, rule.fault, rule.delay, rule.cut_client};
  }
  void executed(KafkaRuleId rule) {
    const std::lock_guard lock(mutex_);
    faults_.executed(rule);
    changed_.notify_all();
  }
  template <class F>
  bool wait(milliseconds timeout, F reached) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [&] { return reached(faults_); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  KafkaFaults faults_;
};

/// Tests start programs, and what those inherit would keep a closed connection open.
template <class Socket>
void keep_from_children(Socket& socket) {
  ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
}

void close_socket(tcp::socket& socket) {
  boost::system::error_code ignored;
  socket.shutdown(tcp::socket::shutdown_both, ignored);  // ends it for a child that was started before the flag was set, too
  socket.close(ignored);
}

void prepare(tcp::socket& socket) {
  boost::system::error_code ignored;
  keep_from_children(socket);
  socket.set_option(tcp::no_delay(true), ignored);
}

awaitable<bool> write_all(tcp::socket& socket, const std::string& frame) {
  const auto [error, written] = co_await boost::asio::async_write(socket, boost::asio::buffer(frame), kAsync);
  co_return !error;
}

/// One connection of a client and the one to the broker that belongs to it.
class Link {
 public:
  Link(Book& book, tcp::socket client)
      : book_(book),
        client_(std::move(client)),
        broker_(client_.get_executor()),
        held_request_(client_.get_executor()),
        held_answer_(client_.get_executor()) {}

  /// Until both sides are closed. The link must outlive it.
  awaitable<void> run(tcp::endpoint broker) {
    prepare(client_);
    const auto [error] = co_await broker_.async_connect(broker, kAsync);
    if (error) {
      close();
      co_return;
    }
    prepare(broker_);
    co_await (requests() && answers());
  }

  void close() {
    close_socket(client_);
    close_socket(broker_);
    held_request_.timer.cancel();
    held_answer_.timer.cancel();
  }
  void release(KafkaRuleId rule) {
    for (auto* held : {&held_request_, &held_answer_})
      if (held->rule == rule) held->timer.cancel();
  }
  bool has_client() const { return client_.is_open(); }

 private:
  struct Pending {
    std::int32_t correlation;
    std::optional<Met> met;
    bool copy;  ///< of one that is answered already
  };
  struct Held {
    explicit Held(const boost::asio::any_io_executor& executor) : timer(executor) {}
    boost::asio::steady_timer timer;
    std::optional<KafkaRuleId> rule;
  };
  using Buffer = std::array<char, 64 << 10>;

  awaitable<void> requests() {
    FrameSplitter frames;
    for (bool open = true; open;) {
      auto frame = frames.next();
      open = !frames.broken();
      if (frame)
        open = co_await request(std::move(*frame));
      else if (open)
        open = co_await read_more(client_, frames, from_client_);
    }
    client_gone_ = true;
    close_socket(client_);
    if (!owed()) close();
  }

  awaitable<void> answers() {
    FrameSplitter frames;
    for (bool open = true; open;) {
      auto frame = frames.next();
      open = !frames.broken();
      if (frame)
        open = co_await answer(std::move(*frame));
      else if (open)
        open = co_await read_more(broker_, frames, from_broker_);
    }
    close();
  }

  static awaitable<bool> read_more(tcp::socket& socket, FrameSplitter& frames, Buffer& buffer) {
    const auto [error, size] = co_await socket.async_read_some(boost::asio::buffer(buffer), kAsync);
    frames.add(std::string_view(buffer.data(), size));
    co_return !error;
  }

  /// False: nothing more is taken from this client.
  awaitable<bool> request(std::string frame) {
    const auto parsed = parse_request(frame);
    if (!parsed || pending_.size() >= kMaxPending) co_return false;
    const auto met = book_.decide(*parsed);
    if (met && met->fault == KafkaFault::cut_before) {
      close();
      co_return false;
    }
    if (met && met->fault == KafkaFault::delay_request) {
      if (met->cut_client) close_socket(client_);
      if (!co_await hold(held_request_, *met)) co_return false;
    }
    pending_.push_back({parsed->correlation, met, false});
    bool sent = co_await write_all(broker_, frame);
    if (sent && met && met->fault == KafkaFault::duplicate) {
      pending_.push_back({parsed->correlation, met, true});
      sent = co_await write_all(broker_, frame);
    }
    // What came behind a request whose client was cut was never read, as far as that client can tell.
    co_return client_.is_open() && sent;
  }

  /// False: the connection ends.
  awaitable<bool> answer(std::string frame) {
    const auto pending = take_pending(frame);
    if (!pending) co_return false;
    bool wanted = !pending->copy;
    if (const auto& met = pending->met) {
      book_.executed(met->rule);
      if (met->fault == KafkaFault::lose_answer) co_return false;
      if (met->fault == KafkaFault::swallow_answer) wanted = false;
      if (met->fault == KafkaFault::delay_answer)
        if (!co_await hold(held_answer_, *met)) co_return false;
    }
    // A client that is gone is noticed where its requests are read.
    if (wanted && client_.is_open()) co_await write_all(client_, frame);
    co_return !client_gone_ || owed();
  }

  /// False: the connection ended meanwhile.
  awaitable<bool> hold(Held& held, const Met& met) {
    held.rule = met.rule;
    if (met.delay == kUntilReleased)
      held.timer.expires_at(boost::asio::steady_timer::time_point::max());
    else
      held.timer.expires_after(met.delay);
    co_await held.timer.async_wait(kAsync);
    held.rule.reset();
    co_return broker_.is_open();
  }

  /// The request that is answered; those in front of it that were not wanted no answer. Nothing: nobody asked.
  std::optional<Pending> take_pending(const std::string& frame) {
    const auto correlation = answered_correlation(frame);
    if (!correlation) return std::nullopt;
    const auto it = std::ranges::find(pending_, *correlation, &Pending::correlation);
    if (it == pending_.end()) return std::nullopt;
    auto out = *it;
    pending_.erase(pending_.begin(), it + 1);
    return out;
  }

  /// Whether a request that met a rule still waits for its answer: it counts as executed, even when its client went away.
  bool owed() const {
    return std::ranges::any_of(pending_, [](const Pending& p) { return p.met.has_value(); });
  }

  Book& book_;
  tcp::socket client_, broker_;
  Held held_request_, held_answer_;
  std::deque<Pending> pending_;
  bool client_gone_ = false;  ///< and all that it asked for is passed on
  Buffer from_client_, from_broker_;
};

tcp::endpoint parse_endpoint(const std::string& text) {
  const auto colon = text.rfind(':');
  const auto port = core::parse_int(std::string_view(text).substr(std::min(colon, text.size() - 1) + 1));
  if (colon == std::string::npos || !port || *port < 1 || *port > 65'535) throw std::invalid_argument("no host:port: " + text);
  return {boost::asio::ip::make_address(text.substr(0, colon)), static_cast<std::uint16_t>(*port)};
}

}  // namespace

/// All that lives on the proxy's thread.
class KafkaProxy::Worker {
 public:
  Worker() : acceptor_(io_, {boost::asio::ip::address_v4::loopback(), 0}) {
    keep_from_children(acceptor_);
    address = "127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port());
    boost::asio::co_spawn(io_, accept(), [](const std::exception_ptr&) {});
    thread_ = std::thread([this] { io_.run(); });
  }
  ~Worker() {
    on_thread([this] {
      acceptor_.close();
      close_links();
    });
    thread_.join();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Runs it on the proxy's thread, returns when it is done.
  template <class F>
  std::invoke_result_t<F&> on_thread(F f) {
    std::packaged_task<std::invoke_result_t<F&>()> task(std::move(f));
    auto done = task.get_future();
    boost::asio::post(io_, std::move(task));
    return done.get();
  }

  void close_links() {
    for (const auto& link : links_) link->close();
  }
  void release(KafkaRuleId rule) {
    for (const auto& link : links_) link->release(rule);
  }
  std::size_t clients() const {
    return static_cast<std::size_t>(std::ranges::count_if(links_, [](const auto& link) { return link->has_client(); }));
  }

  std::string address;  ///< does not change
  Book book;
  std::optional<tcp::endpoint> broker;
  bool refuse = false;

 private:
  /// The acceptor keeps the thread going: it ends when this and every link has.
  awaitable<void> accept() {
    for (;;) {
      auto [error, socket] = co_await acceptor_.async_accept(kAsync);
      if (!acceptor_.is_open()) co_return;
      if (error || refuse || !broker || links_.size() >= kMaxConnections) continue;
      const auto link = *links_.insert(std::make_shared<Link>(book, std::move(socket))).first;
      boost::asio::co_spawn(io_, link->run(*broker), [this, link](const std::exception_ptr&) {
        link->close();
        links_.erase(link);
      });
    }
  }

  boost::asio::io_context io_{1};
  tcp::acceptor acceptor_;
  std::set<std::shared_ptr<Link>> links_;
  std::thread thread_;
};

KafkaProxy::KafkaProxy() : worker_(std::make_unique<Worker>()) {}
KafkaProxy::~KafkaProxy() = default;

const std::string& KafkaProxy::address() const noexcept { return worker_->address; }

void KafkaProxy::forward_to(const std::string& broker) {
  worker_->on_thread([this, endpoint = parse_endpoint(broker)] { worker_->broker = endpoint; });
}

KafkaRuleId KafkaProxy::add(KafkaRule rule) {
  return worker_->book.with([&](KafkaFaults& faults) { return faults.add(std::move(rule)); });
}
void KafkaProxy::remove(KafkaRuleId rule) {
  worker_->book.with([&](KafkaFaults& faults) { faults.remove(rule); });
  release(rule);
}
void KafkaProxy::release(KafkaRuleId rule) {
  worker_->on_thread([this, rule] { worker_->release(rule); });
}

void KafkaProxy::cut_all() {
  worker_->on_thread([this] { worker_->close_links(); });
}
void KafkaProxy::refuse(bool on) {
  worker_->on_thread([this, on] { worker_->refuse = on; });
}

KafkaRuleCount KafkaProxy::count(KafkaRuleId rule) const {
  return worker_->book.with([&](const KafkaFaults& faults) { return faults.count(rule); });
}
std::size_t KafkaProxy::requests(KafkaApi api) const {
  return worker_->book.with([&](const KafkaFaults& faults) { return faults.requests(api); });
}
std::size_t KafkaProxy::connections() const {
  return worker_->on_thread([this] { return worker_->clients(); });
}
bool KafkaProxy::wait_for(KafkaRuleId rule, milliseconds timeout, std::size_t times) const {
  return worker_->book.wait(timeout, [&](const KafkaFaults& faults) { return faults.count(rule).fired >= times; });
}
bool KafkaProxy::wait_executed(KafkaRuleId rule, milliseconds timeout, std::size_t times) const {
  return worker_->book.wait(timeout, [&](const KafkaFaults& faults) { return faults.count(rule).executed >= times; });
}

}  // namespace stsync::test
