#pragma once
#include <array>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kafka/client.hpp"
#include "sync/intake.hpp"
#include "sync/names.hpp"

namespace stsync::sync {

/// Two apps of two tenants, and decisions on messages of the partition of acme:1001.
struct IntakeTest : ::testing::Test {
  IntakeTest() {
    for (const auto* name : {"acme", "other"}) {
      config::App app;
      app.name = name;
      for (const std::int64_t id : {1001, 1002}) {
        config::Tenant tenant;
        tenant.id = id;
        app.tenants.push_back(tenant);
      }
      config.apps.push_back(app);
    }
  }

  Decision decide_on(kafka::Message m) const {
    return decide(m, {config, catalogue, memory, kPartition, 12, limit, free_memory, runs});
  }
  /// JSON on the partition and with the key of acme:1001.
  Decision decide_json(const std::string& json) const { return decide_on(message(json)); }
  static kafka::Message message(const std::string& value) {
    kafka::Message m;
    m.topic = "st.commands";
    m.partition = kPartition;
    m.key = "acme:1001";
    m.value = value;
    return m;
  }
  static std::string sync_json(const std::string& id, const std::string& sync) {
    return fmt::format(R"({{"id":"{}","app":"acme","tenant":1001,"sync":{}}})", id, sync);
  }
  /// "code: message" of a rejection, or what else it is.
  static std::string told(const Decision& d) {
    if (const auto* r = std::get_if<Reject>(&d)) return r->code + ": " + r->message;
    static constexpr std::array kNames{"accept", "coalesce", "duplicate", "control", "forward", "reject"};
    return kNames[d.index()];
  }
  std::string told_json(const std::string& json) const { return told(decide_json(json)); }
  void remember(const std::string& json, v1::JobState::Phase phase, int calls = 0) {
    const auto d = decide_json(json);
    const auto& a = std::get<Accept>(d);
    v1::JobState state;
    *state.mutable_command() = a.command;
    state.set_body_hash(a.body_hash);
    state.set_phase(phase);
    state.mutable_counts()->set_calls(calls);
    memory.apply({job_journal_key("acme", 1001, a.command.id()), state});
  }

  static inline const std::int32_t kPartition = kafka::partition_for("acme:1001", 12);
  config::Config config;
  const servicetitan::Catalogue catalogue = servicetitan::Catalogue::load("", "").value();
  Memory memory;
  std::size_t free_memory = 1u << 30;
  std::size_t limit = 1000;
  std::function<bool(const std::string&)> runs = [](const std::string&) { return false; };
};

}  // namespace stsync::sync
