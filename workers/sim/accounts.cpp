#include "sim/accounts.hpp"

#include <algorithm>

#include "http/message.hpp"
#include "sim/rows.hpp"

namespace stsync::sim {
namespace {

constexpr std::size_t kManyTokens = 10'000;

std::string letters(std::uint64_t seed, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += "abcdefghijklmnopqrstuvwxyz0123456789"[mix(seed, i) % 36];
  return out;
}

std::string value_of(const std::vector<std::pair<std::string, std::string>>& form, std::string_view name) {
  for (const auto& [key, value] : form)
    if (key == name) return value;
  return {};
}

}  // namespace

Accounts::Accounts(std::uint64_t seed, const std::vector<std::int64_t>& tenants, core::Duration token_life)
    : seed_(seed), app_key_("ak1." + letters(mix(seed, 100), 25)), token_life_(token_life) {
  for (const auto id : tenants) {
    const auto own = mix(seed, static_cast<std::uint64_t>(id));
    tenants_.push_back({id, "cid." + letters(mix(own, 1), 25), "cs1." + letters(mix(own, 2), 50)});
  }
}

Accounts::Grant Accounts::grant(std::string_view form_text, core::TimePoint now) {
  const auto form = http::parse_query(form_text);
  const auto type = value_of(form, "grant_type");
  if (type.empty()) return {{}, "invalid_request", 0};
  if (type != "client_credentials") return {{}, "unsupported_grant_type", 0};
  const auto client = value_of(form, "client_id");
  const auto secret = value_of(form, "client_secret");
  const auto known = std::find_if(tenants_.begin(), tenants_.end(),
                                  [&](const TenantAccess& t) { return t.client_id == client && t.client_secret == secret; });
  if (known == tenants_.end()) return {{}, "invalid_client", 0};
  if (tokens_.size() >= kManyTokens) forget_expired(now);
  auto token = "eyJ." + letters(mix(mix(seed_, 3), ++granted_), 60);
  tokens_[token] = {known->id, now + token_life_};
  return {std::move(token), {}, known->id};
}

std::optional<std::int64_t> Accounts::tenant_of(std::string_view header, core::TimePoint now) const {
  constexpr std::string_view kBearer = "Bearer ";
  if (header.starts_with(kBearer)) header.remove_prefix(kBearer.size());
  const auto at = tokens_.find(header);
  if (at == tokens_.end() || now >= at->second.end) return std::nullopt;
  return at->second.tenant;
}

void Accounts::forget_expired(core::TimePoint now) {
  std::erase_if(tokens_, [now](const auto& entry) { return now >= entry.second.end; });
}

}  // namespace stsync::sim
