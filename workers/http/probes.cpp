#include "http/probes.hpp"

namespace stsync::http {
namespace {

ServerResponse answer(const ServerRequest& request, const std::function<std::string()>& metrics,
                      const std::function<bool()>& ready) {
  ServerResponse response;
  response.content_type = "text/plain; charset=utf-8";
  if (request.method != "GET") {
    response.status = 405;
  } else if (request.path == "/metrics") {
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = metrics();
  } else if (request.path == "/livez") {
    response.body = "ok\n";  // answered by the loop itself: a stuck loop answers nothing
  } else if (request.path == "/readyz") {
    const bool is_ready = ready();
    response.status = is_ready ? 200 : 503;
    response.body = is_ready ? "ok\n" : "not ready\n";
  } else {
    response.status = 404;
  }
  return response;
}

}  // namespace

Handler probes(std::function<std::string()> metrics, std::function<bool()> ready) {
  return [metrics = std::move(metrics), ready = std::move(ready)](ServerRequest request) -> boost::asio::awaitable<ServerResponse> {
    co_return answer(request, metrics, ready);
  };
}

}  // namespace stsync::http
