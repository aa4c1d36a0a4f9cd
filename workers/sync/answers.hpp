#pragma once
#include <cstdint>

#include "config/config.hpp"
#include "core/clock.hpp"
#include "kafka/message.hpp"
#include "sync/committer.hpp"
#include "sync/control.hpp"
#include "sync/intake.hpp"
#include "sync/memory.hpp"

namespace stsync::sync {

/// The command that is answered: its contribution says that everything before `settled` is read.
struct Answering {
  const config::Topics& topics;
  const kafka::Message& message;
  core::WallTime now;
  std::int64_t settled() const { return message.offset + 1; }
};

// What is committed in answer to a command: status events, journal entries, dead letters. Pure.

Contribution answer(const Accept& accept, const Answering& to);
Contribution answer(const Coalesce& coalesce, const Answering& to);
/// Whoever sends a command again may have missed what became of it: an end is told once more.
Contribution answer(const Duplicate& duplicate, const Answering& to, const Memory& memory);
Contribution answer(const Forward& forward, const Answering& to);
Contribution answer(const Reject& reject, const Answering& to);
/// `refusal`: why nothing was done.
Contribution answer(const Control& control, const Answering& to, const std::optional<Refusal>& refusal);

}  // namespace stsync::sync
