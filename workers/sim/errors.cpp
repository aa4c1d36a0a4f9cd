#include <fmt/format.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "sim/world.hpp"

namespace stsync::sim {
namespace {

std::string_view title_of(int status) {
  switch (status) {
    case 400:
      return "One or more validation errors occurred.";
    case 401:
      return "Unauthorized";
    case 403:
      return "Scope validation failed";
    case 404:
      return "Not Found";
    case 409:
      return "The service is suspended for maintenance. Please try again later.";
    case 429:
      return "Rate limit is exceeded. Try again in 1 seconds.";
    default:
      return "An error occurred while processing your request.";
  }
}

}  // namespace

http::ServerResponse error_answer(World& world, int status, std::string_view title, std::string_view field,
                                  std::string_view problem) {
  rapidjson::StringBuffer out;
  rapidjson::Writer<rapidjson::StringBuffer> json(out);
  const auto text = [&json](std::string_view s) { json.String(s.data(), static_cast<rapidjson::SizeType>(s.size())); };
  json.StartObject();
  json.Key("type");
  text(fmt::format("https://httpstatuses.io/{}", status));
  json.Key("title");
  text(title);
  json.Key("status");
  json.Int(status);
  json.Key("traceId");
  text(fmt::format("00-{:032x}-{:016x}-00", mix(world.options.seed, ++world.traces), world.traces));
  json.Key("errors");
  json.StartObject();
  if (!field.empty()) {
    json.Key(field.data(), static_cast<rapidjson::SizeType>(field.size()));
    json.StartArray();
    text(problem);
    json.EndArray();
  }
  json.EndObject();
  json.Key("data");
  json.StartObject();
  json.EndObject();
  json.EndObject();
  http::ServerResponse response;
  response.status = status;
  response.content_type = "application/problem+json";
  response.body.assign(out.GetString(), out.GetSize());
  return response;
}

http::ServerResponse fault_answer(World& world, const Fault& fault) {
  auto response = error_answer(world, fault.status, title_of(fault.status));
  if (fault.body == "html") {
    response.content_type = "text/html";
    response.body = "<html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>";
  } else if (fault.body == "apim") {
    response.content_type = "application/json";
    response.body = fmt::format(R"({{ "statusCode": {}, "message": "{}" }})", fault.status, title_of(fault.status));
  } else if (fault.text) {
    response.content_type = "application/json";
    response.body = *fault.text;
  } else if (fault.body == "empty" || (fault.status == 401 && fault.body.empty())) {
    response.content_type.clear();
    response.body.clear();
  }
  if (!fault.retry_after.empty()) response.headers.emplace_back("Retry-After", fault.retry_after);
  return response;
}

}  // namespace stsync::sim
