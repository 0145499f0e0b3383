// Frames on a keeper's circuit: golden bytes, whole and in pieces, and what is refused.
#include "vectors/vectors.h"
#include "wire/keeper_frames.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace qudag::wire {
namespace {

using Raw = std::vector<std::byte>;

const test::Vectors& golden() {
  static const test::Vectors v(QUDAG_VECTORS "/keeper_frames.txt");
  return v;
}

/// Reads the stream in pieces of that size and writes again what was read; empty if it is refused.
Raw again(Bytes stream, std::size_t piece) {
  KeeperStream in;
  Raw out;
  while (!stream.empty()) {
    const std::size_t n = std::min(piece, stream.size());
    const bool ok = in.take(stream.first(n), [&](const KeeperFrame& frame) {
      append(out, frame);
      return true;
    });
    if (!ok) return {};
    stream = stream.subspan(n);
  }
  return in.partial() ? Raw{} : out;
}

TEST(KeeperFrames, GoldenOnesWholeAndInPieces) {
  for (const std::string& name : golden().names()) {
    const Raw raw = golden().bytes(name);
    const Raw wanted = name.starts_with("bad_") ? Raw{} : raw;
    EXPECT_EQ(again(raw, raw.size()), wanted) << name;
    // In pieces a padding of its own is refused too, so the good ones only.
    if (wanted.empty()) continue;
    for (const std::size_t piece : {1u, 2u, 3u, 927u}) {
      EXPECT_EQ(again(raw, piece), wanted) << name << " by " << piece;
    }
  }
}

TEST(KeeperFrames, AreRefusedByTheirHeadAlready) {
  KeeperStream in;
  const auto none = [](const KeeperFrame&) { return true; };
  // A JOIN of 16,384 bytes: nothing of its body is kept.
  const Raw head = test::unhex("064000");
  EXPECT_FALSE(in.take(head, none));
  KeeperStream other;
  EXPECT_FALSE(other.take(Bytes(head).first(0), none));  // a payload that says nothing
  KeeperStream third;
  EXPECT_FALSE(third.take(test::unhex("16"), none));  // no such type, before its length
}

TEST(KeeperFrames, FollowEachOtherUpToThePadding) {
  Raw two;
  append(two, PartFrame{PartReason::limit});
  append(two, StandbyFrame{});
  const std::size_t bytes = two.size();
  two.resize(927);
  std::size_t count = 0;
  KeeperStream in;
  EXPECT_TRUE(in.take(two, [&](const KeeperFrame&) { return ++count > 0; }));
  EXPECT_EQ(count, 2u);
  EXPECT_FALSE(in.take(two, [](const KeeperFrame&) { return false; }));
  two[bytes + 1] = std::byte{1};
  KeeperStream again;
  EXPECT_FALSE(again.take(two, [](const KeeperFrame&) { return true; }));
}

}  // namespace
}  // namespace qudag::wire
