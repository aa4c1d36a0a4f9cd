#pragma once
#include <cstdint>
#include <string>

#include "sync/memory.hpp"
#include "sync/names.hpp"

namespace stsync::sync {

/// The journal's entry of a job of acme's tenant 1001 that reads nothing in particular.
inline JournalEntry job(const std::string& id, v1::JobState::Phase phase, std::int64_t finished_ms = 0) {
  v1::JobState state;
  state.mutable_command()->set_id(id);
  state.set_phase(phase);
  state.set_finished_ms(finished_ms);
  return {job_journal_key("acme", 1001, id), state};
}

}  // namespace stsync::sync
