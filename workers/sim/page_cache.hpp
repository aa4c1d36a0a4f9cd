#pragma once
#include <cstddef>
#include <string>
#include <unordered_map>

namespace stsync::sim {

/// Bodies rendered before, up to a number of bytes; when it is reached, all are dropped and the collection begins anew.
class PageCache {
 public:
  explicit PageCache(std::size_t max_bytes) : max_bytes_(max_bytes) {}
  /// nullptr when there is none.
  const std::string* find(const std::string& key) const {
    const auto at = pages_.find(key);
    return at == pages_.end() ? nullptr : &at->second;
  }
  void put(const std::string& key, const std::string& body) {
    const auto size = key.size() + body.size();
    if (size > max_bytes_) return;
    if (bytes_ + size > max_bytes_) {
      pages_.clear();
      bytes_ = 0;
    }
    if (pages_.emplace(key, body).second) bytes_ += size;
  }

 private:
  std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  std::unordered_map<std::string, std::string> pages_;
};

}  // namespace stsync::sim
