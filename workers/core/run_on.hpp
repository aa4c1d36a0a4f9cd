#pragma once
#include <string>
#include <type_traits>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/append.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace stsync::core {

/// Runs `f` on another executor and resumes on the caller's with what it returned. `f` takes and returns values, touches no
/// state of the loop and must not throw. It cannot be cancelled half-way: look at the stop token afterwards.
template <class F>
boost::asio::awaitable<std::invoke_result_t<F&>> run_on(boost::asio::any_io_executor pool, F f) {
  namespace asio = boost::asio;
  using R = std::invoke_result_t<F&>;
  auto start = [pool, f = std::move(f)](auto handler) mutable {
    auto home = asio::get_associated_executor(handler);
    auto work = asio::prefer(home, asio::execution::outstanding_work.tracked);
    asio::post(pool, [f = std::move(f), h = std::move(handler), work = std::move(work)]() mutable {
      R result = f();
      asio::post(work, asio::append(std::move(h), std::move(result)));
    });
  };
  co_return co_await asio::async_initiate<asio::use_awaitable_t<> const, void(R)>(std::move(start), asio::use_awaitable);
}

/// Named threads for blocking or heavy work.
class ThreadPool {
 public:
  /// `name`: at most 15 characters, as `top -H` shows it.
  ThreadPool(std::string name, std::size_t threads);
  ~ThreadPool();
  boost::asio::any_io_executor executor() { return pool_.get_executor(); }
  void join() { pool_.join(); }

 private:
  boost::asio::thread_pool pool_;
};

}  // namespace stsync::core
