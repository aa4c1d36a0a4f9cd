#include "http/tls.hpp"

#include <fmt/format.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/address.hpp>

namespace stsync::http {
namespace {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;
using core::ErrorKind;
using core::fail;

core::Result<void> set_common(ssl::context& context) {
  // As calls on the handle: OpenSSL's macros are full of C casts.
  if (SSL_CTX_ctrl(context.native_handle(), SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, nullptr) != 1)
    return fail(ErrorKind::internal, "TLS 1.2 cannot be made the lowest version");
  SSL_CTX_set_options(context.native_handle(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // Idle connections give their 34 KiB of record buffers back.
  SSL_CTX_ctrl(context.native_handle(), SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS, nullptr);
  return {};
}

}  // namespace

core::Result<std::shared_ptr<ssl::context>> make_client_context(const std::string& ca_file) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_client);
  if (const auto done = set_common(*context); !done) return fail(done.error());
  error_code ec;
  context->set_verify_mode(ssl::verify_peer, ec);
  if (!ec && ca_file.empty()) context->set_default_verify_paths(ec);
  if (!ec && !ca_file.empty()) context->load_verify_file(ca_file, ec);
  if (ec) {
    const auto what = ca_file.empty() ? std::string("the system's certificates") : fmt::format("the CA file '{}'", ca_file);
    return fail(ErrorKind::bad_config, fmt::format("{} cannot be used: {}", what, ec.message()));
  }
  return context;
}

core::Result<std::shared_ptr<ssl::context>> make_server_context(const std::string& certificate_pem, const std::string& key_pem) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  if (const auto done = set_common(*context); !done) return fail(done.error());
  error_code ec;
  context->use_certificate_chain(boost::asio::buffer(certificate_pem), ec);
  if (ec) return fail(ErrorKind::bad_config, "the TLS certificate cannot be used: " + ec.message());
  // Without it OpenSSL asks the terminal for the password of a key that has one, and waits.
  context->set_password_callback([](std::size_t, ssl::context::password_purpose) { return std::string(); }, ec);
  context->use_private_key(boost::asio::buffer(key_pem), ssl::context::pem, ec);
  if (ec) return fail(ErrorKind::bad_config, "the TLS key cannot be used: " + ec.message());
  if (SSL_CTX_check_private_key(context->native_handle()) != 1)
    return fail(ErrorKind::bad_config, "the TLS key does not belong to the certificate");
  return context;
}

core::Result<void> expect_host(SSL* ssl, const std::string& host) {
  error_code not_an_address;
  boost::asio::ip::make_address(host, not_an_address);
  auto* param = SSL_get0_param(ssl);
  bool ok = true;
  if (!not_an_address) {
    ok = X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) == 1;  // RFC 6066: no SNI for an address
  } else {
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    std::string name = host;
    ok = X509_VERIFY_PARAM_set1_host(param, name.data(), name.size()) == 1 &&
         SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data()) == 1;
  }
  if (!ok) return fail(ErrorKind::internal, fmt::format("TLS refuses the host name '{}'", host));
  return {};
}

std::string refusal(const SSL* ssl) {
  const auto result = SSL_get_verify_result(ssl);
  return result == X509_V_OK ? std::string() : std::string(X509_verify_cert_error_string(result));
}

}  // namespace stsync::http
