#pragma once
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "config/config.hpp"

namespace stsync::config {

/// A directory of its own for each test, with a main file and the secrets that it names.
class Sandbox : public ::testing::Test {
 protected:
  void SetUp() override {
    auto pattern = (std::filesystem::temp_directory_path() / "stsync-config-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    for (const auto* name : {"key", "id1", "secret1", "id2", "secret2"}) write(name, std::string("value of ") + name + "\n");
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((directory_ / name).parent_path());
    std::ofstream(directory_ / name, std::ios::binary) << text;
  }
  std::string path(const std::string& name) const { return (directory_ / name).string(); }

  Loaded load_text(const std::string& text, const std::vector<std::string>& sets = {},
                   const std::vector<std::string>& env = {}) const {
    write("stsync.yaml", text);
    return load(path("stsync.yaml"), sets, env);
  }
  /// Every problem on a line of its own, without the directory.
  std::string lines(const std::vector<Problem>& problems) const {
    std::string out;
    for (const auto& problem : problems) out += problem.text() + "\n";
    const auto prefix = directory_.string() + "/";
    for (auto at = out.find(prefix); at != std::string::npos; at = out.find(prefix)) out.erase(at, prefix.size());
    return out;
  }

  std::filesystem::path directory_;
};

inline std::string file_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

}  // namespace stsync::config
