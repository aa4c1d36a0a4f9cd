#include "codec/redact.hpp"

#include <random>

#include <gtest/gtest.h>
#include <simdjson.h>

#include "codec/page.hpp"
#include "core/text.hpp"
#include "support/seeds.hpp"

namespace stsync::codec {
namespace {

using Paths = std::vector<std::string>;

std::string redacted(const Redactor& redactor, std::string_view record) {
  std::string out = "before";
  redactor.append(out, record);
  EXPECT_EQ(out.substr(0, 6), "before");
  EXPECT_EQ(out.size() - 6, redactor.size(record)) << record;
  EXPECT_TRUE(check_json(std::string_view(out).substr(6))) << out;
  return out.substr(6);
}
std::string dropped(const Paths& paths, std::string_view record) { return redacted(Redactor(paths, {}), record); }
std::string hashed(const Paths& paths, std::string_view record) { return redacted(Redactor({}, paths), record); }
std::string hash(std::string_view text) { return "\"sha256:" + core::sha256_hex(text) + "\""; }

TEST(Redact, ADroppedMemberGoesWithItsCommaAndNothingElse) {
  EXPECT_EQ(dropped({"a"}, R"({"a":1,"b":2,"c":3})"), R"({"b":2,"c":3})");
  EXPECT_EQ(dropped({"b"}, R"({"a":1,"b":2,"c":3})"), R"({"a":1,"c":3})");
  EXPECT_EQ(dropped({"c"}, R"({"a":1,"b":2,"c":3})"), R"({"a":1,"b":2})");
  EXPECT_EQ(dropped({"a", "c"}, R"({"a":1,"b":2,"c":3})"), R"({"b":2})");
  EXPECT_EQ(dropped({"b", "c"}, R"({"a":1,"b":2,"c":3})"), R"({"a":1})");
  EXPECT_EQ(dropped({"a", "b", "c"}, R"({"a":1,"b":2,"c":3})"), "{}");
  EXPECT_EQ(dropped({"x"}, R"({"a":1,"b":2})"), R"({"a":1,"b":2})");
  EXPECT_EQ(dropped({"x"}, "{}"), "{}");
  EXPECT_EQ(dropped({"x"}, " [ ] "), " [ ] ");
  EXPECT_EQ(dropped({"x"}, "12"), "12");
}

TEST(Redact, BlanksOfWhatStaysStay) {
  EXPECT_EQ(dropped({"b"}, "{\n  \"a\" : 1.0 ,\n  \"b\": [1,\n2],\n  \"c\":\t3\n}"), "{\n  \"a\" : 1.0 ,\n  \"c\":\t3\n}");
  EXPECT_EQ(dropped({"c"}, "{\n  \"a\": 1,\n  \"c\": 3\n}"), "{\n  \"a\": 1\n}");
  EXPECT_EQ(dropped({"a", "c"}, "{\n  \"a\": 1,\n  \"c\": 3\n}"), "{\n}");
  EXPECT_EQ(hashed({"b"}, "{ \"b\" :\t\"x\" , \"c\":1e2 }"), "{ \"b\" :\t" + hash("x") + " , \"c\":1e2 }");
}

TEST(Redact, AHashIsOfTheTextOrOfTheBytesAndNullStaysNull) {
  EXPECT_EQ(hash("x"), "\"sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\"");
  EXPECT_EQ(hashed({"a"}, R"({"a":"x"})"), R"({"a":)" + hash("x") + "}");
  EXPECT_EQ(hashed({"a"}, R"({"a":"\u0078"})"), R"({"a":)" + hash("x") + "}") << "the same text, the same hash";
  EXPECT_EQ(hashed({"a"}, R"({"a":""})"), R"({"a":)" + hash("") + "}");
  EXPECT_EQ(hashed({"a"}, R"({"a":12.50})"), R"({"a":)" + hash("12.50") + "}");
  EXPECT_EQ(hashed({"a"}, R"({"a":{"b": 1}})"), R"({"a":)" + hash(R"({"b": 1})") + "}");
  EXPECT_EQ(hashed({"a"}, R"({"a":["x", 1] })"), R"({"a":)" + hash(R"(["x", 1])") + " }");
  EXPECT_EQ(hashed({"a"}, R"({"a":null,"b":false})"), R"({"a":null,"b":false})");
  EXPECT_EQ(hashed({"a"}, R"({"a":"\ud800"})"), R"({"a":)" + hash(R"("\ud800")") + "}") << "no text: as it is written";
}

TEST(Redact, WithAKeyTheHashCannotBeGuessed) {
  const Redactor redactor({}, {"a"}, core::Secret("key"));
  // printf x | openssl dgst -sha256 -hmac key
  EXPECT_EQ(redacted(redactor, R"({"a":"x"})"),
            R"({"a":"sha256:4fc3b7eaf34d7e594a6f51d9517ba543abf41067b27587ffd82ba3584e4d3cdd"})");
  EXPECT_NE(redacted(Redactor({}, {"a"}, core::Secret("other")), R"({"a":"x"})"), redacted(redactor, R"({"a":"x"})"));
}

TEST(Redact, APathLeadsIntoObjectsAndThroughArrays) {
  EXPECT_EQ(dropped({"a.b"}, R"({"a":{"b":1,"c":2},"b":3})"), R"({"a":{"c":2},"b":3})");
  EXPECT_EQ(dropped({"a.b"}, R"({"a":[{"b":1},{"c":2,"b":[{}]},7,[{"b":1}],null],"b":3})"),
            R"({"a":[{},{"c":2},7,[{}],null],"b":3})");
  EXPECT_EQ(hashed({"a.b.c"}, R"({"a":{"b":{"c":"x","d":1}}})"), R"({"a":{"b":{"c":)" + hash("x") + R"(,"d":1}}})");
  EXPECT_EQ(dropped({"a.b"}, R"({"a":"b","x":{"a":{"b":1}}})"), R"({"a":"b","x":{"a":{"b":1}}})");
  EXPECT_EQ(dropped({"b"}, R"([{"b":1},{"c":2}])"), R"([{},{"c":2}])") << "the rows of a report are arrays";
  EXPECT_EQ(redacted(Redactor({"a.b", "a.c"}, {"a.d", "e"}), R"({"a":{"b":1,"c":2,"d":3},"e":4})"),
            R"({"a":{"d":)" + hash("3") + R"(},"e":)" + hash("4") + "}");
}

TEST(Redact, EveryMemberOfTheNameIsMeantHoweverItIsWritten) {
  EXPECT_EQ(dropped({"a"}, R"({"a":1,"b":2,"a":3,"\u0061":4})"), R"({"b":2})");
  EXPECT_EQ(hashed({"email"}, R"({"em\u0061il":"x","email":null,"email":1})"),
            R"({"em\u0061il":)" + hash("x") + R"(,"email":null,"email":)" + hash("1") + "}");
  EXPECT_EQ(dropped({"a/b"}, R"({"a\/b":1})"), "{}");
  EXPECT_EQ(dropped({"\xc3\xa9"}, R"({"\u00e9":1,"é":2})"), "{}");
  EXPECT_EQ(dropped({"a"}, R"({"\ud800":1,"A":2,"a ":3,"\\u0061":4})"), R"({"\ud800":1,"A":2,"a ":3,"\\u0061":4})");
}

TEST(Redact, NamesInsideTextsAndValuesAreNotNames) {
  for (const std::string record : {R"({"x":"\"a\":1,","y":["a"],"z":{"b":{"a":1}}})", R"({"x":"a","y":"{\"a\":1}"})"}) {
    EXPECT_EQ(dropped({"a"}, record), record);
    EXPECT_EQ(hashed({"a"}, record), record);
  }
}

TEST(Redact, TheShorterOfTwoPathsCounts) {
  EXPECT_EQ(redacted(Redactor({"a"}, {"a.b"}), R"({"a":{"b":1},"c":2})"), R"({"c":2})");
  EXPECT_EQ(redacted(Redactor({"a.b"}, {"a"}), R"({"a":{"b":1}})"), R"({"a":)" + hash(R"({"b":1})") + "}");
}

TEST(Redact, TheDeepestRecordThatIsAcceptedIsRedacted) {
  const auto nested = [](std::size_t n, const std::string& inner) { return std::string(n, '[') + inner + std::string(n, ']'); };
  const auto page = R"({"data":[{"a":)" + nested(kMaxDepth - 4, R"({"b":1,"c":2})") + "}]}";
  const auto cut = cut_page(page, {});
  ASSERT_TRUE(cut) << cut.error().message();
  EXPECT_EQ(dropped({"a.b"}, cut->records[0].bytes.in(page)), R"({"a":)" + nested(kMaxDepth - 4, R"({"c":2})") + "}");
}

TEST(Redact, PathsThatSayNothingAreRefused) {
  for (const auto* good : {"a", "a.b", "a b", "customFields.Größe", "a-b_c.d[0]"}) EXPECT_TRUE(Redactor::valid(good)) << good;
  for (const std::string bad : {"", ".", "a.", ".a", "a..b", "a\nb", "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q"})
    EXPECT_FALSE(Redactor::valid(bad)) << bad;
  EXPECT_FALSE(Redactor::valid(std::string(257, 'a')));
}

TEST(CutPage, TellsHowLargeARecordWillBe) {
  const std::string text = R"({"data":[{"id":1,"a":"xyz"},{"id":2}]})";
  RecordFields fields;
  EXPECT_EQ(cut_page(text, fields)->records[0].size, 18u);
  fields.redactor = std::make_shared<Redactor>(Paths{"a"}, Paths{});
  const auto page = cut_page(text, fields).value();
  EXPECT_EQ(page.records[0].bytes.in(text), R"({"id":1,"a":"xyz"})");
  EXPECT_EQ(page.records[0].size, 8u);
  EXPECT_EQ(page.records[1].size, 8u);
}

/// Makes records at random, written twice: as the vendor might send them, and as they should be published, put together from
/// pieces by a rule that never looks at JSON again. Names are few, so that paths often fit.
class Twin {
 public:
  explicit Twin(std::uint64_t seed) : random_(seed) {
    for (int i = 1 + pick(3); i > 0; --i) (pick(2) == 0 ? drop : hash).push_back(path());
  }
  Paths drop, hash;
  std::string sent, published;

