#pragma once
#include <string>
#include <vector>

#include "config/yaml.hpp"

namespace stsync::config {

/// Puts "a.b=value" into the tree. Segments are separated by dots ("\." is a dot inside a key); a number is an index of a list, one
/// past its end appends. A value that begins with "[" or "{" is YAML, anything else a text. Problems name `what`.
void apply_override(Node& root, const std::string& assignment, const std::string& what, const std::string& directory,
                    Report& report);

/// The overrides among "NAME=value" variables, as assignments: STSYNC_KAFKA__GROUP=x is kafka.group=x. Variables of that prefix
/// without a double underscore are not meant for the configuration.
struct EnvironmentOverride {
  std::string variable, assignment;
};
std::vector<EnvironmentOverride> environment_overrides(const std::vector<std::string>& environment);

}  // namespace stsync::config
