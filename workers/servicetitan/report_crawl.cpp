#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "core/text.hpp"
#include "servicetitan/crawl.hpp"

namespace stsync::servicetitan {
namespace {

using core::ErrorKind;
using namespace std::chrono_literals;

/// Waits of up to half a minute: about two hours.
constexpr int kMostPolls = 250;
constexpr core::Duration kLongestPoll = 30s;
constexpr int kMostLost = 3;
constexpr int kMostRestarts = 3;
constexpr std::size_t kLongestToken = 4096;
constexpr std::size_t kLongestLayout = 16u << 10;
constexpr std::size_t kNamesTold = 20;

/// {"parameters":[{"name":"From","value":"2026-01-01"},…]}: what is JSON as it is, else as text; what comes twice as an array.
std::string body_of(const v1::Report& report) {
  std::vector<std::pair<std::string, std::vector<std::string>>> parameters;
  for (const auto& p : report.parameters()) {
    auto value = p.value();
    if (!codec::check_json(value)) {
      value.clear();
      codec::append_json_text(value, p.value());
    }
    const auto at = std::find_if(parameters.begin(), parameters.end(), [&p](const auto& known) { return known.first == p.name(); });
    if (at == parameters.end())
      parameters.push_back({p.name(), {std::move(value)}});
    else
      at->second.push_back(std::move(value));
  }
  std::string out = R"({"parameters":[)";
  for (const auto& [name, values] : parameters) {
    if (out.back() == '}') out += ',';
    out += R"({"name":)";
    codec::append_json_text(out, name);
    out += R"(,"value":)";
    if (values.size() > 1) out += '[';
    for (std::size_t i = 0; i < values.size(); ++i) (out += i > 0 ? "," : "") += values[i];
    if (values.size() > 1) out += ']';
    out += '}';
  }
  return out += "]}";
}

std::string layout_of(const codec::Columns& columns) {
  auto out = columns.layout();
  return out.size() <= kLongestLayout ? out : "#" + core::sha256_hex(out);
}

std::map<std::string_view, bool> names_of(std::string_view layout) {
  std::map<std::string_view, bool> out;
  if (layout.starts_with('#')) return out;
  while (!layout.empty()) {
    const auto end = std::min(layout.find('\n'), layout.size());
    out[layout.substr(0, end)] = true;
    layout.remove_prefix(std::min(end + 1, layout.size()));
  }
  return out;
}

/// "; new: "A", "B""
std::string difference(const char* word, std::string_view of, std::string_view to) {
  std::string out;
  std::size_t told = 0;
  const auto known = names_of(to);
  for (const auto& [name, there] : names_of(of)) {
    if (known.contains(name) || told++ >= kNamesTold) continue;
    out += (out.empty() ? fmt::format("; {}: ", word) : std::string(", ")) + core::printable(name, 60);
  }
  return out;
}

/// The rows of a report (facts 7), from its first page to its last: each page is asked for without waiting (POST …/data/query) and
/// fetched by its token when it is ready, or in one call where the vendor has no such way. Rows follow the "fields" of their own
/// answer. What a token stands for is published first and given back then: after a crash it is fetched once more.
class ReportCrawl final : public Crawl {
 public:
  ReportCrawl(Target target, v1::ReportState state, v1::Report report)
      : target_(std::move(target)), state_(std::move(state)), report_(std::move(report)), body_(body_of(report_)) {
    if (state_.page_size() <= 0) state_.set_page_size(target_.endpoint->page_size);
  }

  Request next() const override {
    if (!state_.token().empty()) return state_.fetched() ? give_back() : poll();
    auto request = base();
    request.method = "POST";
    request.path = state_.sync_path() ? target_.endpoint->path : target_.endpoint->async_path;
    request.body = body_;
    request.page_size = static_cast<int>(state_.page_size());
    // In the body they would be ignored without a word (facts 7).
    request.query.emplace_back("page", std::to_string(page()));
    request.query.emplace_back("pageSize", std::to_string(state_.page_size()));
    request.query.emplace_back("includeTotal", "true");
    request.turn = Turn{.run = true, .at_once = state_.not_run()};
    return request;
  }

