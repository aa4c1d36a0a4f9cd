#pragma once
#include <memory>
#include <string>

#include "http/message.hpp"

namespace stsync::bench {

/// One blocking keep-alive connection, with or without TLS. Throws what goes wrong; it is of no use then.
class Wire {
 public:
  /// Connects and shakes hands. `ca_file` is PEM; empty: nobody is trusted.
  Wire(const http::Origin& origin, const std::string& ca_file);
  ~Wire();

  struct Answer {
    int status = 0;
    std::string body;  ///< as sent
    bool gzip = false;
  };
  Answer exchange(const std::string& method, const std::string& target, const http::Headers& headers, const std::string& body);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stsync::bench
