#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stsync::test {

/// The requests that tests speak of; any other number is a valid key too.
enum class KafkaApi : std::int16_t {
  produce = 0,
  fetch = 1,
  metadata = 3,
  offset_commit = 8,
  offset_fetch = 9,
  find_coordinator = 10,
  join_group = 11,
  heartbeat = 12,
  leave_group = 13,
  sync_group = 14,
  init_producer_id = 22,
  add_partitions_to_txn = 24,
  add_offsets_to_txn = 25,
  end_txn = 26,
  txn_offset_commit = 28,
  create_partitions = 37,
};

/// The largest frame, without its length: more than the largest answer to a Fetch (50 MiB).
inline constexpr std::size_t kMaxKafkaFrame = 64u << 20;

/// Cuts a stream of Kafka's frames, each behind its length in four bytes. Holds one frame and what was added behind it.
class FrameSplitter {
 public:
  explicit FrameSplitter(std::size_t limit = kMaxKafkaFrame) : limit_(limit) {}

  /// What was read; a frame may come in any number of pieces, a piece may hold any number of frames.
  void add(std::string_view bytes);
  /// The next whole frame with its length in front, as it goes on the wire; nothing: more is needed, or the stream is broken.
  std::optional<std::string> next();
  /// A length was negative or above the limit: nothing that follows can be read.
  bool broken() const noexcept { return broken_; }

 private:
  std::size_t limit_;
  std::string buffer_;
  std::size_t at_ = 0;      ///< of what was given out
  std::size_t wanted_ = 0;  ///< of the frame that is not whole yet
  bool broken_ = false;
};

/// What the front of a request says.
struct KafkaRequest {
  KafkaApi api{};
  std::int16_t version = 0;
  std::int32_t correlation = 0;  ///< the answer carries the same
  std::string client_id;         ///< empty when null
  std::string transactional_id;  ///< of Produce and of the requests of a transaction's producer; empty when null or elsewhere
};

/// Of a whole frame, with its length. Nothing when it is too short to be one.
std::optional<KafkaRequest> parse_request(std::string_view frame);
/// The correlation id of an answer, of a whole frame, with its length.
std::optional<std::int32_t> answered_correlation(std::string_view frame);

}  // namespace stsync::test
