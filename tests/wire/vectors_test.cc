// tests/vectors/control.txt and gossip.txt: frames of the control stream as the second
// implementation (tests/vectors/frames.py) writes them, and such as it refuses. Descriptors are in
// tests/netmap/vectors_test.cc.
#include "vectors/vectors.h"
#include "wire/control.h"
#include "wire/gossip.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace qudag::wire {
namespace {

using test::hex;

struct WholeFrame {
  std::uint8_t type = 0;
  std::vector<std::byte> body;
};

/// A frame that is all of the bytes; nothing if it is none, or its length is too large.
std::optional<WholeFrame> frame_of(Bytes raw) {
  const auto header = parse_control_header(raw);
  if (!header || !length_is_valid(*header)) return std::nullopt;
  const Bytes body = raw.subspan(kControlHeaderBytes);
  if (body.size() != header->length) return std::nullopt;
  return WholeFrame{header->type, {body.begin(), body.end()}};
}

/// What a link does with it, as far as one frame alone shows.
bool taken(const WholeFrame& frame) {
  switch (static_cast<ControlType>(frame.type)) {
    case ControlType::hello: {
      const auto hello = parse_hello(frame.body);
      return hello && common_version(*hello, {});
    }
    case ControlType::ping:
    case ControlType::pong:
      return parse_ping(frame.body).has_value();
    case ControlType::goodbye:
      return parse_goodbye(frame.body).has_value();
    case ControlType::digest:
      return DigestView::parse(frame.body).has_value();
    case ControlType::want:
      return WantView::parse(frame.body).has_value();
    case ControlType::summary:
      return parse_summary(frame.body).has_value();
    case ControlType::ask:
      return parse_ask(frame.body).has_value();
    case ControlType::load:
      return parse_load(frame.body).has_value();
    case ControlType::time:
      return parse_time(frame.body).has_value();
    case ControlType::descriptor:
      return true;  // tests/netmap
  }
  return !is_forbidden_control_type(frame.type);
}

std::string written(ControlType type, Bytes body) {
  return hex(encode_control_header(static_cast<std::uint8_t>(type), body.size())) + hex(body);
}

const test::Vectors& control() {
  static const test::Vectors vectors(QUDAG_TEST_DATA "/../vectors/control.txt");
  return vectors;
}
const test::Vectors& gossip() {
  static const test::Vectors vectors(QUDAG_TEST_DATA "/../vectors/gossip.txt");
  return vectors;
}

std::size_t expect_verdicts(const test::Vectors& vectors) {
  std::size_t seen = 0;
  for (const std::string& name : vectors.names()) {
    if (name.starts_with("patch_") || name == "now" || name.starts_with("seed_") ||
        name.starts_with("id_")) {
      continue;
    }
    const auto frame = frame_of(vectors.bytes(name));
    EXPECT_EQ(frame && taken(*frame), !name.starts_with("bad_")) << name;
    ++seen;
  }
  return seen;
}

TEST(Vectors, ControlFramesAreTakenOrRefused) { EXPECT_EQ(expect_verdicts(control()), 31u); }
TEST(Vectors, GossipFramesAreTakenOrRefused) { EXPECT_EQ(expect_verdicts(gossip()), 33u); }

/// Frames that were changed: both implementations take the same ones.
TEST(Vectors, ChangedFramesHaveTheSameVerdict) {
  const test::Vectors vectors(QUDAG_TEST_DATA "/../vectors/verdicts.txt");
  std::size_t seen = 0;
  for (const std::string& name : vectors.names()) {
    const auto value = vectors.bytes(name);
    const auto frame = frame_of(Bytes(value).subspan(1));
    EXPECT_EQ(frame && taken(*frame), value[0] == std::byte{1}) << name;
    ++seen;
  }
  EXPECT_GT(seen, 300u);
}

TEST(Vectors, ControlFramesAreWrittenTheSame) {
  const auto& v = control();
  const auto hello = [](const Hello& h) { return written(ControlType::hello, encode_hello(h)); };
  EXPECT_EQ(hello({.known = true, .place = 1}), v.text("hello_known"));
  EXPECT_EQ(hello({}), v.text("hello_unknown"));
  EXPECT_EQ(hello({.version_max = 7, .known = true, .place = 64}), v.text("hello_later_versions"));
  EXPECT_EQ(written(ControlType::ping, encode_ping(0x0102030405060708)), v.text("ping"));
  EXPECT_EQ(written(ControlType::pong, encode_ping(0x0102030405060708)), v.text("pong"));
  EXPECT_EQ(written(ControlType::goodbye, encode_goodbye(0)), v.text("goodbye_replaced"));
  EXPECT_EQ(written(ControlType::goodbye, encode_goodbye(5)), v.text("goodbye_stops"));
  EXPECT_EQ(written(ControlType::time, encode_time(1'800'000'000)), v.text("time"));
  EXPECT_EQ(written(ControlType::load, encode_load(0)), v.text("load_idle"));
  EXPECT_EQ(written(ControlType::load, encode_load(32'768)), v.text("load_half"));
  EXPECT_EQ(written(ControlType::load, encode_load(65'535)), v.text("load_full"));
}

TEST(Vectors, FlagsOfLaterVersionsAreIgnored) {
  const auto frame = frame_of(control().bytes("hello_later_flags"));
  ASSERT_TRUE(frame);
  EXPECT_EQ(parse_hello(frame->body), Hello{.known = true});
}

TEST(Vectors, GossipFramesAreWrittenTheSame) {
  const auto& v = gossip();
  const std::array ids{NodeId{v.array<32>("id_0")}, NodeId{v.array<32>("id_1")}};
  EXPECT_EQ(written(ControlType::want, encode_want({})), v.text("want_none"));
  EXPECT_EQ(written(ControlType::want, encode_want(ids)), v.text("want_both"));
  EXPECT_EQ(written(ControlType::digest, encode_digest({}, {})), v.text("digest_none"));

  const auto frame = frame_of(v.bytes("digest_both"));
  ASSERT_TRUE(frame);
  const auto digest = DigestView::parse(frame->body);
  ASSERT_TRUE(digest);
  ASSERT_EQ(digest->size(), 2u);
  const std::array entries{digest->at(0), digest->at(1)};
  EXPECT_LT(entries[0].id, entries[1].id);
  EXPECT_EQ(written(ControlType::digest, encode_digest({}, entries)), v.text("digest_both"));

  for (const std::string name : {"summary_none", "summary_both", "summary_narrow"}) {
    const auto summary = parse_summary(frame_of(v.bytes(name))->body);
    ASSERT_TRUE(summary) << name;
    EXPECT_EQ(written(ControlType::summary, encode_summary(*summary)), v.text(name));
  }
  const std::array asks{Ask{IdRange::around(ids[0], 2), true},
                        Ask{IdRange::around(entries[0].id, 15), false}};
  EXPECT_EQ(written(ControlType::ask, encode_ask({})), v.text("ask_none"));
  EXPECT_EQ(written(ControlType::ask, encode_ask(std::array{Ask{}})), v.text("ask_all"));
  EXPECT_EQ(written(ControlType::ask, encode_ask(asks)), v.text("ask_both"));
}

}  // namespace
}  // namespace qudag::wire