  core::Result<Step> on_page(const PageView& view) override {
    if (!state_.token().empty() && state_.fetched()) return given_back();
    if (view.status == 202) return under_way(view);
    if (view.status != 200 || !view.page.has_data) return core::fail(ErrorKind::malformed, "the answer lacks data");
    const auto more = view.page.has_more.in(view.body);
    if (more != "true" && more != "false") return core::fail(ErrorKind::malformed, "the answer lacks hasMore");
    const auto layout = view.page.columns ? layout_of(*view.page.columns) : std::string();
    if (state_.rows() > 0 && !layout.empty() && layout != state_.layout()) return begin_anew(layout);
    return rows(view, layout, more == "true");
  }

  core::Result<Step> on_refusal(const core::Error& error) override {
    if (!state_.token().empty() && state_.fetched()) return given_back();  // the vendor forgets it by itself
    if (error.kind() != ErrorKind::not_found) return core::fail(error);
    if (!state_.token().empty()) return lost();
    const bool no_such_way = error.message().find("Unable to match incoming request") != std::string::npos;  // facts 4
    if (!no_such_way || state_.sync_path())
      return core::fail(core::Error(ErrorKind::not_found, fmt::format("report {}: {}", name(), error.message())).with_status(404));
    state_.set_sync_path(true);
    state_.set_not_run(true);
    return moved();
  }

  v1::CrawlState state() const override {
    v1::CrawlState out;
    *out.mutable_report() = state_;
    return out;
  }
  void move_cursor(v1::StreamState& stream) const override { stream.set_report_layout(state_.layout()); }
  std::optional<Request> farewell() const override { return state_.token().empty() ? std::nullopt : std::optional(give_back()); }
  void said_farewell() override { forget_token(); }
  void resize(const Endpoint&, int page_size) override { state_.set_page_size(std::max(1, page_size)); }

 private:
  std::string name() const { return fmt::format("{}/{}", report_.category(), report_.id()); }
  /// The page that holds the next row; a smaller size than before makes it begin with rows that are published already.
  std::int64_t page() const { return state_.rows() / state_.page_size() + 1; }

  Request base() const {
    auto request = target_.request();
    const auto places = places_of(target_.endpoint->path);
    if (!places.empty()) request.places.emplace_back(places.front(), report_.category());
    if (places.size() > 1) request.places.emplace_back(places.back(), std::to_string(report_.id()));
    request.fields.columns = true;
    return request;
  }

  Request by_token(const char* method) const {
    auto request = base();
    request.method = method;
    request.path = target_.endpoint->result_path;
    request.query.clear();
    request.places = {{"token", state_.token()}};
    return request;
  }
  Request poll() const {
    auto request = by_token("GET");
    const auto wait = core::Duration(1s) * (1 + state_.polls() / 2);
    request.turn = Turn{.wait = std::min(kLongestPoll, wait)};
    return request;
  }
  Request give_back() const {
    auto request = by_token("DELETE");
    request.turn = Turn{.may_fail = true};
    return request;
  }

  static Step moved() {
    Step step;
    step.page = false;
    return step;
  }

  void forget_token() {
    state_.clear_token();
    state_.clear_fetched();
    state_.clear_polls();
  }

  core::Result<Step> given_back() {
    forget_token();
    auto step = moved();
    step.done = state_.done();
    return step;
  }

  core::Result<Step> under_way(const PageView& view) {
    const auto token = codec::json_text(codec::json_field(view.body, "token")).value_or("");
    const bool usable = !token.empty() && token.size() <= kLongestToken && token != "." && token != "..";
    if (state_.token().empty()) {
      if (!usable) return core::fail(ErrorKind::malformed, "a run without a token");
      state_.clear_not_run();
      state_.set_token(token);
      return moved();
    }
    if (state_.polls() >= kMostPolls)
      return core::fail(core::Error(ErrorKind::server, fmt::format("report {}: the vendor does not finish it", name())));
    state_.set_polls(state_.polls() + 1);
    return moved();
  }

