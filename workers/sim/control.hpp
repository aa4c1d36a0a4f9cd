#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "http/server.hpp"

// What the control endpoints have in common.
namespace stsync::sim {

/// The members of a flat request.
using Fields = std::map<std::string, std::string>;

/// RapidJSON's writer with the types of this house.
class Json {
 public:
  Json& begin_object() { return writer_.StartObject(), *this; }
  Json& end_object() { return writer_.EndObject(), *this; }
  Json& begin_array() { return writer_.StartArray(), *this; }
  Json& end_array() { return writer_.EndArray(), *this; }
  Json& key(std::string_view name) { return writer_.Key(name.data(), static_cast<rapidjson::SizeType>(name.size())), *this; }
  Json& text(std::string_view s) { return writer_.String(s.data(), static_cast<rapidjson::SizeType>(s.size())), *this; }
  Json& number(std::uint64_t n) { return writer_.Uint64(n), *this; }
  Json& number(std::int64_t n) { return writer_.Int64(n), *this; }
  Json& null() { return writer_.Null(), *this; }
  http::ServerResponse answer() const {
    http::ServerResponse response;
    response.body.assign(out_.GetString(), out_.GetSize());
    return response;
  }

 private:
  rapidjson::StringBuffer out_;
  rapidjson::Writer<rapidjson::StringBuffer> writer_{out_};
};

inline http::ServerResponse bad_request(std::string_view message) {
  auto response = Json().begin_object().key("error").text(message).end_object().answer();
  response.status = 400;
  return response;
}

}  // namespace stsync::sim
