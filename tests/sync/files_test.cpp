// Files of the vendor: jobs over the whole client, in virtual time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.hpp"
#include "vendor_play.hpp"

namespace stsync::sync {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;
using namespace std::chrono_literals;

const std::string kFile("RIFF\0\xff\xfe{not json\n", 18);
constexpr const char* kLink = "https://files.example/a%20b?sig=hidden";

v1::Command files(const std::string& resource, v1::Mode mode, const std::vector<std::string>& ids = {}) {
  auto command = sync_command(mode);
  command.mutable_sync()->set_resource(resource);
  for (const auto& id : ids) command.mutable_sync()->add_ids(id);
  return command;
}

struct Files : ::testing::Test {
  Files() {
    overrides("");
    w.vendor->answer = [this](const http::Request& request) -> core::Result<http::Response> {
      if (request.target.find("/calls?") == std::string::npos) return file(request);
      return VendorWorld::reply(200, list(VendorWorld::query_of(request)));
    };
    w.elsewhere->answer = [](const http::Request&) { return VendorWorld::reply(200, kFile); };
    file = [](const http::Request&) { return VendorWorld::reply(200, kFile); };
  }
  void overrides(const std::string& more) {
    w.catalogue = servicetitan::Catalogue::load("resources:\n  pricebook.images: {files: true" + more +
                                                    "}\n  telecom.call-recordings: {files: true" + more + "}\n",
                                                "over.yaml")
                      .value();
  }
  /// Calls inside the window that is asked for.
  std::string list(std::map<std::string, std::string> query) const {
    std::string rows;
    int count = 0;
    for (const auto& [id, modified] : calls) {
      const bool before = query.contains("modifiedBefore") && modified >= query["modifiedBefore"];
      if (before || modified < query["modifiedOnOrAfter"]) continue;
      rows += fmt::format(R"({}{{"leadCall":{{"id":{},"modifiedOn":"{}"}}}})", count++ > 0 ? "," : "", id, modified);
    }
    return fmt::format(R"({{"page":1,"pageSize":500,"hasMore":false,"totalCount":{},"data":[{}]}})", count, rows);
  }
  void run(const v1::Command& command) {
    life.emplace(w);
    life->record_topic.record_limit = limit;
    life->start(command);
    ASSERT_TRUE(life->run());
  }
  /// The vendor says where the files of images lie.
  void redirect(const std::string& to) {
    file = [to](const http::Request&) { return VendorWorld::reply(302, "", {{"Location", to}}); };
  }
  std::string everything() const {
    std::string out;
    for (const auto& m : w.log) {
      out += m.topic + m.key + m.value.value_or("");
      for (const auto& [name, value] : m.headers) out += name + value;
    }
    return out;
  }

  VendorWorld w;
  std::optional<Life> life;
  std::size_t limit = 1'000'000;
  std::function<core::Result<http::Response>(const http::Request&)> file;
  std::map<std::int64_t, std::string> calls{
      {7, "2025-06-01T00:00:00Z"}, {8, "2025-06-01T00:00:01Z"}, {9, "2025-06-01T00:00:02Z"}};  ///< id -> modified
};

TEST_F(Files, AreRecordsOfTheirBytes) {
  run(files("telecom.call-recordings", v1::ids, {"7"}));
  const auto records = w.of("st.telecom.call-recordings");
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(records[0].key, "1001:7");
  EXPECT_EQ(records[0].value, kFile);
  EXPECT_EQ(records[0].headers.at("st-job"), "j1:0");
  EXPECT_EQ(w.job().counts().bytes(), static_cast<std::int64_t>(kFile.size()));
  EXPECT_THAT(w.vendor->seen.back().request.headers, Not(Contains(Pair("Accept-Encoding", testing::_)))) << "bytes as they are";
}

TEST_F(Files, OfEveryParentAreReadAndWhatHasNoneIsPassedOver) {
  file = [](const http::Request& request) {
    return request.target.find("/8/") == std::string::npos ? VendorWorld::reply(200, request.target)
                                                           : VendorWorld::reply(404, "{}");
  };
  run(files("telecom.call-recordings", v1::full));
  const auto records = w.of("st.telecom.call-recordings");
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].value, "/telecom/v2/tenant/1001/calls/7/recording");
  EXPECT_EQ(records[1].key, "1001:9");
  EXPECT_EQ(w.job().phase(), v1::JobState::completed);
}

