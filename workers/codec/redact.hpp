#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/secret.hpp"

namespace stsync::codec {

/// Takes fields out of records, or puts a hash in their place, on the records' bytes: everything else stays as it is, blanks, order
/// and numbers included. A field is a path of names ("email", "address.street"); where it leads through an array it means every
/// element. Every member of that name is meant, however it is escaped. Immutable, any thread.
///
/// A member that is dropped goes with its comma and the blanks up to it. A hash is the JSON string "sha256:<64 hex digits>" of the
/// value: of a string its text, else its bytes; with a key it is HMAC-SHA-256. A string that stands for no text (half of a
/// surrogate pair) is hashed as it is written. null stays null.
class Redactor {
 public:
  /// Paths must be valid(). Of two paths where one leads through the other the shorter one counts.
  Redactor(const std::vector<std::string>& drop, const std::vector<std::string>& hash, core::Secret key = {});
  /// 1 to 16 names with "." between them, 256 bytes at most, no control characters.
  static bool valid(std::string_view path);

  /// Appends the record as it is to be published. `record`: one JSON value that cut_page() or check_json() has seen; anything else
  /// is a bug and ends the program before something leaks.
  void append(std::string& out, std::string_view record) const;
  /// How many bytes append() would add; costs no hash.
  std::size_t size(std::string_view record) const;

  /// What to do with the members of one name.
  struct Node {
    enum class Action { keep, drop, hash };
    std::string name;
    Action action = Action::keep;
    std::vector<Node> inside;
  };

 private:
  void add(std::string_view path, Node::Action action);

  Node root_;
  core::Secret key_;
};

}  // namespace stsync::codec
