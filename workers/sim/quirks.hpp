#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "sim/dataset.hpp"
#include "sim/schema.hpp"

// What single endpoints of the vendor do unlike all others (facts 5 and 12).
namespace stsync::sim {

/// Resources that are another way to the rows of one: that one, else the resource itself.
const Resource& rows_of(const Resource& resource) noexcept;
/// Resources of which a company has a handful, whatever else it has.
bool is_rare(const Resource& resource) noexcept;
/// The field that a place of a path compares with, where the place names no parent; empty: none.
std::string_view field_of_place(std::string_view place) noexcept;
/// Lists whose rows are not reliably in the order asked for.
bool is_unsorted(const Resource& resource) noexcept;
/// Moves some rows of a list to where they do not belong, always the same ones.
void disorder(std::vector<Dataset::Index>& rows);
/// Lists that take a window of modification and do not heed it.
bool ignores_modified_filter(const Endpoint& endpoint) noexcept;
/// Parameters without effect, although they are documented.
bool ignores_filter(const Endpoint& endpoint, std::string_view parameter) noexcept;
bool shows_inactive_by_default(const Resource& resource) noexcept;
/// Pages that come as bare arrays, at some tenants.
bool answers_bare(const Endpoint& endpoint, std::int64_t tenant) noexcept;

}  // namespace stsync::sim