  void record() { value(0, "", sent, published); }

 private:
  static constexpr const char* kNames[] = {"a", "b", "c", "é"};

  int pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  std::string path() {
    std::string out = kNames[pick(4)];
    for (int i = pick(3); i > 0; --i) out += std::string(".") + kNames[pick(4)];
    return out;
  }
  std::string blanks() { return std::string(static_cast<std::size_t>(pick(3)), " \n\t\r"[pick(4)]); }
  std::string name(const std::string& text) {
    if (pick(3) > 0) return '"' + text + '"';
    if (text == "é") return "\"\\u00E9\"";
    return fmt_escape(text[0]);
  }
  static std::string fmt_escape(char c) {
    constexpr const char* kDigits = "0123456789abcdef";
    return std::string("\"\\u00") + kDigits[c >> 4] + kDigits[c & 15] + '"';
  }

  bool meant(const Paths& paths, const std::string& path) const {
    return std::find(paths.begin(), paths.end(), path) != paths.end();
  }

  void value(int depth, const std::string& at, std::string& in, std::string& out) {
    const auto kind = depth > 4 ? 2 + pick(6) : pick(8);
    if (kind == 0) return object(depth, at, in, out);
    if (kind == 1) return array(depth, at, in, out);
    const std::string scalar[] = {"null", "true", "-12.50e3", R"("")", R"("\"a\":1,")", "\"é\\u0061\"", R"("b")", "7"};
    const auto& text = scalar[kind];
    in += text;
    out += text;
  }
  void array(int depth, const std::string& at, std::string& in, std::string& out) {
    in += '[';
    out += '[';
    for (int i = 0, n = pick(4); i < n; ++i) {
      const auto comma = std::string(i == 0 ? "" : ",") + blanks();
      in += comma;
      out += comma;
      value(depth + 1, at, in, out);
      const auto behind = blanks();
      in += behind;
      out += behind;
    }
    in += ']';
    out += ']';
  }
  void object(int depth, const std::string& at, std::string& in, std::string& out) {
    std::vector<std::string> all, kept;
    for (int i = 0, n = pick(5); i < n; ++i) {
      const std::string text = kNames[pick(4)];
      const auto path = at.empty() ? text : at + "." + text;
      auto member_in = blanks() + name(text) + blanks() + ":" + blanks();
      auto member_out = member_in;
      std::string value_in, value_out;
      value(depth + 1, path, value_in, value_out);
      if (meant(drop, path)) {
        // nothing of it
      } else if (meant(hash, path)) {
        value_out = value_in == "null" ? "null" : hash_text(value_in);
      }
      const auto behind = i + 1 < n ? blanks() : std::string();  // blanks before the brace are the object's
      all.push_back(member_in + value_in + behind);
      if (!meant(drop, path)) kept.push_back(member_out + value_out + behind);
    }
    const auto end = blanks();
    write('{', all, end, in);
    write('{', kept, end, out);
  }
  static void write(char open, const std::vector<std::string>& members, const std::string& end, std::string& to) {
    to += open;
    for (std::size_t i = 0; i < members.size(); ++i) to += (i == 0 ? "" : ",") + members[i];
    to += end + "}";
  }
  static std::string hash_text(const std::string& raw) {
    simdjson::dom::parser parser;
    const auto value = parser.parse(raw);
    const auto text = value.is_string() ? std::string(value.get_string().value()) : raw;
    return "\"sha256:" + core::sha256_hex(text) + "\"";
  }

