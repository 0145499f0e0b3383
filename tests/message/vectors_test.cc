// Golden bytes of docs/reference/protocol.md, section 7, made by tests/vectors/message.py, which
// shares nothing with this implementation.
#include "vectors/vectors.h"

#include "message/known/delivered.h"
#include "message/signing.h"
#include "world.h"

namespace qudag::message::testing {
namespace {

using qudag::test::hex;
using qudag::test::Vectors;

Vectors load(const std::string& file) {
  return Vectors(std::string(QUDAG_TEST_DATA "/../vectors/") + file);
}

template <class T>
std::string written(const T& frame) {
  std::array<std::byte, 900> bytes;
  ByteWriter out(bytes);
  wire::append(out, frame);
  return hex(Bytes(bytes).first(out.written()));
}

TEST(MessageVectors, Frames) {
  const Vectors v = load("message_frames.txt");
  const auto text = v.bytes("text");
  const auto id = v.array<16>("message_id");
  const wire::MessageStart whole{
      .id = id, .size = 5, .ttl_ms = wire::ttl_on_wire(60s), .priority = Priority::normal};
  wire::MessageStart part = whole;
  part.ttl_ms = wire::ttl_on_wire(1ms);
  part.priority = Priority::low;
  wire::MessageStart reply = whole;
  reply.in_reply_to = 3;
  EXPECT_EQ(written(wire::ScopeFrame{v.array<16>("scope")}), v.text("scope_frame"));
  EXPECT_EQ(written(wire::DataFrame{.ref = 7, .start = whole, .last = true, .bytes = text}),
            v.text("data_whole"));
  EXPECT_EQ(written(wire::DataFrame{.ref = 8, .start = part, .bytes = Bytes(text).first(2)}),
            v.text("data_first"));
  EXPECT_EQ(written(wire::DataFrame{.ref = 8, .last = true, .bytes = Bytes(text).subspan(2)}),
            v.text("data_last"));
  EXPECT_EQ(written(wire::DataFrame{.ref = 9, .start = reply, .last = true, .bytes = text}),
            v.text("data_reply"));
  wire::MessageStart to_channel = whole;
  to_channel.channel = 0x1234;
  EXPECT_EQ(written(wire::DataFrame{.ref = 10, .start = to_channel, .last = true, .bytes = text}),
            v.text("data_channel"));
  EXPECT_EQ(written(wire::AckFrame{7, wire::AckStatus::wrong_time}), v.text("ack"));
  EXPECT_EQ(written(wire::CreditFrame{wire::kInitialCredit + 1}), v.text("credit"));
  EXPECT_EQ(written(wire::PingFrame{0x1122334455667788}), v.text("ping"));
  EXPECT_EQ(written(wire::PongFrame{0x1122334455667788}), v.text("pong"));
  EXPECT_EQ(written(wire::CloseFrame{5}), v.text("close"));
  EXPECT_EQ(written(wire::CancelFrame{8}), v.text("cancel"));
  part.resumes = true;
  EXPECT_EQ(written(wire::DataFrame{.ref = 11, .start = part}), v.text("data_resume"));
  EXPECT_EQ(written(wire::HeldFrame{11, 3}), v.text("held"));

  // And back: the payload holds them all, in that order.
  const auto payload = v.bytes("payload");
  EXPECT_EQ(payload.size(), onion::payload_bytes(Priority::normal));
  std::vector<std::byte> again(payload.size());
  ByteWriter out(again);
  wire::FrameReader frames(payload);
  while (const auto frame = frames.next()) wire::append(out, *frame);
  EXPECT_FALSE(frames.malformed());
  wire::append_padding(out);
  EXPECT_EQ(hex(again), v.text("payload"));

  const auto given = v.bytes("ttl_ms");
  ByteReader ttls(given);
  for (const std::byte exponent : v.bytes("ttl_on_the_wire")) {
    EXPECT_EQ(wire::ttl_on_wire(std::chrono::milliseconds(ttls.u32())),
              1u << std::to_integer<unsigned>(exponent));
  }
}

TEST(MessageVectors, Signed) {
  const Vectors v = load("signed_message.txt");
  memory::BlockPool pool;
  const SignedFields fields{.destination = NodeId{v.array<32>("destination")},
                            .id = v.array<16>("message_id"),
                            .minute = ByteReader(v.bytes("minute")).u32(),
                            .ttl_ms = 1u << std::to_integer<unsigned>(v.bytes("ttl")[0]),
                            .priority = static_cast<Priority>(v.bytes("priority")[0])};
  const auto bytes = v.bytes("message");
  const auto chain = chain_of(pool, bytes, memory::BlockSize::bulk);
  const auto signer = verify_signed(fields, chain);
  ASSERT_TRUE(signer);
  EXPECT_EQ(hex(signer->id.bytes), v.text("signer"));
  EXPECT_EQ(signer->minute, fields.minute);
  EXPECT_EQ(hex(key_of(*signer, fields.id)), v.text("remembered_as"));

  // Our own signature is hedged, but what it covers is the same.
  const auto identity = crypto::Identity::from_seed(v.array<32>("seed"));
  ASSERT_TRUE(identity);
  EXPECT_EQ(hex(identity->id().bytes), v.text("signer"));
  auto ours = make_signed(chain_of(pool, v.bytes("payload"), memory::BlockSize::cell), pool);
  ASSERT_TRUE(ours);
  ASSERT_TRUE(sign_in_place(*identity, fields, *ours));
  std::vector<std::byte> made(ours->bytes());
  ours->copy_out(made);
  ASSERT_EQ(made.size(), bytes.size());
  for (std::size_t i = 0; i < made.size(); ++i) {
    if (i < 1952 || i >= 1952 + 3309) {
      ASSERT_EQ(made[i], bytes[i]) << i;
    }
  }
  const auto text = v.bytes("text");
  EXPECT_TRUE(crypto::verify(Bytes(made).first<1952>(), crypto::kMessageContext, text,
                             Bytes(made).subspan<1952, 3309>()));

  SignedFields to_channel = fields;
  to_channel.channel = ByteReader(v.bytes("channel")).u16();
  ASSERT_TRUE(sign_in_place(*identity, to_channel, *ours));
  ours->copy_out(made);
  EXPECT_TRUE(crypto::verify(Bytes(made).first<1952>(), crypto::kMessageContext,
                             v.bytes("text_for_channel"), Bytes(made).subspan<1952, 3309>()));

  const std::uint64_t first = ByteReader(v.bytes("first_second")).u64();
  const std::uint64_t last = ByteReader(v.bytes("last_second")).u64();
  EXPECT_FALSE(is_of_now(fields.minute, fields.ttl_ms, first - 1));
  EXPECT_TRUE(is_of_now(fields.minute, fields.ttl_ms, first));
  EXPECT_TRUE(is_of_now(fields.minute, fields.ttl_ms, last));
  EXPECT_FALSE(is_of_now(fields.minute, fields.ttl_ms, last + 1));
}

}  // namespace
}  // namespace qudag::message::testing
