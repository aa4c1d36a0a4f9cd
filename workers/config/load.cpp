#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <tuple>

#include <fmt/format.h>

#include "config/checks.hpp"
#include "config/fields.hpp"
#include "config/overrides.hpp"
#include "core/text.hpp"

namespace stsync::config {
namespace {

constexpr std::size_t kMostTenantFiles = 20'000;
constexpr std::size_t kMostTenants = 100'000;

std::map<std::string, Environment> vendor_environments() {
  return {
      {"production", {"production", "https://api.servicetitan.io", "https://auth.servicetitan.io/connect/token", ""}},
      {"integration",
       {"integration", "https://api-integration.servicetitan.io", "https://auth-integration.servicetitan.io/connect/token", ""}}};
}

std::shared_ptr<const Source> source_of(const std::string& path) {
  return std::make_shared<Source>(Source{path, std::filesystem::path(path).parent_path().string()});
}

/// Reads and checks step by step, so that one run finds everything.
class Loader {
 public:
  explicit Loader(const std::string& path) : main_(source_of(path)) { files_.push_back(path); }

  Loaded run(const std::vector<std::string>& sets, const std::vector<std::string>& environment) {
    config_.environments = vendor_environments();
    std::string text;
    if (read_file(main_->name, YamlLimits{}.bytes, text, {main_}, report_)) {
      auto root = parse_yaml(text, main_, report_);
      if (report_.errors().empty()) read(root, sets, environment);
    }
    return {std::move(config_), sorted(report_.errors()), sorted(report_.warnings()), std::move(files_)};
  }

 private:
  void read(Node& root, const std::vector<std::string>& sets, const std::vector<std::string>& environment) {
    if (!root.where.source) root.where.source = main_;
    for (const auto& [variable, assignment] : environment_overrides(environment))
      apply_override(root, assignment, "variable " + variable, main_->directory, report_);
    for (const auto& set : sets)
      apply_override(root, set, "--set " + core::printable(set.substr(0, set.find('=')), 80), main_->directory, report_);
    config_table().read(root, config_, reader_);
    const auto* list = root.find("tenants_from");
    tenant_files(list != nullptr ? list->where : root.where);
    reader_.sort_places();
    place_schedules(config_, reader_);
    check_config(config_, reader_);
  }

  void tenant_files(const Where& where) {
    for (const auto& given : config_.tenants_from) {
      const auto pattern = resolve_path(given, {main_});
      const auto files = expand(pattern, where);
      if (files.empty()) report_.warn(where, fmt::format("tenants_from: no file fits {}", pattern));
      for (const auto& file : files) tenant_file(file);
    }
  }

  std::vector<std::string> expand(const std::string& pattern, const Where& where) {
    glob_t found{};
    std::vector<std::string> out;
    if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) out.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
    ::globfree(&found);
    if (files_.size() + out.size() > kMostTenantFiles) {
      report_.error(where, fmt::format("tenants_from: {} finds more than {} files", pattern, kMostTenantFiles));
      out.clear();
    }
    return out;
  }

  void tenant_file(const std::string& path) {
    const auto source = source_of(path);
    files_.push_back(path);
    std::string text;
    if (!read_file(path, YamlLimits{}.bytes, text, {source}, report_)) return;
    const auto root = parse_yaml(text, source, report_);
    if (root.kind == Node::Kind::list)
      for (const auto& item : root.items) extra_tenant(item);
    else if (root.kind == Node::Kind::map)
      extra_tenant(root);
    else if (root.kind == Node::Kind::scalar)
      report_.error(root.where, fmt::format("found {}, expected a tenant or a list of tenants", root.described()));
  }

  void extra_tenant(const Node& node) {
    const auto* name = node.find("app");
    const auto app = std::find_if(config_.apps.begin(), config_.apps.end(), [&](const App& a) {
      return name != nullptr && name->kind == Node::Kind::scalar && a.name == name->text;
    });
    if (app == config_.apps.end()) {
      std::vector<std::string> names;
      for (const auto& a : config_.apps) names.push_back(a.name);
      report_.error(name != nullptr ? name->where : node.where,
                    fmt::format("app: found {}, expected one of {}", name != nullptr ? name->described() : "nothing",
                                fmt::join(names, ", ")));
      return;
    }
    if (app->tenants.size() >= kMostTenants) return report_.error(node.where, fmt::format("more than {} tenants", kMostTenants));
    const Reader::Step apps(reader_, "apps");
    const Reader::Step index(reader_, static_cast<std::size_t>(app - config_.apps.begin()));
    const Reader::Step tenants(reader_, "tenants");
    const Reader::Step element(reader_, app->tenants.size());
    ExtraTenant extra;
    extra_tenant_table().read(node, extra, reader_);
    app->tenants.push_back(std::move(extra.tenant));
  }

  /// In the order of the files, then of their lines.
  std::vector<Problem> sorted(std::vector<Problem> problems) const {
    const auto rank = [this](const Problem& p) { return std::find(files_.begin(), files_.end(), p.file) - files_.begin(); };
    std::sort(problems.begin(), problems.end(), [&](const Problem& a, const Problem& b) {
      return std::make_tuple(rank(a), a.line, a.column, std::cref(a.message)) <
             std::make_tuple(rank(b), b.line, b.column, std::cref(b.message));
    });
    return problems;
  }

  std::shared_ptr<const Source> main_;
  std::vector<std::string> files_;
  Config config_;
  Report report_;
  Reader reader_{report_};
};

}  // namespace

Loaded load(const std::string& path, const std::vector<std::string>& sets, const std::vector<std::string>& environment) {
  return Loader(path).run(sets, environment);
}

const App* Config::find_app(const std::string& name) const noexcept {
  const auto at = std::find_if(apps.begin(), apps.end(), [&](const App& a) { return a.name == name; });
  return at == apps.end() ? nullptr : &*at;
}

const Tenant* Config::find_tenant(const std::string& app, std::int64_t tenant) const noexcept {
  const auto* owner = find_app(app);
  if (owner == nullptr) return nullptr;
  const auto at = std::find_if(owner->tenants.begin(), owner->tenants.end(), [&](const Tenant& t) { return t.id == tenant; });
  return at == owner->tenants.end() ? nullptr : &*at;
}

}  // namespace stsync::config