  std::mt19937_64 random_;
};

/// The members of a document, redacted, as another reader sees them; hashes only as such.
class Seen {
 public:
  Seen(const Paths& drop, const Paths& hash) : drop_(drop), hash_(hash) {}
  std::string text(const std::string& json) {
    simdjson::dom::parser parser;
    return text(parser.parse(json).value(), "");
  }
  bool touched = false;

 private:
  static bool meant(const Paths& paths, const std::string& p) { return std::find(paths.begin(), paths.end(), p) != paths.end(); }

  std::string text(simdjson::dom::element e, const std::string& at) {
    std::string out;
    if (e.is_array()) {
      const simdjson::dom::array elements = e;
      for (auto element : elements) out += text(element, at) + ",";
      return "[" + out + "]";
    }
    if (e.is_object()) {
      const simdjson::dom::object members = e;
      for (auto [name, value] : members) out += member(std::string(name), value, at);
      return "{" + out + "}";
    }
    if (e.is_string() && e.get_string().value().starts_with("sha256:")) return "hash";
    return simdjson::to_string(e);
  }
  std::string member(const std::string& name, simdjson::dom::element value, const std::string& at) {
    const auto path = at.empty() ? name : at + "." + name;
    const bool gone = meant(drop_, path), hidden = !gone && meant(hash_, path) && !value.is_null();
    touched = touched || gone || hidden;
    return gone ? "" : name + ":" + (hidden ? "hash" : text(value, path)) + ",";
  }

  const Paths drop_, hash_;
};

TEST(Redact, AnyRecordByteForByteAndInTheEyesOfAnotherReader) {
  std::size_t changed = 0, shrunk = 0;
  for (std::uint64_t seed = 0; seed < stsync::test::seeds(3000); ++seed) {
    SCOPED_TRACE(seed);
    Twin twin(seed);
    twin.record();
    const auto got = redacted(Redactor(twin.drop, twin.hash), twin.sent);
    ASSERT_EQ(got, twin.published) << twin.sent;
    Seen before(twin.drop, twin.hash), after({}, {});
    ASSERT_EQ(after.text(got), before.text(twin.sent)) << twin.sent;
    ASSERT_EQ(before.touched, got != twin.sent);
    changed += before.touched;
    shrunk += got.size() < twin.sent.size();
  }
  EXPECT_GT(changed, 100u) << "the test looks at nothing";
  EXPECT_GT(shrunk, 30u);
}

}  // namespace
}  // namespace stsync::codec
