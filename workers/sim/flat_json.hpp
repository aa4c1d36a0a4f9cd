#pragma once
#include <map>
#include <string>
#include <string_view>

#include "core/error.hpp"

namespace stsync::sim {

/// A JSON object of scalars as name -> text ("true", "5", the string's content). bad_data: not JSON, nested, or null inside.
core::Result<std::map<std::string, std::string>> parse_flat(std::string_view json);

}  // namespace stsync::sim
