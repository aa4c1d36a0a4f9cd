#include "webhook/signature.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

#include <gtest/gtest.h>

#include "core/rng.hpp"

namespace stsync::webhook {
namespace {

using core::Secret;

const Secret kSecret("0123456789abcdef0123456789abcdef");
const std::string kBody = R"({"a":1})";

struct Vector {
  Algorithm algorithm;
  Encoding encoding;
  const char* signature;
};

// By another program: printf '{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
constexpr Vector kVectors[] = {
    {Algorithm::hmac_sha256, Encoding::hex, "f0546246da9e2349100c845a8561214788d75d900f3c086a72fcfa03bb1f42ab"},
    {Algorithm::hmac_sha256, Encoding::base64, "8FRiRtqeI0kQDIRahWEhR4jXXZAPPAhqcvz6A7sfQqs="},
    {Algorithm::hmac_sha512, Encoding::hex,
     "4fa9f2304bcbcae309474ee22a85d92e2d7f43d0d95d00b6729e3aeb0620712c06e2ca09843b39d8273cb2279d4601fa48454303b693655c0d39f6376ad53"
     "3e8"},
    {Algorithm::hmac_sha512, Encoding::base64,
     "T6nyMEvLyuMJR07iKoXZLi1/Q9DZXQC2cp466wYgcSwG4soJhDs52Cc8siedRgH6SEVDA7aTZVwNOfY3atUz6A=="},
    {Algorithm::hmac_sha1, Encoding::hex, "370f232578dddccee2cbb41ad8aa29f97db83954"},
    {Algorithm::hmac_sha1, Encoding::base64, "Nw8jJXjd3M7iy7Qa2Kop+X24OVQ="},
};

bool check(const SignatureScheme& scheme, const std::string& claimed, const std::string& body = kBody,
           const Secret& secret = kSecret) {
  return is_signed(scheme, std::array{secret}, &claimed, body);
}

TEST(Signature, F5_OfEveryAlgorithmAndEncodingIsWhatOthersMake) {
  for (const auto& v : kVectors)
    for (const auto* prefix : {"", "sha=", "v1,"}) {
      const SignatureScheme scheme{v.algorithm, v.encoding, prefix};
      EXPECT_EQ(sign(scheme, kSecret, kBody), std::string(prefix) + v.signature);
      EXPECT_TRUE(check(scheme, std::string(prefix) + v.signature));
    }
}

TEST(Signature, F5_ATamperedBitIsSeenWhereverItIs) {
  for (const auto& v : kVectors) {
    const SignatureScheme scheme{v.algorithm, v.encoding, ""};
    const std::string good = v.signature;
    for (std::size_t bit = 0; bit < kBody.size() * 8; ++bit) {
      auto body = kBody;
      body[bit / 8] = static_cast<char>(body[bit / 8] ^ (1 << bit % 8));
      EXPECT_FALSE(check(scheme, good, body)) << bit;
    }
    for (std::size_t i = 0; i < good.size(); ++i) {
      auto bad = good;
      bad[i] = bad[i] == 'A' ? 'B' : 'A';
      if (v.encoding == Encoding::hex && (good[i] | 32) == (bad[i] | 32)) continue;
      EXPECT_FALSE(check(scheme, bad)) << i;
    }
  }
}

TEST(Signature, F5_WhatIsMissingCutLongOrOfAnotherFormIsNone) {
  const SignatureScheme scheme{};
  const auto good = sign(scheme, kSecret, kBody);
  EXPECT_FALSE(is_signed(scheme, std::array{kSecret}, nullptr, kBody));
  for (const auto& bad : {std::string(), good.substr(1), good.substr(0, good.size() - 1), good + "0", good + good, " " + good,
                          "sha256=" + good, good + std::string(1, '\0'), std::string(64, '\0'), std::string(100'000, 'a'),
                          std::string("g") + good.substr(1), sign({Algorithm::hmac_sha512, Encoding::hex, ""}, kSecret, kBody),
                          sign({Algorithm::hmac_sha256, Encoding::base64, ""}, kSecret, kBody)})
    EXPECT_FALSE(check(scheme, bad)) << bad.substr(0, 100);
  for (const auto& bad : {good, "SHA256=" + good, "1234567" + good, std::string("sha")})
    EXPECT_FALSE(check({Algorithm::hmac_sha256, Encoding::hex, "sha256="}, bad)) << "its prefix is part of it";
}

TEST(Signature, HexMayBeInCapitalsAndBase64IsWordForWord) {
  auto hex = sign({}, kSecret, kBody);
  std::transform(hex.begin(), hex.end(), hex.begin(), [](char c) { return c >= 'a' && c <= 'f' ? static_cast<char>(c - 32) : c; });
  EXPECT_TRUE(check({}, hex));
  const SignatureScheme base64{Algorithm::hmac_sha256, Encoding::base64, ""};
  auto text = sign(base64, kSecret, kBody);
  text.pop_back();
  EXPECT_FALSE(check(base64, text)) << "without its padding it is another text";
}

TEST(Signature, F5_AnyOfTwoSecretsMayHaveSignedAndNoOther) {
  const std::vector<Secret> two{Secret("the new secret, thirty-two bytes"), kSecret};
  for (const auto& secret : two) {
    const auto text = sign({}, secret, kBody);
    EXPECT_TRUE(is_signed({}, two, &text, kBody));
  }
  const auto other = sign({}, Secret("the secret of some other app ..."), kBody);
  EXPECT_FALSE(is_signed({}, two, &other, kBody));
  EXPECT_FALSE(is_signed({}, {}, &other, kBody)) << "no secret, no signature";
}

TEST(Signature, F5_ItsTimeTellsNothing) {
  // 100,000 tries, the cases in random order, so that whatever else runs on the machine meets all of them alike. The medians of a
  // comparison that ends at the first wrong letter differ by that; one that skips the work for a missing header by all of it.
  const std::vector<Secret> two{kSecret, Secret("the new secret, thirty-two bytes")};
  const std::string body(4096, 'x');
  const auto good = sign({}, kSecret, body);
  auto first = good, last = good;
  first.front() = first.front() == '0' ? '1' : '0';
  last.back() = last.back() == '0' ? '1' : '0';
  const auto second = sign({}, two[1], body), other = sign({}, Secret("the secret of some other app ..."), body);
  const std::string empty, garbage(64, 'z'), half = good.substr(0, 32);
  const std::vector<const std::string*> cases{&good, &second, &first, &last, &other, &garbage, &half, &empty, nullptr};
  std::vector<std::vector<std::int64_t>> took(cases.size());
  core::Rng rng(7);
  std::size_t right = 0;
  for (int i = 0; i < 100'000; ++i) {
    const auto which = rng.between(0, cases.size() - 1);
    const auto begin = std::chrono::steady_clock::now();
    right += is_signed({}, two, cases[which], body) ? 1 : 0;
    took[which].push_back((std::chrono::steady_clock::now() - begin).count());
  }
  EXPECT_EQ(right, took[0].size() + took[1].size());
  std::vector<double> medians;
  for (auto& t : took) {
    std::nth_element(t.begin(), t.begin() + static_cast<std::ptrdiff_t>(t.size() / 2), t.end());
    medians.push_back(static_cast<double>(t[t.size() / 2]));
  }
  const auto [least, most] = std::minmax_element(medians.begin(), medians.end());
  EXPECT_LT(*most, 1.2 * *least) << "case " << most - medians.begin() << " takes " << *most << " ns, case "
                                 << least - medians.begin() << " " << *least;
}

}  // namespace
}  // namespace stsync::webhook
