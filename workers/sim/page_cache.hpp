#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>

namespace stsync::sim {

/// Bodies rendered before, up to a number of bytes; when it is reached, all are dropped and the collection begins anew. A page
/// is kept when it is asked for the second time: a crawl that reads everything once would only fill memory.
class PageCache {
 public:
  explicit PageCache(std::size_t max_bytes) : max_bytes_(max_bytes) {}
  /// nullptr when there is none.
  const std::string* find(const std::string& key) const {
    const auto at = pages_.find(key);
    return at == pages_.end() ? nullptr : &at->second;
  }
  void offer(const std::string& key, const std::string& body) {
    const auto size = key.size() + body.size();
    if (size > max_bytes_ || seen_for_the_first_time(key)) return;
    if (bytes_ + size > max_bytes_) {
      pages_.clear();
      bytes_ = 0;
    }
    if (pages_.emplace(key, body).second) bytes_ += size;
  }

  void clear() {
    pages_.clear();
    bytes_ = 0;
  }

 private:
  bool seen_for_the_first_time(const std::string& key) {
    constexpr std::size_t kMaxSeen = 1'000'000;
    if (seen_.size() >= kMaxSeen) seen_.clear();
    return seen_.insert(std::hash<std::string>()(key)).second;
  }

  std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  std::unordered_map<std::string, std::string> pages_;
  std::unordered_set<std::size_t> seen_;  // hashes of keys
};

}  // namespace stsync::sim
