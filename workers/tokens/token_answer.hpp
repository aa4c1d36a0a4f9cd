#pragma once
#include <string>

#include "core/error.hpp"
#include "http/message.hpp"
#include "tokens/source.hpp"

namespace stsync::tokens {

/// The meaning of an answer of the token endpoint. Pure. 400, 401 and 403: unauthorized; 429: throttled; everything else, and a 200
/// without a token that fits a header: server. A Retry-After in seconds, or as a date beside the answer's own Date, is kept.
core::Result<Fetched> read_token_answer(int status, const std::string& body, const http::Headers& headers = {});

}  // namespace stsync::tokens
