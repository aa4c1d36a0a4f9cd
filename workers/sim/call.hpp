#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/server.hpp"
#include "sim/world.hpp"

namespace stsync::sim {

/// A request that may come in, on its way to the data. Loop thread only.
struct Call {
  World& world;
  TenantWorld& tenant;
  const Endpoint& endpoint;
  const http::ServerRequest& request;
  const Fault* fault;  ///< nullptr: none
  Parameters places;   ///< of the path
  Parameters query;

  Store& store() const noexcept { return tenant.store; }
  Dataset& data() const { return tenant.store.of(*endpoint.resource); }
  /// Of the query, as far as it is documented and not empty: the vendor ignores any other.
  const std::string* parameter(std::string_view name) const noexcept;
  bool is_true(std::string_view name) const noexcept;
  bool gzip() const;
  /// Everything the body depends on but the fault.
  std::string cache_key() const;
};

http::ServerResponse bad_parameter(const Call& call, std::string_view name, std::string_view value);
http::ServerResponse not_found(const Call& call);
/// The answer to parameters that are missing or cannot be read; nothing when all is well.
std::optional<http::ServerResponse> check_parameters(const Call& call);

/// The answer, compressed where the caller takes it; kept for the next one where `keep` says so.
http::ServerResponse finish(const Call& call, std::string body, bool keep = false);
std::optional<http::ServerResponse> from_cache(const Call& call);
/// For /__sim/fetches.
void count_fetch(const Call& call, const std::string& page);
/// For the truth of resources whose records follow from the question.
void note_answer(const Call& call, std::string_view bytes, std::size_t row = 0);

/// "1,2,3", or the parameter several times.
std::vector<std::string> words_of(const Call& call, std::string_view name);
bool same_word(std::string_view a, std::string_view b) noexcept;

// What the vendor's kinds of endpoints answer.
http::ServerResponse answer_feed(const Call& call);
http::ServerResponse answer_rows(const Call& call);
http::ServerResponse answer_one(const Call& call);
http::ServerResponse answer_period(const Call& call);
http::ServerResponse answer_file(const Call& call);
/// A file as the storage has it; the same for the same seed.
std::string file_bytes(std::uint64_t seed);

/// The asynchronous runs of reports, for which the catalogue has no endpoints of their own; nothing for any other path.
std::optional<http::ServerResponse> answer_data_query(const Call& call, std::string_view path);
http::ServerResponse answer_report(const Call& call);
http::ServerResponse answer_value_set(const Call& call);

}  // namespace stsync::sim
