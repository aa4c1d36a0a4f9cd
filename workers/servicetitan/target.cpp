#include <algorithm>

#include "servicetitan/crawl.hpp"

namespace stsync::servicetitan {
namespace {

codec::BodyShape body_shape(Shape shape) {
  if (shape == Shape::object) return codec::BodyShape::object;
  if (shape == Shape::scalar) return codec::BodyShape::value;
  if (shape == Shape::binary) return codec::BodyShape::file;
  return codec::BodyShape::rows;
}

void replace_all(std::string& text, const std::string& what, const std::string& with) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
}

}  // namespace

Request Target::request() const {
  Request r;
  r.resource = resource;
  r.endpoint = endpoint;
  r.query = endpoint->query;
  r.body = endpoint->body;
  r.fields = {key().field(), endpoint->modified.empty() ? resource->modified : endpoint->modified, body_shape(endpoint->shape),
              false};
  // Rows that are known by their place may be anything: those of dynamic value sets are arrays.
  r.fields.any_record = key().fields().empty();
  for (const auto& [name, value] : parameters) {
    const auto place = "{" + name + "}";
    if (endpoint->path.find(place) != std::string::npos)
      r.places.emplace_back(name, value);
    else if (endpoint->body.find(place) != std::string::npos)
      replace_all(r.body, place, value);
    else if (!name.starts_with('@'))
      r.query.emplace_back(name, value);
  }
  return r;
}

Step Target::step(std::int64_t first_row) const {
  Step out;
  out.context = {parameters, first_row};
  out.key = &key();
  return out;
}

}  // namespace stsync::servicetitan
