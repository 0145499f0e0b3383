// Section 7 of docs/reference/protocol.md against bytes written out by hand, and every rule of a
// frame broken once.
#include "wire/message_frames.h"

#include "wire/golden.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace qudag::wire {
namespace {

using test::from_hex;
using test::to_hex;

MessageId id_of_byte(unsigned value) {
  MessageId id;
  id.fill(static_cast<std::byte>(value));
  return id;
}

template <class T>
std::string written(const T& frame) {
  std::vector<std::byte> buffer(8096);
  ByteWriter out(buffer);
  append(out, frame);
  return to_hex(Bytes(buffer).first(out.written()));
}

struct Read {
  std::vector<Frame> frames;
  bool malformed = false;
};

Read read(Bytes payload) {
  Read result;
  FrameReader reader(payload);
  while (auto frame = reader.next()) result.frames.push_back(*frame);
  result.malformed = reader.malformed();
  EXPECT_FALSE(reader.next()) << "the end is final";
  return result;
}

bool refused(std::string_view hex) {
  const auto bytes = from_hex(hex);
  const Read result = read(bytes);
  return result.malformed && result.frames.empty();
}

const std::string kId(32, 'a');     // a message id of sixteen 0xaa
const std::string kOther(32, 'b');  // another

TEST(MessageFrames, GoldenBytesOfSmallFrames) {
  EXPECT_EQ(written(AckFrame{0x01020304, AckStatus::refused_queue}), "020102030404");
  EXPECT_EQ(written(CreditFrame{kInitialCredit}), "030000000000400000");
  EXPECT_EQ(written(PingFrame{0x1122334455667788}), "041122334455667788");
  EXPECT_EQ(written(PongFrame{0x1122334455667788}), "051122334455667788");
  EXPECT_EQ(written(CloseFrame{5}), "0605");
  EXPECT_EQ(written(CancelFrame{0xfffffffe}), "07fffffffe");
  EXPECT_EQ(written(ScopeFrame{id_of_byte(0xbb)}), "08" + kOther);
  EXPECT_EQ(written(HeldFrame{0x01020304, 0x0a0b0c0d}), "09010203040a0b0c0d");
  EXPECT_EQ(written(HeldFrame{}).size(), 2 * kHeldFrameBytes);
  EXPECT_EQ(written(ScopeFrame{}).size(), 2 * kScopeFrameBytes);
  EXPECT_EQ(written(AckFrame{}).size(), 2 * kAckFrameBytes);
  EXPECT_EQ(written(CreditFrame{}).size(), 2 * kCreditFrameBytes);
  EXPECT_EQ(written(PingFrame{}).size(), 2 * kPingFrameBytes);
  EXPECT_EQ(written(PongFrame{}).size(), 2 * kPongFrameBytes);
  EXPECT_EQ(written(CloseFrame{}).size(), 2 * kCloseFrameBytes);
  EXPECT_EQ(written(CancelFrame{}).size(), 2 * kCancelFrameBytes);
}

TEST(MessageFrames, GoldenBytesOfPipes) {
  const auto text = from_hex("68656c6c6f");
  const auto name = from_hex("737368");
  PipeKey key;
  key.fill(std::byte{0xaa});
  EXPECT_EQ(written(OpenFrame{.pipe = 1, .key = key, .attempt = 2, .limit = 16'384, .name = name}),
            "0a00000001" + kId + "00000002000000000000400003737368");
  EXPECT_EQ(written(OpenedFrame{1, PipeCode::no_room, 0}), "0b00000001050000000000000000");
  EXPECT_EQ(written(BytesFrame{7, text}), "0c00000007000568656c6c6f");
  EXPECT_EQ(written(LimitFrame{7, 5, 16'384}), "0d0000000700000000000000050000000000004000");
  EXPECT_EQ(written(EndFrame{7, 5}), "0e000000070000000000000005");
  EXPECT_EQ(written(ResetFrame{7, PipeCode::broken_off}), "0f0000000708");
  EXPECT_EQ(written(MoveFrame{7, key, 3, 2, 1, 4}),
            "1000000007" + kId + "00000003000000000000000200000000000000010000000000000004");
  EXPECT_EQ(written(MovedFrame{7, PipeCode::lost, 0, 0, 0}),
            "110000000707000000000000000000000000000000000000000000000000");
  EXPECT_EQ(written(MoveFrame{}).size(), 2 * kMoveFrameBytes);
  EXPECT_EQ(written(MovedFrame{}).size(), 2 * kMovedFrameBytes);
  EXPECT_EQ(written(OpenedFrame{}).size(), 2 * kOpenedFrameBytes);
  EXPECT_EQ(written(LimitFrame{}).size(), 2 * kLimitFrameBytes);
  EXPECT_EQ(written(EndFrame{}).size(), 2 * kEndFrameBytes);
  EXPECT_EQ(written(ResetFrame{}).size(), 2 * kResetFrameBytes);
  EXPECT_EQ(written(OpenFrame{.name = name}).size(), 2 * (kOpenFrameBytes + name.size()));
  EXPECT_EQ(written(BytesFrame{7, text}).size(), 2 * (kBytesHeaderBytes + text.size()));
}

TEST(MessageFrames, GoldenBytesOfData) {
  const auto text = from_hex("68656c6c6f");
  DataFrame whole;
  whole.ref = 7;
  whole.start =
      MessageStart{.id = id_of_byte(0xaa), .size = 5, .ttl_ms = 65'536, .priority = Priority::low};
  whole.last = true;
  whole.bytes = text;
  EXPECT_EQ(written(whole),
            "01"
            "03"
            "00000007" +
                kId +
                "00000005"
                "10"
                "02"
                "0005"
                "68656c6c6f");

  DataFrame reply = whole;
  reply.start->in_reply_to = 0x01020304;
  EXPECT_EQ(written(reply),
            "01"
            "0b"
            "00000007" +
                kId +
                "00000005"
                "10"
                "02"
                "01020304"
                "0005"
                "68656c6c6f");

  DataFrame is_signed = whole;
  is_signed.start->is_signed = true;
  is_signed.start->size = kSignedPrefixBytes;
  is_signed.last = false;
  EXPECT_EQ(written(is_signed),
            "01"
            "05"
            "00000007" +
                kId +
                "00001491"
                "10"
                "02"
                "0005"
                "68656c6c6f");

  DataFrame later;
  later.ref = 7;
  later.last = true;
  later.bytes = text;
  EXPECT_EQ(written(later),
            "01"
            "02"
            "00000007"
            "0005"
            "68656c6c6f");
}

TEST(MessageFrames, HeaderSizesAreWhatTheWriterWrites) {
  DataFrame frame;
  EXPECT_EQ(written(frame).size(), 2 * data_header_bytes(false, false));
  frame.start = MessageStart{.size = 1};
  EXPECT_EQ(written(frame).size(), 2 * data_header_bytes(true, false));
  frame.start->in_reply_to = 1;
  EXPECT_EQ(written(frame).size(), 2 * kDataHeaderBytesMax);
}

TEST(MessageFrames, HeaderAloneLeavesThePlaceForTheBytes) {
  std::vector<std::byte> buffer(20);
  ByteWriter out(buffer);
  const MutableBytes place = append_data_header(out, DataFrame{.ref = 1}, 4);
  ASSERT_EQ(place.size(), 4u);
  EXPECT_EQ(place.data(), buffer.data() + kDataHeaderBytes);
  EXPECT_EQ(out.written(), kDataHeaderBytes + 4);
  append_padding(out);
  EXPECT_EQ(out.remaining(), 0u);
}

TEST(MessageFrames, ReadsASequenceUpToThePadding) {
  const auto payload = from_hex(
      "0201020304 01"
      "03 0000000000400000"
      "04 1122334455667788"
      "05 0000000000000001"
      "06 09"
      "07 00000002"
      "01 00 00000003 0002 4142"
      "00 ff ff");
  const Read result = read(payload);
  EXPECT_FALSE(result.malformed);
  ASSERT_EQ(result.frames.size(), 7u);
  EXPECT_EQ(std::get<AckFrame>(result.frames[0]), (AckFrame{0x01020304, AckStatus::duplicate}));
  EXPECT_EQ(std::get<CreditFrame>(result.frames[1]), CreditFrame{4'194'304});
  EXPECT_EQ(std::get<PingFrame>(result.frames[2]), PingFrame{0x1122334455667788});
  EXPECT_EQ(std::get<PongFrame>(result.frames[3]), PongFrame{1});
  EXPECT_EQ(std::get<CloseFrame>(result.frames[4]), CloseFrame{9});
  EXPECT_EQ(std::get<CancelFrame>(result.frames[5]), CancelFrame{2});
  const DataFrame& data = std::get<DataFrame>(result.frames[6]);
  EXPECT_EQ(data.ref, 3u);
  EXPECT_FALSE(data.start);
  EXPECT_FALSE(data.last);
  EXPECT_EQ(to_hex(data.bytes), "4142");
  EXPECT_EQ(data.bytes.data(), payload.data() + payload.size() - 5) << "a view, not a copy";
}

TEST(MessageFrames, ReadsTheStartOfAMessage) {
  const auto payload = from_hex("01 0b 00000007" + kId + "00000002 10 01 01020304 0002 4142");
  const Read result = read(payload);
  ASSERT_EQ(result.frames.size(), 1u);
  const DataFrame& data = std::get<DataFrame>(result.frames[0]);
  EXPECT_EQ(data.start, (MessageStart{.id = id_of_byte(0xaa),
                                      .size = 2,
                                      .ttl_ms = 65'536,
                                      .priority = Priority::normal,
                                      .is_signed = false,
                                      .in_reply_to = 0x01020304}));
  EXPECT_TRUE(data.last);
  EXPECT_FALSE(result.malformed);
}

TEST(MessageFrames, AnEmptyMessageIsOneLastFragment) {
  const std::string head = "01 03 00000000" + kId + "00000000 10 00 0000";
  EXPECT_EQ(read(from_hex(head)).frames.size(), 1u);
  EXPECT_TRUE(refused("01 01 00000000" + kId + "00000000 10 00 0000"));
}

TEST(MessageFrames, EndsWithoutPadding) {
  EXPECT_TRUE(read({}).frames.empty());
  EXPECT_FALSE(read({}).malformed);
  EXPECT_EQ(read(from_hex("0605")).frames.size(), 1u);
  EXPECT_FALSE(read(from_hex("00")).malformed);
}

TEST(MessageFrames, FramesBeforeAMalformedOneAreRead) {
  const Read result = read(from_hex("0605 0a 0605"));
  EXPECT_EQ(result.frames.size(), 1u);
  EXPECT_TRUE(result.malformed);
}

TEST(MessageFrames, RefusesEveryBrokenRule) {
  const std::string start = kId + "00000002 10 00";
  EXPECT_FALSE(refused("01 03 00000000" + start + "0002 4142")) << "the valid form";
  EXPECT_TRUE(refused("12")) << "unknown type";
  EXPECT_TRUE(refused("ff 00000000")) << "unknown type";
  EXPECT_TRUE(refused("02 00000000 09")) << "unknown status";
  EXPECT_TRUE(refused("01 40 00000000 0000")) << "unknown flag";
  EXPECT_TRUE(refused("01 10 00000000 0000")) << "CHANNEL without FIRST";
  EXPECT_TRUE(refused("01 20 00000000 0000")) << "RESUME without FIRST";
  EXPECT_FALSE(refused("01 21 00000000" + start + "0000")) << "what resumes carries nothing";
  EXPECT_TRUE(refused("01 21 00000000" + start + "0001 41")) << "RESUME with bytes";
  EXPECT_TRUE(refused("01 23 00000000" + kId + "00000000 10 00 0000")) << "RESUME of nothing";
  EXPECT_TRUE(refused("01 29 00000000" + start + "01020304 0000")) << "a reply never resumes";
  EXPECT_TRUE(refused("01 04 00000000 0000")) << "SIGNED without FIRST";
  EXPECT_TRUE(refused("01 08 00000000 0000")) << "REPLY without FIRST";
  EXPECT_TRUE(refused("01 0f 00000000" + kId + "00001491 10 00 01020304 0000")) << "a signed reply";
  EXPECT_TRUE(refused("01 03 00000000" + kId + "00000002 10 03 0002 4142")) << "unknown priority";
  EXPECT_TRUE(refused("01 03 00000000" + kId + "00000002 09 00 0002 4142")) << "less than a second";
  EXPECT_TRUE(refused("01 03 00000000" + kId + "00000002 1c 00 0002 4142")) << "more than two days";
  EXPECT_TRUE(refused("01 01 00000000" + start + "0002 4142")) << "complete without LAST";
  EXPECT_TRUE(refused("01 03 00000000" + start + "0001 41")) << "LAST before the end";
  EXPECT_TRUE(refused("01 01 00000000" + start + "0003 414243")) << "more than the size";
  EXPECT_TRUE(refused("01 02 00000000 0003 4142")) << "bytes missing";
}

TEST(MessageFrames, SizeHasABoundThatSigningRaises) {
  const auto first_of = [](unsigned flags, std::string_view size) {
    const std::string text = flags == 0 ? "01" : "05";
    return "01" + text + "00000000" + kId + std::string(size) + "10 00 0001 41";
  };
  EXPECT_FALSE(refused(first_of(0, "04000000")));
  EXPECT_TRUE(refused(first_of(0, "04000001")));
  EXPECT_FALSE(refused(first_of(1, "04001491")));
  EXPECT_TRUE(refused(first_of(1, "04001492")));
  EXPECT_FALSE(refused(first_of(1, "00001491")));
  EXPECT_TRUE(refused(first_of(1, "00001490"))) << "no room for key and signature";
}

TEST(MessageFrames, EveryTruncationIsRefused) {
  const std::vector<std::string> frames{
      "02 00000001 00",
      "03 0000000000400000",
      "04 1122334455667788",
      "05 1122334455667788",
      "06 00",
      "07 00000001",
      "08 " + kOther,
      "09 00000001 00000002",
      "01 21 00000007" + kId + "00000002 10 01 0000",
      "01 02 00000003 0002 4142",
      "01 03 00000007" + kId + "00000002 10 01 0002 4142",
      "01 0b 00000007" + kId + "00000002 10 01 01020304 0002 4142"};
  for (const std::string& text : frames) {
    const auto bytes = from_hex(text);
    EXPECT_EQ(read(bytes).frames.size(), 1u) << text;
    for (std::size_t n = 1; n < bytes.size(); ++n) {
      const Read result = read(Bytes(bytes).first(n));
      EXPECT_TRUE(result.malformed && result.frames.empty()) << text << " cut to " << n;
    }
  }
}

TEST(MessageFrames, TimesToLiveAreRoundedUpToPowersOfTwo) {
  using std::chrono::milliseconds;
  EXPECT_EQ(ttl_on_wire(milliseconds(1)), 1'024u);
  EXPECT_EQ(ttl_on_wire(milliseconds(1'024)), 1'024u);
  EXPECT_EQ(ttl_on_wire(milliseconds(1'025)), 2'048u);
  EXPECT_EQ(ttl_on_wire(milliseconds(60'000)), 65'536u);
  EXPECT_EQ(ttl_on_wire(limits::kTtlMax), 1u << kTtlExponentMax);
}

TEST(MessageFrames, SayWhichMessageBeginsNext) {
  std::array<std::byte, 256> payload{};
  ByteWriter out(payload);
  DataFrame frame;
  frame.start.emplace();
  frame.start->id.fill(std::byte{7});
  frame.last = true;
  append(out, AckFrame{1, AckStatus::delivered});
  append(out, frame);
  append_padding(out);
  FrameReader frames(payload);
  EXPECT_EQ(frames.peek_message_id(), nullptr);  // the acknowledgement
  Frame read;
  ASSERT_TRUE(frames.read(read));
  const std::byte* id = frames.peek_message_id();
  ASSERT_NE(id, nullptr);
  EXPECT_TRUE(std::equal(id, id + kMessageIdBytes, frame.start->id.begin()));
  ASSERT_TRUE(frames.read(read));
  EXPECT_EQ(std::get<DataFrame>(read).start, frame.start);
  EXPECT_EQ(frames.peek_message_id(), nullptr);
  EXPECT_FALSE(frames.read(read));
  EXPECT_FALSE(FrameReader(Bytes(payload).first(20)).peek_message_id());  // cut short
}

}  // namespace
}  // namespace qudag::wire
