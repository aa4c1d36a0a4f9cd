#pragma once
// How the slicer reads JSON; for the .cpp files of this module.
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace stsync::codec {

inline bool digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }
inline bool hex_digit(char c) { return digit(c) || static_cast<unsigned char>((c | 32) - 'a') < 6; }

/// The grammar of RFC 8259 over one buffer. Each function stands at its value and leaves behind it; false leaves `at` at the
/// offending byte. No recursion: nesting is a stack of bits.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : begin(text.data()), at(text.data()), end(text.data() + text.size()) {}

  const char* begin;
  const char* at;
  const char* end;

  bool more() const { return at < end; }
  void blanks() {
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) ++at;
  }
  bool take(char c) {
    if (at >= end || *at != c) return false;
    ++at;
    return true;
  }
  bool word(std::string_view w) {
    if (static_cast<std::size_t>(end - at) < w.size() || std::memcmp(at, w.data(), w.size()) != 0) return false;
    at += w.size();
    return true;
  }
  bool digits() {
    if (at >= end || !digit(*at)) return false;
    while (at < end && digit(*at)) ++at;
    return true;
  }
  bool number() {
    take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (at < end && (*at == 'e' || *at == 'E')) {
      ++at;
      if (at < end && (*at == '+' || *at == '-')) ++at;
      if (!digits()) return false;
    }
    return true;
  }
  /// Stands behind the opening quote, leaves behind the closing one.
  bool string_rest() {
    for (;;) {
      skip_plain();
      if (at >= end) return false;
      if (*at == '"') {
        ++at;
        return true;
      }
      if (*at != '\\' || !escape()) return false;
    }
  }
  bool scalar() {
    if (at >= end) return false;
    switch (*at) {
      case '"':
        ++at;
        return string_rest();
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return number();
    }
  }

 private:
  /// Moves to the next quote, backslash or control character, 16 bytes a step.
  void skip_plain() {
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i slash = _mm_set1_epi8('\\');
    const __m128i control = _mm_set1_epi8(0x1f);
    while (end - at >= 16) {
      __m128i v;
      std::memcpy(&v, at, sizeof v);
      const auto special = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)),
                                        _mm_cmpeq_epi8(_mm_min_epu8(control, v), v));
      const auto mask = static_cast<unsigned>(_mm_movemask_epi8(special));
      if (mask != 0) {
        at += std::countr_zero(mask);
        return;
      }
      at += 16;
    }
#endif
    while (at < end && *at != '"' && *at != '\\' && static_cast<unsigned char>(*at) >= 0x20) ++at;
  }
  bool escape() {
    if (end - at < 2) return false;
    switch (at[1]) {
      case '"':
      case '\\':
      case '/':
      case 'b':
      case 'f':
      case 'n':
      case 'r':
      case 't':
        at += 2;
        return true;
      case 'u':
        if (end - at < 6) return false;
        for (int i = 2; i < 6; ++i)
          if (!hex_digit(at[i])) return false;
        at += 6;
        return true;
      default:
        return false;
    }
  }
};

/// Walks one value of any kind; `on_member(name, value)` sees the members of the outermost object.
template <class OnMember>
bool walk(Cursor& c, unsigned max_depth, OnMember&& on_member) {
  std::array<bool, 1024> is_object;  // only [0, depth) is ever read
  unsigned depth = 0;
  std::string_view name;
  const char* member = nullptr;  // where the value of an outermost member starts
  for (;;) {
    c.blanks();  // at a value
    if (!c.more()) return false;
    bool opened = false;
    if (*c.at == '{' || *c.at == '[') {
      if (depth >= max_depth) return false;
      is_object[depth++] = *c.at == '{';
      ++c.at;
      c.blanks();
      opened = !(c.more() && *c.at == (is_object[depth - 1] ? '}' : ']'));
    } else if (!c.scalar()) {
      return false;
    }
    if (!opened) {  // behind a scalar, or before the end of an empty container
      for (;;) {
        const bool container_end = depth > 0 && c.more() && (c.blanks(), c.more()) && *c.at == (is_object[depth - 1] ? '}' : ']');
        if (member != nullptr && depth == 1) {
          auto* value_end = c.at;
          while (value_end > member &&
                 (value_end[-1] == ' ' || value_end[-1] == '\n' || value_end[-1] == '\r' || value_end[-1] == '\t'))
            --value_end;
          on_member(name, std::string_view(member, static_cast<std::size_t>(value_end - member)));
          member = nullptr;
        }
        if (!container_end) break;
        ++c.at;
        --depth;
      }
      if (depth == 0) return true;
      c.blanks();
      if (!c.take(',')) return false;
      c.blanks();
    }
    if (is_object[depth - 1]) {
      if (!c.take('"')) return false;
      const char* start = c.at;
      if (!c.string_rest()) return false;
      if (depth == 1) name = {start, static_cast<std::size_t>(c.at - start - 1)};
      c.blanks();
      if (!c.take(':')) return false;
      c.blanks();
      if (depth == 1) member = c.at;
    }
  }
}

}  // namespace stsync::codec