  /// The vendor knows nothing of the token any more.
  core::Result<Step> lost() {
    forget_token();
    state_.set_lost(state_.lost() + 1);
    if (state_.lost() > kMostLost)
      return core::fail(ErrorKind::server, fmt::format("report {}: the vendor lost its run {} times", name(), state_.lost()));
    auto step = moved();
    step.note = fmt::format("the vendor lost a run of report {}: it is run again", name());
    return step;
  }

  std::string layout_note(const std::string& layout, std::string_view when) const {
    auto changes = difference("new", layout, state_.layout()) + difference("gone", state_.layout(), layout);
    if (changes.empty()) changes = "; other order or number";
    return fmt::format("report {}: its columns changed {}{}", name(), when, changes);
  }

  /// Nothing of a page with other columns is mixed in: what was published stays as it is, and everything follows with the new ones.
  core::Result<Step> begin_anew(const std::string& layout) {
    if (state_.restarts() >= kMostRestarts)
      return core::fail(ErrorKind::unstable_list, fmt::format("report {}: its columns change while it is read", name()));
    auto step = moved();
    step.note = layout_note(layout, "while it was read, all of it is read again");
    state_.set_restarts(state_.restarts() + 1);
    state_.set_rows(0);
    state_.set_layout(layout);
    state_.clear_not_run();
    state_.set_fetched(!state_.token().empty());
    return step;
  }

  core::Result<Step> rows(const PageView& view, const std::string& layout, bool more) {
    const auto given = codec::json_int(view.page.page_size.in(view.body)).value_or(state_.page_size());
    if (given <= 0 || given > state_.page_size()) return core::fail(ErrorKind::malformed, "a page of another size");
    const auto first = (page() - 1) * given;
    const auto count = static_cast<std::int64_t>(view.page.records.size());
    auto step = target_.step(first);
    step.context.columns = view.page.columns;
    const bool gap = first > state_.rows();  // pages are smaller than asked for: this one begins too late
    const bool known = first + count <= state_.rows();
    if (more && count == 0) return core::fail(ErrorKind::no_progress, "a page without rows that promises more");
    if (more && known && given == state_.page_size())
      return core::fail(ErrorKind::no_progress, "a page of rows that were there before");
    if (state_.rows() == 0 && !layout.empty()) {
      if (!state_.layout().empty() && state_.layout() != layout) step.note = layout_note(layout, "since it was read last");
      state_.set_layout(layout);
    }
    if (!gap)
      for (auto i = std::max<std::int64_t>(0, state_.rows() - first); i < count; ++i)
        step.publish.push_back(static_cast<std::uint32_t>(i));
    state_.set_page_size(given);
    state_.set_rows(state_.rows() + static_cast<std::int64_t>(step.publish.size()));
    state_.clear_lost();
    state_.clear_not_run();
    state_.set_fetched(!state_.token().empty());
    step.rows = state_.rows();
    if (more || gap) return step;
    if (const auto total = codec::json_int(view.page.total_count.in(view.body));
        total && *total != state_.rows() && step.note.empty())
      step.note = fmt::format("report {}: {} rows were promised, {} came", name(), *total, state_.rows());
    state_.set_done(true);
    step.done = state_.token().empty();
    return step;
  }

  const Target target_;
  v1::ReportState state_;
  const v1::Report report_;
  const std::string body_;
};

}  // namespace

std::unique_ptr<Crawl> make_report_crawl(Target target, const v1::ReportState& state, v1::Report report) {
  return std::make_unique<ReportCrawl>(std::move(target), state, std::move(report));
}

}  // namespace stsync::servicetitan
