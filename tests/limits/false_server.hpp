#pragma once
#include <array>
#include <functional>
#include <string>
#include <thread>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace stsync::limits::test {

/// Listens where a Redis is expected, on a port that the kernel chose, and answers what the test says. One connection at a time.
class FalseServer {
 public:
  /// Called with what came; what goes back, and whether the connection stays.
  struct Reaction {
    std::string text;
    bool stay = true;
    bool slowly = false;  ///< a byte now and then, for ever
  };
  explicit FalseServer(std::function<Reaction(const std::string&)> react) : react_(std::move(react)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* any = static_cast<sockaddr*>(static_cast<void*>(&address));
    ::bind(listener_, any, sizeof address);
    ::listen(listener_, 8);
    socklen_t size = sizeof address;
    ::getsockname(listener_, any, &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  FalseServer(const FalseServer&) = delete;
  FalseServer& operator=(const FalseServer&) = delete;
  ~FalseServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }

 private:
  void serve() {
    for (int peer = 0; (peer = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0; ::close(peer)) {
      std::array<char, 65536> buffer;
      for (ssize_t n = 0; (n = ::read(peer, buffer.data(), buffer.size())) > 0;) {
        const auto reaction = react_(std::string(buffer.data(), static_cast<std::size_t>(n)));
        if (::send(peer, reaction.text.data(), reaction.text.size(), MSG_NOSIGNAL) < 0 || !reaction.stay) break;
        // Until the other side has had enough.
        for (pollfd closed{peer, POLLIN, 0}; reaction.slowly && ::poll(&closed, 1, 20) == 0;)
          if (::send(peer, "1", 1, MSG_NOSIGNAL) < 0) break;
      }
    }
  }

  std::function<Reaction(const std::string&)> react_;
  int listener_ = -1;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace stsync::limits::test
