#pragma once
#include <map>
#include <memory>
#include <string>

#include "config/config.hpp"
#include "http/client.hpp"
#include "tokens/tokens.hpp"

namespace stsync::tokens {

/// Client-credentials grant over HTTPS as the vendor's token endpoint wants it (facts: 900 s, no refresh token, 400 with an OAuth
/// error for a refused client). Secrets are read from their files at each fetch.
class HttpTokenSource final : public TokenSource {
 public:
  /// `clients`: one per environment name, because each may have its own CA. Both must outlive this.
  HttpTokenSource(const config::Config& config, const std::map<std::string, std::unique_ptr<http::Client>>& clients);
  boost::asio::awaitable<core::Result<Fetched>> fetch(Account account, core::StopToken stop) override;

 private:
  const config::Config& config_;
  const std::map<std::string, std::unique_ptr<http::Client>>& clients_;
};

/// The meaning of an answer of the token endpoint. Pure.
core::Result<Fetched> read_token_answer(int status, const std::string& body);

}  // namespace stsync::tokens
