#pragma once

namespace stsync::simulation {

/// What the broker of the model answers, by the names of Kafka's protocol.
enum class Code {
  ok,
  unknown_topic,
  producer_fenced,     ///< a newer producer has the transactional id
  invalid_txn_state,   ///< EndTxn of a transaction that is not open, or that ended the other way
  out_of_order,        ///< a sequence number with a gap before it
  unknown_member,      ///< of the group: never heard of, or its session is over
  illegal_generation,  ///< a member of a generation that is over
  fenced_instance,     ///< a twin has the static identity
  rebalance,           ///< the group waits for its members
  unstable_offset,     ///< an open transaction may still move it
  not_now,             ///< the coordinator moves or loads: ask again
  concurrent,          ///< the transaction before is being ended: ask again
};

}  // namespace stsync::simulation
