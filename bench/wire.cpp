#include "wire.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace stsync::bench {

namespace asio = boost::asio;
namespace beast = boost::beast;

struct Wire::Impl {
  Impl(http::Origin o, const std::string& ca_file) : origin(std::move(o)) {
    if (!ca_file.empty()) tls.load_verify_file(ca_file);
    tls.set_verify_mode(asio::ssl::verify_peer);
    stream = std::make_unique<asio::ssl::stream<asio::ip::tcp::socket>>(loop, tls);
    buffer.reserve(256u << 10);  // Beast reads no more at once than the buffer holds
  }

  http::Origin origin;
  asio::io_context loop;
  asio::ssl::context tls{asio::ssl::context::tls_client};
  std::unique_ptr<asio::ssl::stream<asio::ip::tcp::socket>> stream;
  beast::flat_buffer buffer;
};

Wire::Wire(const http::Origin& origin, const std::string& ca_file) : impl_(std::make_unique<Impl>(origin, ca_file)) {
  auto& stream = *impl_->stream;
  asio::ip::tcp::resolver names(impl_->loop);
  asio::connect(stream.next_layer(), names.resolve(origin.host, std::to_string(origin.port)));
  stream.next_layer().set_option(asio::ip::tcp::no_delay(true));
  if (!origin.tls) return;
  stream.set_verify_callback(asio::ssl::host_name_verification(origin.host));
  stream.handshake(asio::ssl::stream_base::client);
}

Wire::~Wire() = default;

Wire::Answer Wire::exchange(const std::string& method, const std::string& target, const http::Headers& headers,
                            const std::string& body) {
  beast::http::request<beast::http::string_body> request(beast::http::string_to_verb(method), target, 11);
  request.set(beast::http::field::host, impl_->origin.host);
  for (const auto& [name, value] : headers) request.set(name, value);
  request.body() = body;
  request.prepare_payload();
  beast::http::response_parser<beast::http::string_body> parser;
  parser.body_limit(1u << 30);
  const auto talk = [&](auto& stream) {
    beast::http::write(stream, request);
    beast::http::read(stream, impl_->buffer, parser);
  };
  impl_->origin.tls ? talk(*impl_->stream) : talk(impl_->stream->next_layer());
  auto response = parser.release();
  return {static_cast<int>(response.result_int()), std::move(response.body()),
          response[beast::http::field::content_encoding] == "gzip"};
}

}  // namespace stsync::bench
