#include "servicetitan/entry.hpp"

#include <algorithm>

namespace stsync::servicetitan {
namespace {

constexpr const char* kField = "[A-Za-z_][A-Za-z0-9_]{0,63}(\\.[A-Za-z_][A-Za-z0-9_]{0,63})?";
constexpr const char* kParameter = "[A-Za-z_][A-Za-z0-9_.]{0,63}";
constexpr const char* kPath = R"(/[A-Za-z0-9/_.-]*\{tenant\}/[A-Za-z0-9/_.{}-]+)";
constexpr auto kLongest = std::chrono::days(3660);

config::Table<PeriodEntry> period_table() {
  config::Table<PeriodEntry> period("Stretches of time that an endpoint is asked for.");
  period.text("begin", &PeriodEntry::begin, "Parameter for the beginning; none: it is in the body.", "a parameter", kParameter);
  period.text("end", &PeriodEntry::end, "Parameter for the end (exclusive).", "a parameter", kParameter);
  period.duration("step", &PeriodEntry::step, std::chrono::hours(1), kLongest, "Length of one stretch.");
  period.duration("back", &PeriodEntry::back, {}, kLongest, "How far before today a full begins.");
  period.duration("ahead", &PeriodEntry::ahead, {}, kLongest, "How far after today it ends.");
  period.duration("again", &PeriodEntry::again, {}, kLongest, "What an incremental reads once more: figures that still change.");
  return period;
}

config::Table<EndpointEntry> endpoint_table(const char* title) {
  using E = EndpointEntry;
  config::Table<E> endpoint(title);
  endpoint.text("path", &E::path, "Path, with {tenant}.", "a path with {tenant}", kPath);
  endpoint.text("async_path", &E::async_path, "Reports: path that starts the run and does not wait for it.", "a path", kPath);
  endpoint.text("result_path", &E::result_path, "Reports: path of the result, with {token}.", "a path", kPath);
  endpoint.choice("method", &E::method, {"GET", "POST"}, "HTTP method.");
  endpoint.choice("shape", &E::shape, {"page", "envelope", "array", "object", "scalar", "binary"}, "What it answers.");
  endpoint.text("scope", &E::scope, "OAuth scope that it needs.", "a scope", R"(tn\.[a-z]+\.[A-Za-z-]+:[rw])");
  endpoint.text("key", &E::key, "Primary key, where it is not the resource's.");
  endpoint.text("modified", &E::modified, "Time of the last change, where it is not the resource's.", "a field name", kField);
  endpoint.text_map("query", &E::query, "Parameters that every request carries.");
  endpoint.text("body", &E::body, "Body of a POST, with {begin}, {end}, {ids}.");
  endpoint.integer("page_size", &E::page_size, 1, 25000, "Records to ask for at first.");
  endpoint.integer("max_page_size", &E::max_page_size, 1, 25000, "The most that the endpoint gives.");
  endpoint.integer("first_page", &E::first_page, 0, 1, "Number of the first page.");
  endpoint.texts("sorts", &E::sorts, "Fields that `sort` takes.");
  endpoint.text("unique_sort", &E::unique_sort, "Value of `sort` that gives a total order; none: windows are split.",
                "a sort such as +Id", R"(([+-][A-Za-z]{1,64})?)");
  endpoint.boolean("modified_filter", &E::modified_filter, "Takes modifiedOnOrAfter and modifiedBefore.");
  endpoint.boolean("created_filter", &E::created_filter, "Takes createdOnOrAfter and createdBefore.");
  endpoint.boolean("ids_filter", &E::ids_filter, "Takes ids, up to 50 at a time.");
  endpoint.boolean("ids_only", &E::ids_only, "Answers nothing without ids.");
  endpoint.texts("filters", &E::filters, "Further parameters; stsync does not send them.");
  endpoint.text("parent", &E::parent, "Resource whose rows are the parents.", "a resource", R"([a-z-]+\.[a-z0-9-]+)");
  endpoint.text_map("bind", &E::bind, "Parameter by parameter, the field of the parent's row, or $parameter of the parent.");
  endpoint.integer("batch", &E::batch, 1, 50, "Parents a call.");
  endpoint.optional("period", &E::period, period_table(), "Stretches of time that it is asked for.");
  endpoint.text("vary", &E::vary, "A parameter that takes each of `variants`.", "a parameter", kParameter);
  endpoint.texts("variants", &E::variants, "Its values.");
  return endpoint;
}

}  // namespace

const config::Table<CatalogueFile>& catalogue_table() {
  static const auto table = [] {
    config::Table<Entry> entry("A readable resource.");
    entry.text("title", &Entry::title, "One line for people.");
    entry.text("key", &Entry::key, "Primary key: fields, $parameter, #row or #hash, joined by +.");
    entry.text("modified", &Entry::modified, "Field with the time of the last change, or none.", "a field name or none", kField);
    entry.text("topic", &Entry::topic, "Topic of its records instead of kafka.topics.records; may hold the same placeholders.",
               "a topic name", R"(([A-Za-z0-9._-]|\{(api|resource|environment)\}){1,200})");
    entry.texts("drop_fields", &Entry::drop_fields,
                "Fields that are cut out of its records, as paths: email, address.street; through arrays too.");
    entry.texts("hash_fields", &Entry::hash_fields, "Fields that are replaced by a hash, see catalogue.hash_key_file.");
    entry.duration("look_back", &Entry::look_back, {}, kLongest,
                   "An incremental begins this long before its watermark: rows that came in late are read, others again.");
    entry.number("requests_per_second", &Entry::requests_per_second, 0, 1000,
                 "Calls a second for this resource alone, of each tenant, besides the quota; 0: no limit of its own.");
    entry.boolean("files", &Entry::files, "Whether its files are read: recordings, attachments, images.");
    entry.size("max_file", &Entry::max_file, 1024, kLargestFile,
               "A larger file, or one that its topic does not take, is left out: a dead letter names it.");
    entry.boolean("modified_nullable", &Entry::modified_nullable, "Whether that field may be null.");
    entry.boolean("explicit", &Entry::explicit_only, "Patterns such as jpm.* leave it out.");
    entry.text("specs", &Entry::specs, "First and last date of the vendor's specification that has it.",
               "dates such as 2026-03..2026-07", R"(\d{4}-\d\d\.\.\d{4}-\d\d)");
    entry.texts("quirks", &Entry::quirks, "What users found it to do.");
    entry.optional("export", &Entry::export_feed, endpoint_table("An export feed."), "Its export feed.");
    entry.optional("list", &Entry::list, endpoint_table("A list."), "Its list.");
    entry.optional("children", &Entry::children, endpoint_table("The rows of one parent."), "Its rows, parent by parent.");
    entry.optional("get", &Entry::get, endpoint_table("A row by id."), "Its rows, id by id.");
    entry.optional("report", &Entry::report, endpoint_table("The rows of a report."), "Its rows, by report.");
    config::Table<CatalogueFile> file("A catalogue file.");
    file.object_map("resources", &CatalogueFile::resources, &Entry::name, entry, "api.resource", "Resources by name.");
    return file;
  }();
  return table;
}

Shape shape_of(Role role, const EndpointEntry& e) {
  for (const auto shape : {Shape::page, Shape::envelope, Shape::array, Shape::object, Shape::scalar, Shape::binary})
    if (e.shape == to_string(shape)) return shape;
  return role == Role::get ? Shape::object : Shape::page;
}

namespace {

template <class Map>
std::vector<std::pair<std::string, std::string>> pairs(const Map& map) {
  return {map.begin(), map.end()};
}

Endpoint make_endpoint(Role role, const EndpointEntry& e) {
  Endpoint out;
  out.role = role;
  out.method = e.method;
  out.path = e.path;
  out.async_path = e.async_path;
  out.result_path = e.result_path;
  out.shape = shape_of(role, e);
  out.scope = e.scope;
  if (!e.key.empty()) out.key = KeySpec(e.key);
  out.modified = e.modified;
  out.query = pairs(e.query);
  out.body = e.body;
  out.page_size = e.page_size;
  out.max_page_size = e.max_page_size;
  out.first_page = e.first_page;
  out.sorts = e.sorts;
  out.unique_sort = e.unique_sort;
  out.modified_filter = e.modified_filter;
  out.created_filter = e.created_filter;
  out.ids_filter = e.ids_filter;
  out.ids_only = e.ids_only;
  out.filters = e.filters;
  out.parent = e.parent;
  out.bind = pairs(e.bind);
  out.batch = e.batch;
  if (e.period)
    out.period = Period{e.period->begin, e.period->end, e.period->step, e.period->back, e.period->ahead, e.period->again};
  out.vary = e.vary;
  out.variants = e.variants;
  return out;
}

}  // namespace

Resource make_resource(const Entry& e) {
  Resource r;
  r.name = e.name;
  r.api = e.name.substr(0, e.name.find('.'));
  r.title = e.title;
  r.key = KeySpec(e.key);
  if (e.modified != "none")
    r.modified = e.modified;
  else
    r.modified.clear();
  r.topic = e.topic;
  r.look_back = e.look_back;
  r.requests_per_second = e.requests_per_second;
  r.files = e.files;
  r.max_file = e.max_file;
  r.drop_fields = e.drop_fields;
  r.hash_fields = e.hash_fields;
  r.modified_nullable = e.modified_nullable;
  r.explicit_only = e.explicit_only;
  r.first_spec = e.specs.substr(0, e.specs.find('.'));
  r.last_spec = e.specs.substr(std::min(e.specs.size(), e.specs.find('.') + 2));
  r.quirks = e.quirks;
  for (const auto& [role, member] : kEndpoints)
    if (e.*member) r.endpoints.push_back(make_endpoint(role, *(e.*member)));
  return r;
}

}  // namespace stsync::servicetitan
