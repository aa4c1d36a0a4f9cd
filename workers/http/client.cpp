#include "http/client.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <boost/asio/ssl/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>

#include "http/pace.hpp"
#include "http/pool.hpp"
#include "http/text_body.hpp"
#include "http/tls.hpp"

namespace stsync::http {
namespace {

namespace beast = boost::beast;
using core::ErrorKind;
using core::fail;
using Parser = beast::http::response_parser<TextBody>;

constexpr std::size_t kReadSize = 64u << 10;
constexpr std::size_t kSpoolStep = 1u << 20;  // bytes handed to the disk at once
constexpr int kMaxInterim = 8;                // 1xx answers before the real one

bool has_control(std::string_view text) noexcept {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool is_token(std::string_view text) noexcept {
  return !text.empty() && !has_control(text) && text.find_first_of(" :\"(),/;<=>?@[\\]{}") == std::string_view::npos;
}

/// Names what is wrong but never a value: it may be a secret with a line end pasted along.
std::optional<std::string> unsendable(const Request& request) {
  if (!is_token(request.method)) return "the method is not a token";
  if (request.target.empty() || request.target.front() != '/') return "the target does not start with '/'";
  if (has_control(request.target) || request.target.find_first_of(" #") != std::string::npos)
    return "the target holds a blank, '#' or control character";
  for (const auto& [name, value] : request.headers) {
    if (!is_token(name)) return "a header name is not a token";
    if (has_control(value)) return fmt::format("the value of header '{}' holds a line end or another control character", name);
  }
  return std::nullopt;
}

std::string host_header(const Origin& origin) {
  const auto text = origin.text();
  const auto authority = text.substr(text.find("//") + 2);
  const bool standard = origin.port == (origin.tls ? 443 : 80);
  return standard ? authority.substr(0, authority.rfind(':')) : authority;
}

std::string request_head(const Request& request, const Origin& origin, const std::string& user_agent) {
  auto head = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", request.method, request.target, host_header(origin));
  if (!find_header(request.headers, "User-Agent")) head += "User-Agent: " + user_agent + "\r\n";
  for (const auto& [name, value] : request.headers) head.append(name).append(": ").append(value).append("\r\n");
  if (!request.body.empty() || (request.method != "GET" && request.method != "HEAD"))
    head += fmt::format("Content-Length: {}\r\n", request.body.size());
  return head += "\r\n";
}

core::Error parse_error(error_code ec, std::string_view phase, const Origin& origin) {
  using E = beast::http::error;
  const auto where = origin.text();
  if (ec == E::header_limit) return {ErrorKind::too_large, "the response header is above its limit (" + where + ")"};
  if (ec == E::body_limit) return {ErrorKind::too_large, "the response body is above its limit (" + where + ")"};
  if (ec == E::partial_message || ec == E::end_of_stream)
    return {ErrorKind::network, fmt::format("the connection ended while {} ({})", phase, where)};
  return {ErrorKind::protocol, fmt::format("not an HTTP response while {} ({}): {}", phase, where, ec.message())};
}

/// Reads one response: a parser and a buffer of its own, the deadlines of the exchange.
class ResponseReader {
 public:
  ResponseReader(Transport& transport, const Origin& origin, const ExchangeLimits& limits, const ReadPace& pace, bool head)
      : transport_(transport), origin_(origin), limits_(limits), pace_(pace), head_(head) {}

  asio::awaitable<core::Result<Response>> read() {
    for (int interim = 0; interim <= kMaxInterim; ++interim) {
      start_parser();
      if (auto done = co_await read_header(); !done) co_return fail(done.error());
      const auto status = parser_->get().result_int();
      if (status == 101) co_return fail(ErrorKind::protocol, "the server switches protocols unasked (" + origin_.text() + ")");
      if (status >= 200) co_return co_await finish();
      pace_.interim_over();
    }
    co_return fail(ErrorKind::protocol, "too many interim responses (" + origin_.text() + ")");
  }
  bool any_byte() const noexcept { return any_byte_; }
  /// The connection may serve another exchange: nothing is left over and both sides keep it open.
  bool reusable() const { return done_ && parser_->get().keep_alive() && !parser_->get().need_eof() && buffer_.size() == 0; }

 private:
  void start_parser() {
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(std::min<std::size_t>(limits_.max_header, UINT32_MAX)));
    parser_->body_limit(limits_.max_body);
    parser_->skip(head_);
    if (limits_.spool != nullptr) parser_->get().body().most_at_once = limits_.in_memory + kReadSize;
  }

  asio::awaitable<core::Result<void>> read_header() {
    while (true) {
      if (buffer_.size() > 0) pace_.header_bytes(std::chrono::steady_clock::now());
      if (auto fed = feed(kHeader); !fed) co_return fail(fed.error());
      if (parser_->is_header_done()) co_return core::Result<void>();
      if (auto more = co_await receive(kHeader); !more) co_return fail(more.error());
    }
  }

  /// The parser takes a body as it stands where it does not know the coding. Whoever sends that disagrees with us about where the
  /// next response begins.
  bool knows_framing() const {
    const auto [first, last] = parser_->get().equal_range(beast::http::field::transfer_encoding);
    return first == last || (std::next(first) == last && beast::iequals(first->value(), "chunked"));
  }

  asio::awaitable<core::Result<Response>> finish() {
    if (!knows_framing()) co_return fail(ErrorKind::protocol, "an unknown Transfer-Encoding (" + origin_.text() + ")");
    if (parser_->need_eof() && !origin_.tls && !parser_->is_done())
      co_return fail(ErrorKind::protocol, "the response has no length, so a cut would not be seen (" + origin_.text() + ")");
    pace_.body_begins(std::chrono::steady_clock::now());
    while (!parser_->is_done()) {
      if (auto more = co_await receive(kBody); !more) co_return fail(more.error());
      if (auto fed = feed(kBody); !fed) co_return fail(fed.error());
      if (spool_due())
        if (auto spooled = co_await spool_part(); !spooled) co_return fail(spooled.error());
    }
    if (spool_due() || (file_ && !parser_->get().body().text.empty()))
      if (auto spooled = co_await spool_part(); !spooled) co_return fail(spooled.error());
    done_ = true;
    Response out;
    auto& message = parser_->get();
    out.status = static_cast<int>(message.result_int());
    for (const auto& field : message.base()) out.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
    out.body = std::move(message.body().text);
    out.spooled = std::move(file_);
    co_return out;
  }

  bool spool_due() const {
    const auto size = parser_->get().body().text.size();
    return limits_.spool != nullptr && size > (file_ ? std::min(kSpoolStep, limits_.in_memory) : limits_.in_memory);
  }

  /// What has come of a body that is too large for memory goes to the disk; nothing is read meanwhile.
  asio::awaitable<core::Result<void>> spool_part() {
    auto& text = parser_->get().body().text;
    const auto size = text.size();
    auto write = [spool = limits_.spool, file = file_, part = std::move(text)]() -> core::Result<std::shared_ptr<core::SpoolFile>> {
      auto to = file ? core::Result<std::shared_ptr<core::SpoolFile>>(file) : spool->create();
      if (!to) return fail(to.error());
      if (auto written = (*to)->append(part); !written) return fail(written.error());
      return to;
    };
    text = {};
    text.reserve(kSpoolStep + kReadSize);
    transport_.clear_deadline();
    auto written = co_await core::run_on(limits_.spool->writer(), std::move(write));
    if (!written) co_return fail(written.error());
    file_ = std::move(*written);
    pace_.body_spooled(size, std::chrono::steady_clock::now());
    co_return core::Result<void>();
  }

  core::Result<void> feed(std::string_view phase) {
    error_code ec;
    while (buffer_.size() > 0 && !parser_->is_done()) {
      const bool header_was_done = parser_->is_header_done();
      parser_->eager(header_was_done);  // else it would go on into the body, and what the header took were not known
      const auto used = parser_->put(buffer_.data(), ec);
      buffer_.consume(used);
      if (!header_was_done) header_bytes_ += used;
      if (ec == beast::http::error::need_more) ec = {};
      if (ec) return fail(parse_error(ec, phase, origin_));
      if (used == 0 && header_was_done == parser_->is_header_done()) break;
    }
    // The parser limits one header field; it takes each by itself. What it does not take is one in the making, or the head of a
    // chunk.
    if (header_bytes_ > limits_.max_header || buffer_.size() > limits_.max_header + kReadSize)
      return fail(ErrorKind::too_large, "a header of the response is above its limit (" + origin_.text() + ")");
    return {};
  }

  asio::awaitable<core::Result<void>> receive(std::string_view phase) {
    transport_.set_deadline(pace_.deadline());
    const auto [ec, n] = co_await transport_.read_some(buffer_.prepare(kReadSize));
    buffer_.commit(n);
    if (parser_->is_header_done()) pace_.body_bytes(n, std::chrono::steady_clock::now());
    any_byte_ = any_byte_ || n > 0;
    if (!ec) co_return core::Result<void>();
    // An end of stream completes a body without a length, if TLS vouches for it (eof is a close_notify there).
    if (ec == asio::error::eof && parser_->got_some() && parser_->is_header_done()) {
      error_code end;
      parser_->put_eof(end);
      if (!end && parser_->is_done()) co_return core::Result<void>();
      co_return fail(parse_error(end, phase, origin_));
    }
    if (transport_.cut_by() == Cut::none && (ec == asio::error::eof || ec == asio::ssl::error::stream_truncated))
      co_return fail(parse_error(beast::http::error::end_of_stream, phase, origin_));
    co_return fail(transport_error(transport_, ec, phase, origin_));
  }

  static constexpr std::string_view kHeader = "waiting for the response";
  static constexpr std::string_view kBody = "reading the response body";

  Transport& transport_;
  const Origin& origin_;
  const ExchangeLimits& limits_;
  ReadPace pace_;
  const bool head_;
  std::optional<Parser> parser_;
  beast::flat_buffer buffer_;
  std::shared_ptr<core::SpoolFile> file_;  // of a body that is too large for memory
  std::size_t header_bytes_ = 0;           // of the response and of the interim ones
  bool any_byte_ = false;
  bool done_ = false;
};

class PooledConnection final : public Connection {
 public:
  explicit PooledConnection(std::unique_ptr<Pool::Lease> lease) : lease_(std::move(lease)), reused_(lease_->reused) {}

