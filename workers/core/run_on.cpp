#include "core/run_on.hpp"

#include <latch>

#include <pthread.h>

namespace stsync::core {

ThreadPool::ThreadPool(std::string name, std::size_t threads) : pool_(threads) {
  // Each thread takes exactly one of these jobs, because none returns before all have started.
  std::latch started(static_cast<std::ptrdiff_t>(threads) + 1);
  std::latch done(static_cast<std::ptrdiff_t>(threads));
  for (std::size_t i = 0; i < threads; ++i)
    boost::asio::post(pool_, [&] {
      pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
      started.arrive_and_wait();
      done.count_down();
    });
  started.arrive_and_wait();
  done.wait();
}

ThreadPool::~ThreadPool() { pool_.join(); }

}  // namespace stsync::core
