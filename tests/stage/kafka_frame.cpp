#include "stage/kafka_frame.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace stsync::test {

namespace {

constexpr std::size_t kLengthBytes = 4;

/// Reads Kafka's types off the front; once something is missing everything is.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : rest_(bytes) {}
  bool ok() const noexcept { return ok_; }

  /// Big endian, two's complement.
  std::int64_t integer(std::size_t size) {
    std::uint64_t value = 0;
    for (const char c : take(size)) value = value << 8 | static_cast<unsigned char>(c);
    const auto unused = 64 - 8 * size;
    return static_cast<std::int64_t>(value << unused) >> unused;
  }
  std::string string() {
    const auto size = integer(2);
    return size < 0 ? std::string() : std::string(take(static_cast<std::size_t>(size)));
  }
  /// The length and 1, 0 for null.
  std::string compact_string() {
    const auto size = varint();
    return size == 0 ? std::string() : std::string(take(size - 1));
  }
  void skip_tags() {
    for (auto left = varint(); left > 0 && ok_; --left) {
      varint();
      take(varint());
    }
  }

 private:
  std::string_view take(std::size_t size) {
    ok_ = ok_ && size <= rest_.size();
    const auto out = rest_.substr(0, ok_ ? size : 0);
    rest_.remove_prefix(out.size());
    return out;
  }
  std::size_t varint() {
    std::size_t value = 0;
    for (unsigned shift = 0; shift < 35 && ok_; shift += 7) {
      const auto byte = static_cast<std::size_t>(integer(1)) & 0xff;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return value;
  }

  std::string_view rest_;
  bool ok_ = true;
};

/// Requests whose body begins with the transactional id, from which version on, and from which in compact form with a longer
/// header. Up to which: later versions, which brokers use among each other, begin otherwise.
struct Transactional {
  KafkaApi api;
  std::int16_t first, flexible, last;
};
constexpr std::array kTransactional{
    Transactional{KafkaApi::produce, 3, 9, 13},
    Transactional{KafkaApi::init_producer_id, 0, 2, 6},
    Transactional{KafkaApi::add_partitions_to_txn, 0, 3, 3},
    Transactional{KafkaApi::add_offsets_to_txn, 0, 3, 4},
    Transactional{KafkaApi::end_txn, 0, 3, 5},
    Transactional{KafkaApi::txn_offset_commit, 0, 3, 5},
};

std::string transactional_id(const KafkaRequest& request, Cursor& rest) {
  const auto* known = std::ranges::find(kTransactional, request.api, &Transactional::api);
  if (known == kTransactional.end() || request.version < known->first || request.version > known->last) return {};
  if (request.version < known->flexible) return rest.string();
  rest.skip_tags();
  return rest.compact_string();
}

}  // namespace

void FrameSplitter::add(std::string_view bytes) {
  buffer_.erase(0, at_);
  at_ = 0;
  buffer_.reserve(std::max(wanted_, buffer_.size() + bytes.size()));
  buffer_ += bytes;
}

std::optional<std::string> FrameSplitter::next() {
  const auto rest = std::string_view(buffer_).substr(at_);
  if (broken_ || rest.size() < kLengthBytes) return std::nullopt;
  const auto length = Cursor(rest).integer(kLengthBytes);
  broken_ = length < 0 || static_cast<std::size_t>(length) > limit_;
  if (broken_) return std::nullopt;
  const auto size = kLengthBytes + static_cast<std::size_t>(length);
  if (rest.size() < size) {
    wanted_ = size;
    return std::nullopt;
  }
  wanted_ = 0;
  if (at_ == 0 && buffer_.size() == size) return std::exchange(buffer_, {});
  std::string frame(rest.substr(0, size));
  at_ += size;
  return frame;
}

std::optional<KafkaRequest> parse_request(std::string_view frame) {
  Cursor cursor(frame);
  cursor.integer(kLengthBytes);
  KafkaRequest out;
  out.api = static_cast<KafkaApi>(cursor.integer(2));
  out.version = static_cast<std::int16_t>(cursor.integer(2));
  out.correlation = static_cast<std::int32_t>(cursor.integer(4));
  out.client_id = cursor.string();
  if (!cursor.ok()) return std::nullopt;
  out.transactional_id = transactional_id(out, cursor);
  return out;
}

std::optional<std::int32_t> answered_correlation(std::string_view frame) {
  Cursor cursor(frame);
  cursor.integer(kLengthBytes);
  const auto correlation = static_cast<std::int32_t>(cursor.integer(4));
  if (!cursor.ok()) return std::nullopt;
  return correlation;
}

}  // namespace stsync::test
