#pragma once
#include <string>
#include <string_view>

#include "http/server.hpp"

namespace stsync::sim {

struct Call;
struct Fault;

/// What a fault makes of a good answer:
///   duplicate_rows    the page's first row stands on it twice
///   empty_page        no rows, hasMore, and a new token
///   token_cycle       hasMore, with three tokens in turn
///   no_token          hasMore without continueFrom
///   unknown_token     the request's token is answered with 400
///   without_id        the first row lacks its id
///   null_modified     the first row's modifiedOn is null
///   future_modified   the first row was modified in the year 2101
///   unknown_choice    the first row has a status that nobody has heard of
///   new_field         the rows have a member more
///   without_active    the rows lack "active"
///   other_tenant      the rows say that they belong to another tenant
///   deep              a value two million levels deep
///   bad_utf8 bom nan  a body that is no JSON
///   gzip_bomb nested_gzip unknown_encoding
bool is_mangle(std::string_view name) noexcept;
std::string mangle_names();

void mangle(const Fault& fault, const Call& call, http::ServerResponse& response);

}  // namespace stsync::sim
