// Text mode: lines to records, and what is wrong with a line that is none.
#include "api/server/lines.h"

#include <gtest/gtest.h>

namespace qudag::api {
namespace {

const std::string kId(52, 'a');

template <class R>
R parsed(const std::string& line) {
  const auto record = parse_line(line);
  EXPECT_TRUE(record) << line << ": " << record.error().message();
  if (!record || !std::holds_alternative<R>(record->record)) {
    ADD_FAILURE() << line;
    return {};
  }
  R out = std::get<R>(record->record);
  if constexpr (requires { out.payload; }) out.payload = {};  // it goes with the line
  return out;
}

std::string payload_of(const std::string& line) {
  const auto record = parse_line(line);
  if (!record) return record.error().message();
  return {reinterpret_cast<const char*>(record->payload.data()), record->payload.size()};
}

TEST(Lines, EveryRecordHasItsLine) {
  const auto send = parsed<SendRecord>(
      R"({"op":"send","request":18446744073709551615,"to":")" + kId +
      R"(","text":"x","priority":"low","relays":2,"ttl":"30s","isolation":7,"sign":true,)"
      R"("channel":9,"progress":true})");
  EXPECT_EQ(send.request, UINT64_MAX);
  EXPECT_EQ(send.destination.to_string(), kId);
  EXPECT_EQ(send.options.priority, Priority::low);
  EXPECT_EQ(send.options.relays, 2);
  EXPECT_EQ(send.options.ttl, std::chrono::seconds(30));
  EXPECT_EQ(send.options.isolation, 7u);
  EXPECT_TRUE(send.options.sign && send.progress);
  EXPECT_EQ(send.options.channel, 9);
  const auto reply = parsed<ReplyRecord>(R"({"op":"reply","to":")" + std::string(32, '0') +
                                         R"(","ttl":5,"payload":""})");
  EXPECT_EQ(reply.ttl, std::chrono::seconds(5));
  const auto subscribe =
      parsed<SubscribeRecord>(R"({"op":"subscribe","count":3,"channel":5,"acknowledge":true})");
  EXPECT_TRUE(subscribe.on && subscribe.explicit_acks);
  EXPECT_EQ(subscribe.count, 3u);
  EXPECT_EQ(subscribe.channel, 5);
  EXPECT_FALSE(parsed<SubscribeRecord>(R"({"op":"unsubscribe"})").on);
  EXPECT_EQ(parsed<CancelRecord>(R"({"op":"cancel","request":4})").request, 4u);
  const auto again =
      parsed<AcknowledgeRecord>(R"({"op":"acknowledge","token":"6","answer":"again","delay":"2s"})");
  EXPECT_EQ(again.token, 6u);
  EXPECT_EQ(again.answer, AcknowledgeRecord::Answer::again);
  EXPECT_EQ(again.delay, std::chrono::seconds(2));
}

TEST(Lines, APayloadIsTextOrBase64) {
  const std::string send = R"({"op":"send","to":")" + kId + R"(",)";
  EXPECT_EQ(payload_of(send + R"("text":"h\u00e9\n"})"), "h\xc3\xa9\n");
  EXPECT_EQ(payload_of(send + R"("payload":"Zm9v"})"), "foo");
}

TEST(Lines, WhatIsWrongIsNamed) {
  const std::string send = R"({"op":"send","to":")" + kId + R"(",)";
  const std::pair<std::string, std::string> wrongs[] = {
      {"", "one JSON object"},
      {"[]", "one JSON object"},
      {"{\"op\":\"send\"", "one JSON object"},
      {"{}", "op: is missing"},
      {R"({"op":"sing"})", "op 'sing'"},
      {R"({"op":["send"]})", "op: must be"},
      {send + R"("x":{"y":{"z":1}}})", "one JSON object"},
      {R"({"op":"send","text":"x"})", "'to' is missing"},
      {send + R"("relays":3})", "text or payload: is missing"},
      {send + R"("text":"x","payload":""})", "one of them"},
      {send + R"("payload":"Zg="})", "must be base64"},
      {send + R"("text":1})", "text: must be a text"},
      {send + R"("text":"","relays":6})", "relays: must be a number from 0 to 5"},
      {send + R"("text":"","relays":1.5})", "relays: must be"},
      {send + R"("text":"","request":-1})", "request: must be"},
      {send + R"("text":"","colour":1})", "unknown parameter 'colour'"},
      {R"({"op":"subscribe","text":""})", "not in this record"},
      {R"({"op":"subscribe","request":1})", "request: not in this record"},
      {R"({"op":"unsubscribe","channel":1})", "there are none"},
      {R"({"op":"cancel"})", "request: is missing"},
      {R"({"op":"acknowledge","token":1,"delay":"1s"})", "answer again only"},
      {R"({"op":"acknowledge","answer":"taken"})", "'token' is missing"}};
  for (const auto& [line, part] : wrongs) {
    const auto record = parse_line(line);
    ASSERT_FALSE(record) << line;
    EXPECT_NE(record.error().detail.find(part), std::string::npos)
        << line << ": " << record.error().detail;
  }
}

TEST(Lines, WhatTheNodeSaysIsOneObjectALine) {
  Delivery delivery;
  delivery.outcome = Outcome::refused;
  delivery.reason = Error(Errc::refused_rate, "line\nbreak");
  EXPECT_EQ(outcome_line(7, delivery),
            R"({"op":"outcome","request":7,"id":null,"outcome":"refused","elapsed_us":0,)"
            R"("error":{"code":"refused_rate","number":)" +
                std::to_string(static_cast<unsigned>(Errc::refused_rate)) +
                R"(,"detail":"line\nbreak"}})");
  EXPECT_EQ(progress_line(7, 1, 2),
            R"({"op":"progress","request":7,"progress":{"bytes":1,"of":2}})");
  Message message;
  const std::string line = message_line(message, 5);
  EXPECT_TRUE(line.starts_with(R"({"op":"message","id":")")) << line;
  EXPECT_NE(line.find(R"("token":"5","bytes":0,"payload":""})"), std::string::npos) << line;
  EXPECT_EQ(message_line(message, {}).find("token"), std::string::npos);
}

}  // namespace
}  // namespace qudag::api
