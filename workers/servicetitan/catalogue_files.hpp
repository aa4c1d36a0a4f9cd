#pragma once
#include <span>
#include <string_view>
#include <utility>

namespace stsync::servicetitan {

/// Name and text of each file of config/catalogue/, as it was when the program was built.
std::span<const std::pair<std::string_view, std::string_view>> catalogue_files();

}  // namespace stsync::servicetitan