  asio::awaitable<core::Result<Response>> exchange(Request request, ExchangeLimits limits, core::StopToken stop) override {
    stale_ = false;
    if (const auto wrong = unsendable(request))
      co_return fail(ErrorKind::bad_request, fmt::format("the request cannot be sent ({}): {}", lease_->origin().text(), *wrong));
    if (!lease_->reusable) co_return fail(ErrorKind::network, "the connection is used up (" + lease_->origin().text() + ")");
    lease_->reusable = false;  // until the exchange has ended well
    auto& transport = lease_->transport();
    const auto on_stop = stop.on_stop([&transport] { transport.cut(Cut::stop); });
    auto result = co_await run(request, limits);
    transport.clear_deadline();
    lease_->reusable = lease_->reusable && transport.cut_by() == Cut::none;
    reused_ = true;
    co_return result;
  }
  bool reused() const noexcept override { return reused_; }
  bool stale() const noexcept override { return stale_; }

 private:
  // References: the only caller keeps both alive and awaits at once.
  asio::awaitable<core::Result<Response>> run(const Request& request, const ExchangeLimits& limits) {
    auto& transport = lease_->transport();
    const auto& origin = lease_->origin();
    const ReadPace pace(limits, std::chrono::steady_clock::now());
    const auto head = request_head(request, origin, lease_->options().user_agent);
    transport.set_deadline(pace.deadline());
    if (const auto ec = co_await transport.write(asio::buffer(head), asio::buffer(request.body)); ec) {
      auto error = transport_error(transport, ec, "sending the request", origin);
      stale_ = reused_ && error.kind() == ErrorKind::network;
      co_return fail(std::move(error));
    }
    ResponseReader reader(transport, origin, limits, pace, request.method == "HEAD");
    auto response = co_await reader.read();
    if (!response) stale_ = reused_ && !reader.any_byte() && response.error().kind() == ErrorKind::network;
    lease_->reusable = response && reader.reusable();
    co_return response;
  }

