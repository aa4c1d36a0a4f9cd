#include "sim/webhook_outbox.hpp"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "core/text.hpp"
#include "sim/values.hpp"

namespace stsync::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::array<core::Duration, 4> kRetries{10s, 30s, 60s, 300s};

std::size_t size_of(const WebhookRecord& record) { return record.event.data.size(); }

}  // namespace

void WebhookOutbox::add(WebhookEvent event, core::TimePoint now) {
  auto record = std::make_shared<WebhookRecord>();
  record->event = std::move(event);
  const bool twice = Draw(mix(seed_, counts_.events++)).below(1'000'000) < static_cast<std::uint64_t>(duplicates * 1e6);
  remember(record);
  if (!deliver(record, now)) return give_up(*record);
  if (twice) deliver(record, now);
}

bool WebhookOutbox::deliver(const std::shared_ptr<WebhookRecord>& record, core::TimePoint when) {
  if (due_.size() >= limits_.waiting || due_bytes_ + size_of(*record) > limits_.bytes) return false;
  if (std::exchange(record->given_up, false)) --counts_.given_up;
  ++record->waiting;
  put({record, core::uuid5(fmt::format("delivery/{}/{}", record->event.id, ++deliveries_)), 0}, when);
  return true;
}

void WebhookOutbox::put(Delivery delivery, core::TimePoint when) {
  due_bytes_ += size_of(*delivery.record);
  due_.emplace(when, std::move(delivery));
}

void WebhookOutbox::give_up(WebhookRecord& record) {
  if (record.accepted || record.waiting > 0 || std::exchange(record.given_up, true)) return;
  ++counts_.given_up;
}

void WebhookOutbox::remember(const std::shared_ptr<WebhookRecord>& record) {
  remembered_.push_back(record);
  by_id_[record->event.id] = record;
  remembered_bytes_ += size_of(*record);
  while (remembered_.size() > limits_.remembered || remembered_bytes_ > limits_.bytes) {
    remembered_bytes_ -= size_of(*remembered_.front());
    by_id_.erase(remembered_.front()->event.id);
    remembered_.pop_front();
  }
}

std::optional<WebhookOutbox::Delivery> WebhookOutbox::take(core::TimePoint now, core::WallTime wall) {
  if (due_.empty() || due_.begin()->first > now) return std::nullopt;
  auto delivery = std::move(due_.extract(due_.begin()).mapped());
  auto& record = *delivery.record;
  due_bytes_ -= size_of(record);
  if (!record.first_sent) record.first_sent = wall;
  ++record.tries;
  ++counts_.sent;
  counts_.retried += delivery.failures > 0 ? 1 : 0;
  return delivery;
}

void WebhookOutbox::finish(Delivery delivery, bool accepted, core::TimePoint now, core::WallTime wall) {
  auto& record = *delivery.record;
  if (!accepted && delivery.failures < kRetries.size()) {
    const auto wait = std::chrono::duration<double>(kRetries[delivery.failures++]) / retry_scale;
    return put(std::move(delivery), now + std::chrono::duration_cast<core::Duration>(wait));
  }
  --record.waiting;
  if (!accepted) return give_up(record);
  if (std::exchange(record.accepted, record.accepted.value_or(wall))) return;
  ++counts_.accepted;
}

std::optional<core::TimePoint> WebhookOutbox::next_due() const {
  return due_.empty() ? std::nullopt : std::optional(due_.begin()->first);
}

bool WebhookOutbox::replay(const std::string& event, core::TimePoint now) {
  const auto at = by_id_.find(event);
  return at != by_id_.end() && deliver(at->second, now);
}

std::size_t WebhookOutbox::replay_all(core::TimePoint now) {
  std::size_t out = 0;
  for (const auto& record : remembered_) out += deliver(record, now) ? 1 : 0;
  return out;
}

}  // namespace stsync::sim
