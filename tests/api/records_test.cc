// WebSocket records: round trips, batches, and every way to be malformed.
#include "api/records/records.h"

#include <gtest/gtest.h>

namespace qudag::api {
namespace {

std::vector<std::byte> some_bytes(std::size_t n) {
  std::vector<std::byte> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::byte>(i * 7 + 1);
  return out;
}

template <class T, class V>
T only(const V& parsed) {
  EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message());
  return std::get<T>(*parsed);
}

bool same(Bytes a, Bytes b) { return std::ranges::equal(a, b); }

SendRecord a_send(Bytes payload) {
  SendRecord send;
  send.request = 0xfedcba9876543210;
  send.destination.bytes[0] = std::byte{9};
  send.options = {.priority = Priority::low,
                  .ttl = std::chrono::milliseconds(1),
                  .relays = 5,
                  .isolation = 77,
                  .sign = true};
  send.progress = true;
  send.payload = payload;
  return send;
}

TEST(Records, ManyOfAllKindsInOneMessage) {
  const auto payload = some_bytes(100);
  std::vector<std::byte> wire;
  append(wire, a_send(payload));
  append(wire, ReplyRecord{.request = 2,
                           .to = ReplyTo({std::byte{1}, std::byte{5}}),
                           .ttl = std::chrono::milliseconds(86'400'000),
                           .payload = {}});
  append(wire, SubscribeRecord{.on = true, .count = 12});
  append(wire, SubscribeRecord{.on = false});
  append(wire, CancelRecord{.request = 0xfedcba9876543210});

  RecordReader reader(wire);
  const auto send = only<SendRecord>(parse_client_record(*reader.next()));
  EXPECT_EQ(send.request, 0xfedcba9876543210);
  EXPECT_EQ(send.destination.bytes[0], std::byte{9});
  EXPECT_EQ(send.options.priority, Priority::low);
  EXPECT_EQ(send.options.ttl.count(), 1);
  EXPECT_EQ(send.options.relays, 5u);
  EXPECT_EQ(send.options.isolation, 77u);
  EXPECT_TRUE(send.options.sign);
  EXPECT_TRUE(send.progress);
  EXPECT_TRUE(same(send.payload, payload));
  const auto reply = only<ReplyRecord>(parse_client_record(*reader.next()));
  EXPECT_EQ(reply.to.handle(), (ReplyTo::Handle{std::byte{1}, std::byte{5}}));
  EXPECT_EQ(reply.ttl, std::chrono::hours(24));
  EXPECT_TRUE(reply.payload.empty());
  EXPECT_EQ(only<SubscribeRecord>(parse_client_record(*reader.next())).count, 12u);
  EXPECT_FALSE(only<SubscribeRecord>(parse_client_record(*reader.next())).on);
  EXPECT_EQ(only<CancelRecord>(parse_client_record(*reader.next())).request, 0xfedcba9876543210);
  EXPECT_TRUE(reader.at_end());
}

TEST(Records, ChannelsRoundTrip) {
  SendRecord send;
  send.options.channel = 65'535;
  const auto payload = some_bytes(3);
  send.payload = payload;
  std::vector<std::byte> wire;
  append(wire, send);
  append(wire, SubscribeRecord{.on = true, .count = 3, .channel = 9});
  RecordReader reader(wire);
  const auto sent = only<SendRecord>(parse_client_record(*reader.next()));
  EXPECT_EQ(sent.options.channel, 65'535);
  EXPECT_TRUE(same(sent.payload, payload));
  const auto subscribed = only<SubscribeRecord>(parse_client_record(*reader.next()));
  EXPECT_EQ(subscribed.count, 3u);
  EXPECT_EQ(subscribed.channel, 9);
  EXPECT_TRUE(reader.at_end());
  // There is one way to say channel 0 of a message, and no half of a channel.
  const std::size_t at = kRecordLengthBytes + kSendHeadBytes;
  wire[at] = wire[at + 1] = std::byte{0};
  RecordReader again(wire);
  EXPECT_FALSE(parse_client_record(*again.next()));
  auto raw = *again.next();
  raw.body = raw.body.first(9);
  EXPECT_FALSE(parse_client_record(raw));
  std::vector<std::byte> zero(raw.body.begin(), raw.body.begin() + 8);
  zero.resize(10);
  raw.body = zero;
  EXPECT_FALSE(parse_client_record(raw));
}

TEST(Records, AcknowledgementsRoundTrip) {
  using Answer = AcknowledgeRecord::Answer;
  std::vector<std::byte> wire;
  append(wire, SubscribeRecord{.on = true, .count = 3, .channel = 0, .explicit_acks = true});
  append(wire, AcknowledgeRecord{.token = 7, .answer = Answer::refused});
  append(wire, AcknowledgeRecord{.token = 8, .answer = Answer::again, .delay = kAgainMax});
  MessageRecord message;
  message.channel = 5;
  message.token = 9;
  append(wire, message);
  RecordReader reader(wire);
  const auto subscribed = only<SubscribeRecord>(parse_client_record(*reader.next()));
  EXPECT_TRUE(subscribed.explicit_acks);
  EXPECT_EQ(subscribed.channel, 0);
  const auto refused = only<AcknowledgeRecord>(parse_client_record(*reader.next()));
  EXPECT_EQ(refused.token, 7u);
  EXPECT_EQ(refused.answer, Answer::refused);
  const auto raw = *reader.next();
  EXPECT_EQ(only<AcknowledgeRecord>(parse_client_record(raw)).delay, kAgainMax);
  EXPECT_EQ(only<MessageRecord>(parse_server_record(*reader.next())).token, 9u);
  EXPECT_TRUE(reader.at_end());
  // No other answer, no delay without `again` and none over an hour.
  const auto parses = [](std::vector<std::byte> body) {
    return parse_client_record({static_cast<std::uint8_t>(Op::acknowledge), body}).has_value();
  };
  std::vector<std::byte> body(raw.body.begin(), raw.body.end());
  EXPECT_TRUE(parses(body));
  body.back() = std::byte{0x81};
  EXPECT_FALSE(parses(body)) << "3,600,001 ms";
  body[8] = std::byte{0};
  EXPECT_FALSE(parses(body)) << "a delay that means nothing";
  body.resize(9);
  EXPECT_TRUE(parses(body));
  body[8] = std::byte{3};
  EXPECT_FALSE(parses(body));
  body[8] = std::byte{2};
  EXPECT_FALSE(parses(body)) << "again, but when?";
}

TEST(Records, ServerRecordsRoundTrip) {
  const auto payload = some_bytes(9);
  MessageRecord message;
  message.id.bytes[3] = std::byte{4};
  message.priority = Priority::high;
  message.sender.emplace().bytes[31] = std::byte{1};
  const ReplyTo::Handle handle{std::byte{3}, std::byte{2}};
  message.reply_to = ReplyTo(handle);
  message.in_reply_to.emplace().bytes[0] = std::byte{8};
  message.channel = 0x1234;
  message.token = 0xfedcba9876543210;
  message.kept = true;
  message.payload = payload;
  std::vector<std::byte> wire;
  append(wire, message);
  EXPECT_EQ(wire.size(), kMessageHeadBytesMax + payload.size());
  append(wire, MessageRecord{});
  OutcomeRecord ended{.request = 5,
                      .outcome = Outcome::refused,
                      .reason = Errc::refused_queue_full,
                      .detail = "why"};
  ended.id.bytes[15] = std::byte{7};
  ended.elapsed_ns = 123;
  append(wire, ended);
  append(wire, ProgressRecord{6, 1, 2});
  append(wire, ErrorRecord{Errc::malformed, "no"});
  append(wire, SubscribedRecord{});
  append(wire, NotCancelledRecord{8, Errc::not_found, "gone"});

  RecordReader reader(wire);
  const auto full = only<MessageRecord>(parse_server_record(*reader.next()));
  EXPECT_EQ(full.id, message.id);
  EXPECT_EQ(full.priority, Priority::high);
  EXPECT_EQ(full.sender, message.sender);
  EXPECT_EQ(full.reply_to->handle(), handle);
  EXPECT_EQ(full.in_reply_to, message.in_reply_to);
  EXPECT_EQ(full.channel, 0x1234);
  EXPECT_TRUE(full.kept);
  EXPECT_TRUE(same(full.payload, payload));
  const auto bare = only<MessageRecord>(parse_server_record(*reader.next()));
  EXPECT_FALSE(bare.sender || bare.reply_to || bare.in_reply_to || bare.kept);
  EXPECT_EQ(bare.channel, 0);
  const auto outcome = only<OutcomeRecord>(parse_server_record(*reader.next()));
  EXPECT_EQ(outcome.request, 5u);
  EXPECT_EQ(outcome.id, ended.id);
  EXPECT_EQ(outcome.outcome, Outcome::refused);
  EXPECT_EQ(outcome.elapsed_ns, 123u);
  EXPECT_EQ(outcome.reason, Errc::refused_queue_full);
  EXPECT_EQ(outcome.detail, "why");
  EXPECT_EQ(only<ProgressRecord>(parse_server_record(*reader.next())).all, 2u);
  EXPECT_EQ(only<ErrorRecord>(parse_server_record(*reader.next())).detail, "no");
  only<SubscribedRecord>(parse_server_record(*reader.next()));
  const auto no = only<NotCancelledRecord>(parse_server_record(*reader.next()));
  EXPECT_EQ(no.request, 8u);
  EXPECT_EQ(no.reason, Errc::not_found);
  EXPECT_EQ(no.detail, "gone");
  EXPECT_TRUE(reader.at_end());
}

TEST(Records, EveryTruncationIsMalformed) {
  std::vector<std::byte> wire;
  append(wire, a_send({}));
  for (std::size_t n = 1; n < wire.size(); ++n) {
    RecordReader reader(Bytes(wire).first(n));
    const auto raw = reader.next();
    EXPECT_FALSE(raw) << n;
    EXPECT_TRUE(reader.at_end());
  }
  // The same cut with a length that says so: the record itself is too short.
  for (std::size_t n = kRecordLengthBytes + 1; n < wire.size(); ++n) {
    std::vector<std::byte> cut(wire.begin(), wire.begin() + static_cast<std::ptrdiff_t>(n));
    store_be(cut.data(), static_cast<std::uint32_t>(n - kRecordLengthBytes));
    RecordReader reader(cut);
    const auto raw = reader.next();
    ASSERT_TRUE(raw);
    const auto record = parse_client_record(*raw);
    ASSERT_FALSE(record) << n;
    EXPECT_EQ(record.error().code, Errc::malformed);
  }
}

TEST(Records, FieldsOutOfRangeAreMalformed) {
  std::vector<std::byte> good;
  append(good, a_send({}));
  const auto with = [&](std::size_t at, std::uint8_t value) {
    std::vector<std::byte> wire = good;
    wire[kRecordLengthBytes + 1 + at] = std::byte{value};
    RecordReader reader(wire);
    return parse_client_record(*reader.next());
  };
  EXPECT_TRUE(with(0, 1));
  EXPECT_FALSE(with(40, 3)) << "priority";
  EXPECT_FALSE(with(41, 6)) << "relays";
  EXPECT_FALSE(with(42, 4)) << "flags";
  EXPECT_TRUE(with(42, 16)) << "if away: refuse";
  EXPECT_FALSE(with(42, 24)) << "if away";
  EXPECT_FALSE(with(46, 0)) << "ttl 0";
  EXPECT_FALSE(with(43, 255)) << "ttl over a day";
}

TEST(Records, ACancelIsExactlyARequest) {
  std::vector<std::byte> wire;
  append(wire, CancelRecord{1});
  RecordReader reader(wire);
  const auto raw = *reader.next();
  for (std::size_t size = 0; size < 12; ++size) {
    std::vector<std::byte> body(raw.body.begin(), raw.body.end());
    body.resize(size);
    const auto record = parse_client_record({raw.op, body});
    EXPECT_EQ(record.has_value(), size == 8) << size;
    if (!record) {
      EXPECT_EQ(record.error().code, Errc::malformed);
    }
  }
  EXPECT_FALSE(parse_server_record(raw)) << "of the other direction";
}

TEST(Records, ZeroLengthAndUnknownOp) {
  const std::vector<std::byte> zero(4);
  RecordReader empty(zero);
  EXPECT_FALSE(empty.next());
  const std::vector<std::byte> odd{std::byte{0}, std::byte{0}, std::byte{0}, std::byte{1},
                                   std::byte{0x7f}};
  RecordReader reader(odd);
  const auto record = parse_client_record(*reader.next());
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().code, Errc::unsupported);
}

}  // namespace
}  // namespace qudag::api
