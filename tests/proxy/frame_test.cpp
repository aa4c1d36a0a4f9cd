// Streams of Kafka's frames, whatever pieces they come in.
#include "stage/kafka_frame.hpp"

#include <gtest/gtest.h>

#include "wire.hpp"

namespace stsync::test {
namespace {

std::vector<std::string> all(FrameSplitter& splitter) {
  std::vector<std::string> out;
  while (auto frame = splitter.next()) out.push_back(std::move(*frame));
  return out;
}

TEST(FrameSplitter, PutsAFrameTogetherFromSingleBytes) {
  FrameSplitter splitter;
  const auto frame = framed("answer");
  for (std::size_t i = 0; i < frame.size(); ++i) {
    EXPECT_FALSE(splitter.next()) << i;
    splitter.add(frame.substr(i, 1));
  }
  EXPECT_EQ(splitter.next(), frame);
  EXPECT_FALSE(splitter.next());
  EXPECT_FALSE(splitter.broken());
}

TEST(FrameSplitter, FindsSeveralFramesInOneRead) {
  FrameSplitter splitter;
  splitter.add(framed("a") + framed("") + framed("ccc") + framed("unfinished").substr(0, 6));
  EXPECT_EQ(all(splitter), (std::vector{framed("a"), framed(""), framed("ccc")}));
  splitter.add(framed("unfinished").substr(6) + framed("e"));
  EXPECT_EQ(all(splitter), (std::vector{framed("unfinished"), framed("e")}));
}

TEST(FrameSplitter, CutsTheSameFramesWhereverTheReadsEnd) {
  const std::string stream = framed("one") + framed("") + framed(std::string(300, 'x')) + framed("four");
  for (std::size_t size = 1; size <= stream.size(); ++size) {
    FrameSplitter splitter;
    std::vector<std::string> frames;
    for (std::size_t at = 0; at < stream.size(); at += size) {
      splitter.add(stream.substr(at, size));
      for (auto& frame : all(splitter)) frames.push_back(std::move(frame));
    }
    EXPECT_EQ(frames, (std::vector{framed("one"), framed(""), framed(std::string(300, 'x')), framed("four")})) << size;
  }
}

TEST(FrameSplitter, TakesAFrameAtItsLimitAndIsBrokenByOneAbove) {
  FrameSplitter splitter(10);
  splitter.add(framed("1234567890"));
  EXPECT_EQ(splitter.next(), framed("1234567890"));
  splitter.add(framed("12345678901").substr(0, 4));
  EXPECT_FALSE(splitter.next());
  EXPECT_TRUE(splitter.broken()) << "before any of it is kept";
}

TEST(FrameSplitter, IsBrokenForGoodByANegativeLength) {
  FrameSplitter splitter;
  splitter.add(framed("before") + std::string("\xff\xff\xff\xff", 4) + framed("behind"));
  EXPECT_EQ(all(splitter), std::vector{framed("before")});
  EXPECT_TRUE(splitter.broken());
  splitter.add(framed("more"));
  EXPECT_FALSE(splitter.next());
}

TEST(KafkaRequest, IsReadInBothFormsOfItsHeader) {
  // EndTxn 1: a string; EndTxn 3 and TxnOffsetCommit 3: tags behind the header (here one of two bytes), then a compact string.
  const auto old = parse_request(framed(header(KafkaApi::end_txn, 1, 7, "me") + string("group.2") + "body"));
  ASSERT_TRUE(old);
  EXPECT_EQ(old->api, KafkaApi::end_txn);
  EXPECT_EQ(old->version, 1);
  EXPECT_EQ(old->correlation, 7);
  EXPECT_EQ(old->client_id, "me");
  EXPECT_EQ(old->transactional_id, "group.2");
  const std::string tags("\x01\x05\x02zz", 5);
  for (const auto api : {KafkaApi::end_txn, KafkaApi::txn_offset_commit}) {
    const auto compact = parse_request(framed(header(api, 3, -1, "me") + tags + "\x08group.2" + "body"));
    ASSERT_TRUE(compact);
    EXPECT_EQ(compact->correlation, -1);
    EXPECT_EQ(compact->transactional_id, "group.2");
  }
  EXPECT_EQ(parse_request(framed(header(KafkaApi::produce, 7, 1, "me") + string("group.1")))->transactional_id, "group.1");
}

TEST(KafkaRequest, HasNoTransactionalIdWhereThereIsNone) {
  const std::string null("\xff\xff", 2);
  EXPECT_EQ(parse_request(framed(header(KafkaApi::produce, 7, 1, "me") + null))->transactional_id, "");
  EXPECT_EQ(parse_request(framed(header(KafkaApi::produce, 2, 1, "me") + string("acks")))->transactional_id, "");
  EXPECT_EQ(parse_request(framed(header(KafkaApi::heartbeat, 1, 1, "me") + string("group")))->transactional_id, "");
  EXPECT_EQ(parse_request(framed(header(KafkaApi::end_txn, 1, 1, "me") + string("cut").substr(0, 4)))->transactional_id, "");
}

TEST(KafkaRequest, MayHaveNoClientButNeedsItsHeader) {
  const auto whole = framed(header(KafkaApi::metadata, 1, 1, "").substr(0, 8) + std::string("\xff\xff", 2));
  ASSERT_TRUE(parse_request(whole));
  EXPECT_EQ(parse_request(whole)->client_id, "");
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(parse_request(whole.substr(0, size))) << size;
  EXPECT_FALSE(answered_correlation(framed("abc")));
  EXPECT_EQ(answered_correlation(framed(std::string("\0\0\1\0", 4))), 256);
}

}  // namespace
}  // namespace stsync::test
