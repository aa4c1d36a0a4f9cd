# Writes OUT, see embed.cmake. A file goes into a raw literal as it is; compilers take those up to 64 KiB everywhere.
set(rows "")
set(count 0)
foreach(file IN LISTS FILES)
  file(READ "${file}" text)
  get_filename_component(name "${file}" NAME)
  string(APPEND rows "    {\"${name}\", R\"stsync(${text})stsync\"},\n")
  math(EXPR count "${count} + 1")
endforeach()
string(REGEX REPLACE "::[^:]*$" "" namespace "${FUNCTION}")
string(REGEX REPLACE "^.*::" "" name "${FUNCTION}")
file(WRITE "${OUT}" "#include <array>
#include <span>
#include <string_view>
#include <utility>

namespace ${namespace} {
using Text = std::pair<std::string_view, std::string_view>;
std::span<const Text> ${name}();
std::span<const Text> ${name}() {
  static constexpr std::array<Text, ${count}> kTexts{{
${rows}  }};
  return kTexts;
}
}  // namespace ${namespace}
")