  std::unique_ptr<Pool::Lease> lease_;
  bool reused_;
  bool stale_ = false;
};

class PoolClient final : public Client {
 public:
  explicit PoolClient(std::shared_ptr<Pool> pool) : pool_(std::move(pool)) {}

  asio::awaitable<core::Result<std::unique_ptr<Connection>>> connect(Origin origin, bool fresh, core::StopToken stop) override {
    const auto pool = pool_;
    auto lease = co_await pool->lease(std::move(origin), fresh, std::move(stop));
    if (!lease) co_return fail(lease.error());
    std::unique_ptr<Connection> connection = std::make_unique<PooledConnection>(std::move(*lease));
    co_return connection;
  }
  asio::awaitable<void> close() override {
    const auto pool = pool_;
    co_await pool->close();
  }

 private:
  std::shared_ptr<Pool> pool_;
};

}  // namespace

core::Result<std::unique_ptr<Client>> make_client(asio::any_io_executor loop, core::Clock& clock, ClientOptions options) {
  if (has_control(options.user_agent)) return fail(ErrorKind::bad_config, "the user agent holds a control character");
  auto tls = make_client_context(options.ca_file);
  if (!tls) return fail(tls.error());
  auto pool = std::make_shared<Pool>(loop, clock, std::move(*tls), std::move(options), system_lookup(loop));
  return std::make_unique<PoolClient>(std::move(pool));
}

}  // namespace stsync::http