TEST_F(Files, AnIncrementalReadsThoseOfParentsThatChanged) {
  run(files("telecom.call-recordings", v1::full));
  const auto watermark = w.memory().stream("stream/acme/1001/telecom.call-recordings").watermark_ms();
  EXPECT_GT(watermark, 0);
  life.reset();
  w.clock.run_for(1h);
  w.vendor->seen.clear();
  calls[8] = core::format_utc(w.clock.wall_now() - 30min);
  auto again = files("telecom.call-recordings", v1::incremental);
  again.set_id("j2");
  run(again);
  EXPECT_EQ(w.of("st.telecom.call-recordings").size(), 4u);
  EXPECT_THAT(w.targets(), Contains("/telecom/v2/tenant/1001/calls/8/recording"));
  EXPECT_THAT(w.targets(), Not(Contains("/telecom/v2/tenant/1001/calls/7/recording")));
}

TEST_F(Files, LieElsewhereAndAreFetchedThereWithoutCredentials) {
  redirect(kLink);
  run(files("pricebook.images", v1::ids, {"Images/a b.jpg"}));
  EXPECT_EQ(w.vendor->seen.back().request.target, "/pricebook/v2/tenant/1001/images?path=Images%2Fa%20b.jpg");
  const auto records = w.of("st.pricebook.images");
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(records[0].key, "1001:Images%2Fa b.jpg");
  EXPECT_EQ(records[0].value, kFile);
  EXPECT_THAT(w.elsewhere->origins, ElementsAre("https://files.example:443"));
  ASSERT_THAT(w.elsewhere->seen, SizeIs(1));
  EXPECT_EQ(w.elsewhere->seen[0].request.target, "/a%20b?sig=hidden");
  EXPECT_THAT(w.elsewhere->seen[0].request.headers, ElementsAre(Pair("Accept", "*/*")));
  EXPECT_EQ(w.job().counts().calls(), 1) << "the storage counts no calls";
}

TEST_F(Files, OnTheApisOwnHostAreFetchedThereWithoutCredentialsToo) {
  file = [](const http::Request& request) {
    if (request.target.starts_with("/storage/")) return VendorWorld::reply(200, kFile);
    return VendorWorld::reply(302, "", {{"Location", "/storage/1"}});
  };
  run(files("pricebook.images", v1::ids, {"x"}));
  EXPECT_EQ(w.of("st.pricebook.images").size(), 1u);
  EXPECT_THAT(w.elsewhere->seen, IsEmpty());
  EXPECT_THAT(w.vendor->seen.back().request.headers, ElementsAre(Pair("Accept", "*/*")));
}

TEST_F(Files, NoOtherRedirectIsFollowed) {
  for (const std::string to : {"http://files.example/x", "ftp://files.example/x", "x", ""}) {
    redirect(to);
    life.reset();
    auto command = files("pricebook.images", v1::ids, {"x"});
    command.set_id("to " + to);
    run(command);
    EXPECT_EQ(w.job(command.id()).failure().code(), "protocol") << to;
    EXPECT_THAT(w.elsewhere->seen, IsEmpty()) << to;
  }
}

TEST_F(Files, ARedirectLeadsNoFurther) {
  redirect(kLink);
  w.elsewhere->answer = [](const http::Request&) { return VendorWorld::reply(302, "", {{"Location", kLink}}); };
  run(files("pricebook.images", v1::ids, {"x"}));
  EXPECT_EQ(w.job().failure().code(), "protocol");
  EXPECT_THAT(w.job().failure().message(), HasSubstr("storage of files"));
  EXPECT_EQ(w.elsewhere->seen.size(), w.vendor->seen.size()) << "one for each time that the API was asked";
  EXPECT_THAT(everything(), Not(HasSubstr("sig="))) << "the link is a secret";
}

