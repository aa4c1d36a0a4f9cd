// Preloaded into a worker: what a bug of a library does that meets bytes of a certain kind. The functions of the real libraries are
// called for all others.
#include <dlfcn.h>

#include <cstdlib>
#include <string_view>

namespace {

/// Reads where nothing is, if `text` holds what the environment variable says.
void meet(std::string_view text, const char* variable) {
  const char* deadly = std::getenv(variable);
  if (deadly == nullptr || text.find(deadly) == std::string_view::npos) return;
  [[maybe_unused]] const volatile char never = *static_cast<const volatile char*>(nullptr);
}

template <class F>
F* real(const char* symbol) {
  return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, symbol));
}

}  // namespace

namespace simdjson {
/// Every JSON text is looked at by it first, be it a command or a page.
bool validate_utf8(const char* text, std::size_t size) noexcept;
bool validate_utf8(const char* text, std::size_t size) noexcept {
  static auto* const next = real<bool(const char*, std::size_t) noexcept>("_ZN8simdjson13validate_utf8EPKcm");
  meet({text, size}, "DEADLY_TEXT");
  return next(text, size);
}
}  // namespace simdjson

/// Commands are told apart by it, once they have been read.
extern "C" int EVP_DigestUpdate(void* context, const void* data, std::size_t size);
extern "C" int EVP_DigestUpdate(void* context, const void* data, std::size_t size) {
  static auto* const next = real<int(void*, const void*, std::size_t)>("EVP_DigestUpdate");
  meet({static_cast<const char*>(data), size}, "DEADLY_DIGEST");
  return next(context, data, size);
}
