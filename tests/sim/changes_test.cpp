// What the control endpoints change while somebody reads: rows, access, all the data.
#include <gmock/gmock.h>

#include "fixture.hpp"

namespace stsync::sim {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Changes : SimTest {
  void SetUp() override {
    auto options = small();
    options.tenants = {1001, 1002};
    start_with(options);
  }
  std::string change(const std::string& what, const std::string& json) {
    const auto answer = post("/__sim/" + what, json);
    EXPECT_EQ(answer.status, 200) << what << " " << json << ": " << answer.body;
    return answer.body;
  }
  Tally read_all(std::int64_t tenant = 1001) {
    Tally tally;
    crawl(tenant, "jpm", "export/jobs", "", tally);
    return tally;
  }
  static std::int64_t count(const std::string& body, const char* name) { return core::parse_int(member(body, name)).value_or(-1); }
};

TEST_F(Changes, ChurnChangesRemovesAndAddsRowsAsItSays) {
  const auto before = truth(1001, "crm.customers"), others = truth(1002, "crm.customers");
  const auto churned = change("churn", R"({"tenant":1001,"resource":"crm.customers","count":50,"seed":7})");
  const auto vanished = count(churned, "vanished"), appeared = count(churned, "appeared");
  EXPECT_GT(count(churned, "changed"), 0);
  EXPECT_GT(vanished, 0);
  EXPECT_GT(appeared, 0);
  clock.run_for(16min);  // feeds tell of it a quarter of an hour later
  const auto after = truth(1001, "crm.customers");
  EXPECT_NE(after.hash, before.hash);
  EXPECT_GE(after.count, before.count - static_cast<std::uint64_t>(vanished));
  EXPECT_LE(after.count, before.count + static_cast<std::uint64_t>(appeared));
  EXPECT_EQ(truth(1002, "crm.customers").hash, others.hash);
  Tally tally;
  crawl(1001, "crm", "export/customers", "", tally);
  EXPECT_EQ(tally.hash(), after.hash);
}

TEST_F(Changes, ChurnCanBeKeptToChanges) {
  const auto before = truth(1001, "crm.customers");
  const auto churned = change("churn", R"({"tenant":1001,"resource":"crm.customers","count":50,"only_changes":true})");
  EXPECT_GT(count(churned, "changed"), 50);
  EXPECT_EQ(count(churned, "vanished") + count(churned, "appeared"), 0);
  change("churn", R"({"per_second":50,"resource":"crm.customers","only_changes":true})");
  clock.run_for(5s);
  change("churn", R"({"per_second":0})");
  const auto after = truth(1001, "crm.customers");
  EXPECT_NE(after.hash, before.hash);
  EXPECT_EQ(after.count, before.count);
}

TEST_F(Changes, TheSameChurnIsTheSame) {
  const std::string what = R"({"tenant":1001,"resource":"jpm.jobs","count":20,"seed":3})";
  const auto first = change("churn", what);
  const auto hash = truth(1001, "jpm.jobs").hash;
  run(sim->stop());
  SetUp();
  EXPECT_EQ(change("churn", what), first);
  EXPECT_EQ(truth(1001, "jpm.jobs").hash, hash);
}

TEST_F(Changes, ChurnGoesOnByItselfUntilToldOtherwise) {
  truth(1001, "jpm.jobs");
  const auto settle = [this] {
    clock.run_for(1min);
    return truth(1001, "jpm.jobs").hash;
  };
  const auto quiet = settle();
  EXPECT_EQ(settle(), quiet);
  change("churn", R"({"per_second":10})");
  EXPECT_NE(settle(), quiet);
  change("churn", R"({"per_second":0})");
  clock.run_for(20min);
  const auto again = settle();
  EXPECT_EQ(settle(), again);
}

TEST_F(Changes, AScopeOrAModuleIsTakenAndGivenBack) {
  change("access", R"({"tenant":1001,"without":"tn.jpm.jobs:r"})");
  const auto refused = get(1001, "jpm", "export/jobs");
  EXPECT_EQ(refused.status, 403);
  EXPECT_THAT(refused.body, HasSubstr("Scope validation failed"));
  EXPECT_EQ(get(1001, "jpm", "export/projects").status, 200);
  EXPECT_EQ(get(1002, "jpm", "export/jobs").status, 200);
  for (const auto& who : sim->tenants())
    EXPECT_EQ(text_member(post("/connect/token", form(who)).body, "scope").find("tn.jpm.jobs:r") == std::string::npos,
              who.id == 1001);
  change("access", R"({"tenant":1001,"with":"tn.jpm.jobs:r","without":"crm"})");
  EXPECT_EQ(get(1001, "jpm", "export/jobs").status, 200);
  EXPECT_EQ(get(1001, "crm", "export/customers").status, 404) << "what was not bought is not there";
  change("access", R"({"with":"crm"})");
  EXPECT_EQ(get(1001, "crm", "export/customers").status, 200);
  EXPECT_EQ(post("/__sim/access", R"({"tenant":9})").status, 400);
}

TEST_F(Changes, ARefreshReplacesTheRowsAndForgetsTheTokens) {
  const auto before = read_all(), other = read_all(1002);
  const auto token = text_member(get(1001, "jpm", "export/jobs").body, "continueFrom");
  const auto others_token = text_member(get(1002, "jpm", "export/jobs").body, "continueFrom");
  change("refresh", R"({"tenant":1001,"records":70})");
  EXPECT_EQ(get(1001, "jpm", "export/jobs?from=" + token).status, 400);
  EXPECT_EQ(get(1002, "jpm", "export/jobs?from=" + others_token).status, 200);
  const auto after = read_all();
  EXPECT_EQ(after.rows.size(), 70u);
  EXPECT_EQ(after.hash(), truth(1001, "jpm.jobs").hash);
  for (const auto& [key, row] : after.rows)
    if (const auto at = before.rows.find(key); at != before.rows.end()) EXPECT_NE(at->second, row) << key;
  EXPECT_EQ(read_all(1002).hash(), other.hash());
  EXPECT_EQ(post("/__sim/refresh", R"({"tenant":9})").status, 400);
}

}  // namespace
}  // namespace stsync::sim
