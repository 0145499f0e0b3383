// A changed build or reply is caught by the next honest hop, whatever byte was changed.
#include "onion/layers.h"
#include "onion/support.h"

namespace qudag::onion {
namespace {

using namespace test;

// Offsets that touch every region: ends of fields, and samples between.
std::vector<std::size_t> offsets(const Shape& shape) {
  std::vector<std::size_t> out{0, 31, 32, shape.header - 16, shape.header - 1};
  for (std::size_t layer = 0; layer * shape.step < shape.unit; ++layer) {
    out.push_back(layer * shape.step);
    out.push_back(layer * shape.step + shape.step - 1);
  }
  for (std::size_t at = 5; at < shape.unit; at += 331) out.push_back(at);
  return out;
}

class TamperOfHops : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Hops, TamperOfHops, ::testing::Values(1, 2, 4, 6));

TEST_P(TamperOfHops, AFlippedBitInABuildIsCaughtByTheHopThatReceivesIt) {
  const std::size_t n = GetParam();
  TestRoute route(n, 40 + n);
  BuildMessage message;
  const PendingBuild pending = route.start(message);
  for (std::size_t hop = 0; hop < n; ++hop) {
    unsigned bit = 0;
    for (const std::size_t at : offsets(kBuildShape)) {
      BuildMessage changed = message;
      // Bit 255 of the X25519 point is ignored by X25519 itself: the transcript must catch it.
      changed[at] ^= at == 31 ? std::byte{0x80} : std::byte(1u << (bit++ % 8));
      const auto accepted = route.accept(hop, changed);
      ASSERT_FALSE(accepted.has_value()) << "hop " << hop << " byte " << at;
      EXPECT_EQ(accepted.error().code, Errc::authentication_failed);
      EXPECT_EQ(route.nodes[hop].window->size(), 0u) << "acted on a record before its tag";
    }
    ASSERT_TRUE(route.accept(hop, message).has_value());  // unchanged it is still good
  }
}

TEST_P(TamperOfHops, AFlippedBitInAReplyIsCaughtByTheSource) {
  const std::size_t n = GetParam();
  for (std::size_t hop = 0; hop < n; ++hop) {  // on the link from `hop` towards the source
    unsigned bit = 0;
    for (const std::size_t at : offsets(kReplyShape)) {
      TestRoute route(n, 50);
      BuildMessage message;
      PendingBuild pending = route.start(message);
      std::vector<AcceptedBuild> accepted;
      for (std::size_t i = 0; i < n; ++i) accepted.push_back(route.accept(i, message).value());
      ReplyMessage reply;
      seal_reply(accepted.back(), BuildStatus::ready, reply);
      for (std::size_t i = n - 1; i > hop; --i) relay_reply(accepted[i - 1], reply);
      reply[at] ^= std::byte(1u << (bit++ % 8));
      for (std::size_t i = hop; i-- > 0;) relay_reply(accepted[i], reply);
      const auto result = finish_build(std::move(pending), reply);
      if (hop > 0 && at >= kReplyShape.unit - kReplyShape.step) {
        // The next relay drops these bytes: the change is gone, and nobody acted on it.
        ASSERT_TRUE(result.has_value());
        EXPECT_EQ(result->status, BuildStatus::ready);
        EXPECT_TRUE(same(result->hops.back(), accepted.back().secrets));
      } else {
        ASSERT_FALSE(result.has_value()) << "hop " << hop << " byte " << at;
        EXPECT_EQ(result.error().code, Errc::authentication_failed);
      }
    }
  }
}

TEST(Tamper, LowOrderPointsLookLikeAWrongTag) {
  TestRoute route(1, 60);
  BuildMessage message;
  const PendingBuild pending = route.start(message);
  std::memset(message.data(), 0, 32);
  EXPECT_EQ(route.accept(0, message).error().code, Errc::authentication_failed);
}

}  // namespace
}  // namespace qudag::onion
