// Preloaded into a worker: what a bug of a library does that meets bytes of a certain kind, and what a poor system does. The
// functions of the real libraries are called for everything else.
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace {

std::string_view value_of(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? std::string_view() : value;
}

/// Does not return while the file STALL_FILE is there, if `text` holds what STALL_TEXT says.
void stall_at(std::string_view text) {
  const auto slow = value_of("STALL_TEXT");
  if (slow.empty() || text.find(slow) == std::string_view::npos) return;
  while (::access(value_of("STALL_FILE").data(), F_OK) == 0) ::usleep(10'000);
}

/// Reads where nobody may, if `text` holds what the environment variable says.
void meet(std::string_view text, const char* variable) {
  const auto deadly = value_of(variable);
  if (deadly.empty() || text.find(deadly) == std::string_view::npos) return;
  [[maybe_unused]] const char never = *reinterpret_cast<const volatile char*>(std::uintptr_t{1});
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
  stall_at({text, size});
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

/// Of a system that lets a process have MOST_THREADS of them, or its first thread no more while NO_THREADS_FILE is there:
/// libraries make theirs on others.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*), void* argument) {
  static auto* const next = real<int(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)>("pthread_create");
  static std::atomic<int> made{0};
  const auto most = value_of("MOST_THREADS");
  if (!most.empty() && made++ >= std::atoi(most.data())) return EAGAIN;
  const auto file = value_of("NO_THREADS_FILE");
  if (!file.empty() && ::gettid() == ::getpid() && ::access(file.data(), F_OK) == 0) return EAGAIN;
  return next(thread, attributes, run, argument);
}
