#pragma once
#include <map>
#include <memory>
#include <string>

#include "config/config.hpp"
#include "http/client.hpp"
#include "tokens/rotation.hpp"
#include "tokens/source.hpp"
#include "tokens/token_answer.hpp"

namespace stsync::tokens {

/// Client-credentials grant over HTTPS as the vendor's token endpoint wants it (facts: 900 s, no refresh token, 400 with an OAuth
/// error for a refused client). Secrets are read from their files at each fetch, small and on the loop; where they are refused, the
/// next request may use those that worked last (Rotation).
class HttpTokenSource final : public TokenSource {
 public:
  /// `clients`: one per environment name, because each may have its own CA. Both must outlive this.
  HttpTokenSource(const config::Config& config, const std::map<std::string, std::unique_ptr<http::Client>>& clients);
  boost::asio::awaitable<core::Result<Fetched>> fetch(Account account, core::StopToken stop) override;
  bool has_another(const Account& account) const override;
  bool changed(const Account& account) const override;

 private:
  core::Result<Credentials> configured(const Account& account) const;
  boost::asio::awaitable<core::Result<Fetched>> request(Account account, Credentials credentials, core::StopToken stop);

  const config::Config& config_;
  const std::map<std::string, std::unique_ptr<http::Client>>& clients_;
  std::map<Account, Rotation> rotations_;
};

}  // namespace stsync::tokens
