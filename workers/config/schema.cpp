#include <algorithm>

#include <fmt/format.h>

#include "config/shape.hpp"

namespace stsync::config {
namespace {

using Kind = ValueShape::Kind;

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

/// Writes indented JSON; the tables hold nothing that needs more than quote(). Every value may be left empty (it then keeps its
/// default), and a text may look like a number or a boolean to YAML.
class Schema {
 public:
  void object(const ObjectShape& shape, bool root) {
    open();
    if (root) line("\"$schema\": \"http://json-schema.org/draft-07/schema#\"");
    line("\"title\": " + quote(shape.title));
    line("\"type\": [\"object\", \"null\"]");
    line("\"additionalProperties\": false");
    std::string required;
    for (const auto& field : shape.fields)
      if (field.required) required += (required.empty() ? "" : ", ") + quote(field.name);
    if (!required.empty()) line("\"required\": [" + required + "]");
    key("properties");
    open();
    for (const auto& field : shape.fields) {
      key(field.name);
      value(field);
    }
    close();
    close();
  }
  std::string take() { return std::move(out_) + "\n"; }

 private:
  void value(const FieldShape& field) {
    const auto& shape = field.value;
    if (shape.kind == Kind::object) return object(*shape.object, false);
    open();
    line("\"description\": " + quote(field.help));
    switch (shape.kind) {
      case Kind::text:
        line(R"("type": ["string", "number", "boolean", "null"])");
        break;
      case Kind::choice:
        choices(shape);
        break;
      case Kind::boolean:
        line("\"enum\": [true, false, \"on\", \"off\", \"yes\", \"no\"]");
        break;
      case Kind::integer:
        number("integer", shape);
        break;
      case Kind::number:
        number("number", shape);
        break;
      case Kind::duration:
        pattern("[0-9]+(ms|s|m|h|d)");
        break;
      case Kind::size:
        pattern("[0-9]+(B|KiB|MiB|GiB)");
        break;
      case Kind::texts:
        line(R"("type": ["array", "string"], "items": {"type": ["string", "number"]})");
        break;
      case Kind::text_map:
        line(R"("type": ["object", "null"], "additionalProperties": {"type": ["string", "number", "boolean"]})");
        break;
      case Kind::objects:
        line(R"("type": ["array", "null"])");
        key("items");
        object(*shape.object, false);
        break;
      case Kind::object_map:
        line(R"("type": ["object", "null"])");
        key("additionalProperties");
        object(*shape.object, false);
        break;
      case Kind::object:
        break;
    }
    close();
  }
  void number(std::string_view type, const ValueShape& shape) {
    line(fmt::format("\"type\": [\"{}\", \"null\"]", type));
    if (shape.low == 0 && shape.high == 0) return;
    line("\"minimum\": " + format_number(shape.low));
    line("\"maximum\": " + format_number(shape.high));
  }
  void pattern(std::string_view expression) {
    line(fmt::format("\"type\": [\"string\", \"null\"], \"pattern\": {}", quote(fmt::format("^{}$", expression))));
  }
  void choices(const ValueShape& shape) {
    std::string list;
    for (const auto& choice : shape.choices) list += quote(choice) + ", ";
    line("\"enum\": [" + list + "null]");
  }

  void separate() {
    if (!first_) out_ += ',';
    if (!out_.empty()) out_ += '\n';
    out_.append(2 * depth_, ' ');
    first_ = false;
  }
  void line(std::string_view text) {
    separate();
    out_ += text;
  }
  void key(std::string_view name) {
    separate();
    out_ += quote(name) + ": ";
  }
  void open() {
    out_ += '{';
    ++depth_;
    first_ = true;
  }
  void close() {
    --depth_;
    out_ += '\n';
    out_.append(2 * depth_, ' ');
    out_ += '}';
    first_ = false;
  }

  std::string out_;
  std::size_t depth_ = 0;
  bool first_ = true;
};

std::string escaped(std::string text) {
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
  return text;
}

bool is_nested(const ValueShape& shape) {
  return shape.kind == Kind::object || shape.kind == Kind::objects || shape.kind == Kind::object_map;
}

std::string path_of(const std::string& path, const FieldShape& field) {
  const auto name = path.empty() ? field.name : path + "." + field.name;
  if (field.value.kind == Kind::objects) return name + "[]";
  if (field.value.kind == Kind::object_map) return name + ".<" + field.value.placeholder + ">";
  return name;
}

/// A mapping that the page holds already.
struct Told {
  std::vector<std::string> names;
  std::string path;
};

void table(const std::string& path, const ObjectShape& shape, std::vector<Told>& told, std::string& out) {
  out += fmt::format("\n## {}\n\n{}\n", path.empty() ? "(top level)" : "`" + path + "`", shape.title);
  std::vector<std::string> names;
  for (const auto& field : shape.fields) names.push_back(field.name);
  const auto same = std::find_if(told.begin(), told.end(), [&](const Told& t) { return t.names == names; });
  if (same != told.end()) {
    out += fmt::format("The keys of `{}`.\n", same->path);
    return;
  }
  told.push_back({std::move(names), path});
  out += "\n| key | value | default | meaning |\n|---|---|---|---|\n";
  for (const auto& field : shape.fields) {
    const auto fallback = field.required ? "required" : field.fallback.empty() ? "" : "`" + field.fallback + "`";
    out += fmt::format("| `{}` | {} | {} | {} |\n", field.name, escaped(expectation(field.value)), fallback, escaped(field.help));
  }
  for (const auto& field : shape.fields)
    if (is_nested(field.value)) table(path_of(path, field), *field.value.object, told, out);
}

}  // namespace

std::string json_schema(const ObjectShape& shape) {
  Schema schema;
  schema.object(shape, true);
  return schema.take();
}

std::string reference_markdown(const ObjectShape& shape) {
  std::string out =
      "# Configuration reference\n\nGenerated from the table that reads the configuration; a test keeps the two alike.\n\n"
      "Any key can be overridden by `--set a.b=value` or by a variable `STSYNC_A__B=value` (two underscores between levels); "
      "elements\n"
      "of lists are counted from 0, a dot inside a key is written `\\.`, and a value that begins with `[` or `{` is read as YAML.\n"
      "Options win over variables, variables over the file.\n";
  return out + reference_tables(shape);
}

std::string reference_tables(const ObjectShape& shape) {
  std::string out;
  std::vector<Told> told;
  table("", shape, told, out);
  return out;
}

}  // namespace stsync::config
