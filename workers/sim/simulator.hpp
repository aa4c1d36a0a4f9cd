#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "core/clock.hpp"
#include "core/error.hpp"

namespace stsync::sim {

struct Options {
  std::string listen = "127.0.0.1:0";
  bool plain = false;                       ///< HTTP instead of HTTPS
  std::string tls_cert_file, tls_key_file;  ///< empty: a CA and a certificate are made at start
  std::vector<std::int64_t> tenants{1001};
  std::size_t records = 1000;  ///< rows per tenant and resource
  std::uint64_t seed = 1;
  double requests_per_second = 60;  ///< sliding one-second window per app and tenant; 0: none
  core::Duration token_life = std::chrono::seconds(900);
  std::size_t export_page = 500;     ///< rows an export page
  std::size_t max_page_size = 5000;  ///< of lists; larger ones are clamped
  std::size_t record_bytes = 1000;   ///< about the size of a record
};

struct TenantAccess {
  std::int64_t id = 0;
  std::string client_id, client_secret;
};

struct Truth {
  std::int64_t tenant = 0;
  std::string resource;
  std::uint64_t count = 0;
  std::string hash;  ///< 32 hex digits: sum modulo 2^128 of the first 16 bytes (big endian) of SHA-256(key, NUL, bytes)
};

/// ServiceTitan as far as stsync reads it: token endpoint, API, quotas; seeded, deterministic rows. Loop thread only.
class Simulator {
 public:
  virtual ~Simulator() = default;
  virtual std::string url() const = 0;       ///< also the base of token_url: url() + "/connect/token"
  virtual std::string ca_pem() const = 0;    ///< empty with plain or a certificate given from outside
  virtual std::string app_name() const = 0;  ///< "acme"
  virtual std::string app_key() const = 0;
  virtual std::vector<TenantAccess> tenants() const = 0;
  virtual std::vector<Truth> truth() const = 0;
  virtual boost::asio::awaitable<void> stop() = 0;
};

core::Result<std::unique_ptr<Simulator>> start(boost::asio::any_io_executor loop, core::Clock& clock, Options options);

}  // namespace stsync::sim
