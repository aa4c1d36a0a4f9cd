#pragma once
#include <optional>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "http/client.hpp"

namespace stsync::servicetitan {

// Files that the API answers with a redirect to a storage (facts 4). The address is all that is needed: it is a secret itself, so
// no error shows it, and none of our credentials goes there.

inline constexpr int kElsewhere = 302;

/// Where a redirect of the API leads: to the API's own host, or anywhere by HTTPS. `protocol` for anything else.
core::Result<http::Url> storage_url(const http::Response& redirect, const http::Origin& api);

/// What an answer of the storage means; nothing for 200. A link that it refuses is as good as an odd answer: the API gives another
/// one. No redirect leads on from there.
std::optional<core::Error> error_of_storage(const http::Response& response, core::WallTime now);

}  // namespace stsync::servicetitan
