// The request parser: routes, parameters, and what is refused with which HTTP status.
#include "api/server/request.h"

#include "api/records/records.h"
#include "api/server/pages.h"

#include <gtest/gtest.h>

namespace qudag::api {
namespace {

using namespace std::chrono_literals;

const std::string kId = NodeId{}.to_string();

RequestError refused(std::string_view method, std::string_view target) {
  const auto request = parse_request(method, target);
  EXPECT_FALSE(request) << target;
  return request ? RequestError{} : request.error();
}

TEST(Request, PostMessageTakesEveryParameter) {
  const auto request =
      parse_request("POST", "/v1/messages?to=" + kId +
                                "&priority=low&ttl=1500ms&relays=5&isolation=18446744073709551615&"
                                "sign=true&channel=65535&progress=1");
  ASSERT_TRUE(request);
  const auto& post = std::get<PostMessage>(*request);
  EXPECT_EQ(post.to, kId);
  EXPECT_EQ(post.options.priority, Priority::low);
  EXPECT_EQ(post.options.ttl, 1500ms);
  EXPECT_EQ(post.options.relays, 5u);
  EXPECT_EQ(post.options.isolation, UINT64_MAX);
  EXPECT_EQ(post.options.channel, 65'535);
  EXPECT_TRUE(post.options.sign);
  EXPECT_TRUE(post.progress);
}

TEST(Request, PostMessageDefaults) {
  const auto request = parse_request("POST", "/v1/messages?to=" + kId);
  ASSERT_TRUE(request);
  const auto& post = std::get<PostMessage>(*request);
  EXPECT_EQ(post.options.priority, Priority::normal);
  EXPECT_EQ(post.options.ttl, 60s);
  EXPECT_EQ(post.options.relays, kRelaysDefault);
  EXPECT_FALSE(post.progress);
}

TEST(Request, PercentEncodingIsDecoded) {
  const auto request = parse_request("POST", "/v1/messages?priority=%6cow&to=" + kId);
  ASSERT_TRUE(request);
  EXPECT_EQ(std::get<PostMessage>(*request).options.priority, Priority::low);
}

TEST(Request, WrongParametersAreMalformed) {
  const std::string base = "/v1/messages?to=" + kId + "&";
  for (const char* wrong :
       {"relays=6", "relays=", "relays=-1", "priority=urgent", "ttl=0", "ttl=25h", "ttl=x",
        "sign=maybe", "colour=red", "priority=%6", "priority=%zz", "isolation=1x",
        "relays=1&relays=2", "isolation=18446744073709551616", "channel=65536", "channel=news"}) {
    const RequestError error = refused("POST", base + wrong);
    EXPECT_EQ(error.status, 400u) << wrong;
    EXPECT_EQ(error.error.code, Errc::malformed) << wrong;
  }
  EXPECT_EQ(refused("POST", "/v1/messages?to=Short").status, 400u);
  EXPECT_EQ(refused("POST", "/v1/messages").error.detail, "parameter 'to' is missing");
  EXPECT_EQ(refused("POST", base + "relays=6").error.detail,
            "relays: must be a number from 0 to 5");
  EXPECT_EQ(refused("POST", base + "relays=1&relays=2").error.detail, "relays: given twice");
  EXPECT_EQ(refused("GET", "/v1/messages?colour=red").error.detail,
            "unknown parameter 'colour'; there are: format, count, channel, acknowledge");
  EXPECT_EQ(refused("GET", "/v1/status?x=1").error.detail, "this route takes no parameters");
}

TEST(Request, Pages) {
  EXPECT_EQ(std::get<GetPage>(*parse_request("GET", "/v1/status")).page->path, "/v1/status");
  EXPECT_EQ(std::get<GetPage>(*parse_request("GET", "/v1/peers")).page->path, "/v1/peers");
  EXPECT_EQ(std::get<GetPage>(*parse_request("GET", "/v1/circuits")).page->path, "/v1/circuits");
  EXPECT_EQ(std::get<GetPage>(*parse_request("GET", "/v1/queues")).page->path, "/v1/queues");
  EXPECT_EQ(std::get<GetPage>(*parse_request("GET", "/metrics")).page->path, "/metrics");
  EXPECT_TRUE(std::holds_alternative<OpenStream>(*parse_request("GET", "/v1/stream")));
  EXPECT_EQ(refused("GET", "/v1/status?x=1").status, 400u);
}

TEST(Request, UnknownRouteAndMethod) {
  EXPECT_EQ(refused("GET", "/").status, 404u);
  EXPECT_EQ(refused("GET", "").status, 404u);
  EXPECT_EQ(refused("GET", "/v2/status").status, 404u);
  EXPECT_EQ(refused("POST", "/v1/status").status, 405u);
  EXPECT_EQ(refused("POST", "/v1/status").allow, "GET");
  EXPECT_EQ(refused("DELETE", "/v1/messages").status, 405u);
  EXPECT_EQ(refused("DELETE", "/v1/messages").allow, "POST, GET");
  EXPECT_EQ(refused("GET", "/v1/nothing").allow, "");
}

TEST(Request, DeleteMessage) {
  const std::string id = "000102030405060708090A0B0C0D0E0F";
  const auto request = parse_request("DELETE", "/v1/messages/" + id);
  ASSERT_TRUE(request);
  EXPECT_EQ(std::get<CancelMessage>(*request).id, *MessageId::parse(id));
  for (const std::string& wrong :
       {std::string("x"), id + "0", id.substr(1), id + "?x=1", "%30" + id.substr(1),
        std::string(31, '0') + "g", std::string(8'000, '0')}) {
    EXPECT_EQ(refused("DELETE", "/v1/messages/" + wrong).status, 400u) << wrong;
  }
  EXPECT_EQ(refused("DELETE", "/v1/messages/").status, 404u);
  EXPECT_EQ(refused("DELETE", "/v1/messages/" + id + "/").status, 404u);
  EXPECT_EQ(refused("DELETE", "/v1/messages//" + id).status, 404u);
  EXPECT_EQ(refused("GET", "/v1/messages/" + id).status, 405u);
  EXPECT_EQ(refused("GET", "/v1/messages/" + id).allow, "DELETE");
}

TEST(Request, GetMessages) {
  const auto request = parse_request("GET", "/v1/messages?format=raw&count=3");
  ASSERT_TRUE(request);
  EXPECT_TRUE(std::get<GetMessages>(*request).raw);
  EXPECT_EQ(std::get<GetMessages>(*request).count, 3u);
  EXPECT_EQ(refused("GET", "/v1/messages?format=xml").status, 400u);
  EXPECT_EQ(refused("GET", "/v1/messages?count=0").status, 400u);
}

TEST(Request, Acknowledging) {
  EXPECT_TRUE(
      std::get<GetMessages>(*parse_request("GET", "/v1/messages?acknowledge=true")).acknowledge);
  EXPECT_EQ(refused("GET", "/v1/messages?acknowledge=maybe").status, 400u);
  EXPECT_EQ(refused("GET", "/v1/messages?acknowledge=true&format=raw").status, 400u);
  EXPECT_TRUE(parse_request("GET", "/v1/messages?acknowledge=false&format=raw"));

  const HandToken token{0x1234, 0xFFFF'FFFF'0000'0001};
  EXPECT_EQ(token.to_string(), "0000000000001234ffffffff00000001");
  const std::string target = "/v1/acknowledgements?token=" + token.to_string();
  const auto plain = parse_request("POST", target);
  ASSERT_TRUE(plain);
  const auto& taken = std::get<AcknowledgeMessage>(*plain);
  EXPECT_EQ(taken.token.hand, token.hand);
  EXPECT_EQ(taken.token.message, token.message);
  EXPECT_EQ(taken.answer, AcknowledgeRecord::Answer::taken);
  EXPECT_FALSE(taken.delay);
  const auto again = parse_request("POST", target + "&answer=again&delay=1h");
  ASSERT_TRUE(again);
  EXPECT_EQ(std::get<AcknowledgeMessage>(*again).answer, AcknowledgeRecord::Answer::again);
  EXPECT_EQ(std::get<AcknowledgeMessage>(*again).delay, std::chrono::hours(1));

  EXPECT_EQ(refused("POST", "/v1/acknowledgements").status, 400u);
  EXPECT_EQ(refused("POST", target + "0").status, 400u);
  EXPECT_EQ(refused("POST", target + "&answer=maybe").status, 400u);
  EXPECT_EQ(refused("POST", target + "&answer=again&delay=61m").status, 400u);
  EXPECT_EQ(refused("POST", target + "&answer=again&delay=soon").status, 400u);
  EXPECT_EQ(refused("POST", target + "&delay=1s").status, 400u);
  EXPECT_EQ(refused("GET", target).status, 405u);
}

TEST(Request, ReplyHandleRoundTrip) {
  ReplyTo::Handle handle{std::byte{1}};
  handle[15] = std::byte{0x42};
  const std::string text = to_text(ReplyTo(handle));
  EXPECT_EQ(text, "01000000000000000000000000000042");
  const auto request = parse_request("POST", "/v1/replies?to=" + text + "&ttl=5");
  ASSERT_TRUE(request);
  const auto& post = std::get<PostReply>(*request);
  EXPECT_EQ(post.to.handle(), handle);
  EXPECT_EQ(post.ttl, 5s);
  EXPECT_EQ(refused("POST", "/v1/replies?to=" + text + "0").status, 400u);
}

}  // namespace
}  // namespace qudag::api
