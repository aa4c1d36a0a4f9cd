#pragma once
#include <string>
#include <string_view>

#include <google/protobuf/message.h>

#include "core/error.hpp"

namespace stsync::codec {

/// proto3 JSON with the field names of the .proto file (snake_case) and 64-bit integers as numbers (the mapping's own printer
/// quotes them). Fields at their default are left out, but a Counts is written whole, so that readers need not know the default.
std::string to_json(const google::protobuf::Message& message);

/// proto3 JSON, strictly: RFC 8259 and UTF-8 first, then the schema, in which an unknown field is an error. 64-bit integers as
/// number or string. `bad_data` names the field or the byte.
core::Result<void> from_json(std::string_view json, google::protobuf::Message& message);

}  // namespace stsync::codec