TEST_F(Files, ALinkThatIsRefusedIsReplaced) {
  redirect(kLink);
  int refusals = 2;
  w.elsewhere->answer = [&](const http::Request&) {
    return refusals-- > 0 ? VendorWorld::reply(403, "expired") : VendorWorld::reply(200, kFile);
  };
  run(files("pricebook.images", v1::ids, {"x"}));
  EXPECT_EQ(w.job().phase(), v1::JobState::completed);
  EXPECT_EQ(w.vendor->seen.size(), 3u);
  EXPECT_EQ(w.desk.fetches, 1) << "our token has nothing to do with it";
}

TEST_F(Files, AStorageThatIsThrottledIsWaitedForAndTheQuotaIsNot) {
  redirect(kLink);
  int refusals = 1;
  w.elsewhere->answer = [&](const http::Request&) {
    return refusals-- > 0 ? VendorWorld::reply(429, "") : VendorWorld::reply(200, kFile);
  };
  run(files("pricebook.images", v1::ids, {"x"}));
  ASSERT_THAT(w.elsewhere->seen, SizeIs(2));
  EXPECT_GE(w.elsewhere->seen[1].at - w.elsewhere->seen[0].at, 5s);
  EXPECT_EQ(w.job().counts().throttled(), 0) << "of the API's quota";
}

TEST_F(Files, MissingAtTheStorageIsMissing) {
  redirect(kLink);
  w.elsewhere->answer = [](const http::Request&) { return VendorWorld::reply(404, ""); };
  run(files("pricebook.images", v1::ids, {"x", "y"}));
  EXPECT_EQ(w.job().phase(), v1::JobState::completed);
  EXPECT_THAT(w.of("st.pricebook.images"), IsEmpty());
}

TEST_F(Files, ThatAreTooLargeAreNamedAndTheOthersPublished) {
  overrides(", max_file: 2KiB");
  file = [](const http::Request& request) {
    return VendorWorld::reply(200, std::string(request.target.find("/8/") == std::string::npos ? 2000 : 3000, 'x'));
  };
  run(files("telecom.call-recordings", v1::full));
  EXPECT_THAT(w.of("st.telecom.call-recordings"), SizeIs(2));
  const auto letters = w.of("st.dlq");
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters[0].key, "1001:8");
  EXPECT_EQ(letters[0].value, "");
  EXPECT_EQ(letters[0].headers.at("st-error-code"), "too_large");
  EXPECT_THAT(letters[0].headers.at("__connect.errors.exception.message"), HasSubstr("a file of more than"));
  EXPECT_EQ(w.job().counts().dead_letters(), 1);
  EXPECT_EQ(w.job().counts().records(), 2);
  EXPECT_EQ(w.job().phase(), v1::JobState::completed);
}

TEST_F(Files, ThatTheirTopicDoesNotTakeAreTooLarge) {
  limit = 5000;
  file = [](const http::Request& request) {
    return VendorWorld::reply(200, std::string(request.target.find("/8/") == std::string::npos ? 2000 : 4900, 'x'));
  };
  run(files("telecom.call-recordings", v1::ids, {"7", "8"}));
  EXPECT_THAT(w.of("st.telecom.call-recordings"), SizeIs(1));
  EXPECT_THAT(w.of("st.dlq"), SizeIs(1));
}

TEST_F(Files, MayBeEmptyAndAreNoTombstones) {
  file = [](const http::Request&) { return VendorWorld::reply(200, ""); };
  run(files("telecom.call-recordings", v1::ids, {"7"}));
  const auto records = w.of("st.telecom.call-recordings");
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(records[0].value, std::optional<std::string>(""));
}

}  // namespace
}  // namespace stsync::sync
