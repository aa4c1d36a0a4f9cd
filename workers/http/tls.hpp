#pragma once
#include <memory>
#include <string>

#include <boost/asio/ssl/context.hpp>

#include "core/error.hpp"

namespace stsync::http {

/// TLS 1.2 or later, peer certificates checked against the PEM file or, when it is empty, the system's certificates.
/// bad_config: the file cannot be used.
core::Result<std::shared_ptr<boost::asio::ssl::context>> make_client_context(const std::string& ca_file);

/// TLS 1.2 or later. bad_config: the certificate or key cannot be used; one that is encrypted cannot.
core::Result<std::shared_ptr<boost::asio::ssl::context>> make_server_context(const std::string& certificate_pem,
                                                                             const std::string& key_pem);

/// Makes the handshake ask for (SNI, names only) and insist on a certificate of `host`, a name or an IP literal.
/// internal: OpenSSL refuses the name.
core::Result<void> expect_host(SSL* ssl, const std::string& host);

/// Why the peer's certificate was refused; empty when that was not what failed.
std::string refusal(const SSL* ssl);

}  // namespace stsync::http
