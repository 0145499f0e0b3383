// Text forms: base64 and hexadecimal against RFC 4648's vectors, sizes, times, the metrics page.
#include "api/records/encoding.h"
#include "api/server/render.h"
#include "config/quantity.h"

#include <gtest/gtest.h>

namespace qudag::api {
namespace {

TEST(Base64, VectorsOfRfc4648) {
  const std::pair<std::string_view, std::string_view> vectors[] = {{"", ""},
                                                                   {"f", "Zg=="},
                                                                   {"fo", "Zm8="},
                                                                   {"foo", "Zm9v"},
                                                                   {"foob", "Zm9vYg=="},
                                                                   {"fooba", "Zm9vYmE="},
                                                                   {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : vectors) {
    EXPECT_EQ(to_base64(as_bytes(plain)), coded);
    const auto back = from_base64(coded);
    ASSERT_TRUE(back) << coded;
    EXPECT_TRUE(std::ranges::equal(*back, as_bytes(plain))) << coded;
  }
  EXPECT_FALSE(from_base64("Zg="));
  EXPECT_FALSE(from_base64("Zg=a"));
  EXPECT_FALSE(from_base64("Z!=="));
}

TEST(Base64, PiecesOfAnySizeMakeTheSameText) {
  std::vector<std::byte> bytes(50);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 5);
  for (std::size_t step = 1; step < 10; ++step) {
    std::string out;
    Base64Writer writer(out);
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      writer.add(Bytes(bytes).subspan(at, std::min(step, bytes.size() - at)));
    }
    writer.finish();
    EXPECT_EQ(out, to_base64(bytes)) << step;
  }
}

TEST(Quantity, SizesAndTimes) {
  EXPECT_EQ(config::parse_size("512MiB"), std::uint64_t{512} << 20);
  EXPECT_EQ(config::parse_size("1_000 KB"), 1'000'000u);
  EXPECT_EQ(config::parse_size("7"), 7u);
  for (const char* wrong :
       {"", "MiB", "1 mib", "-1", "1.5GiB", "99999999999999999999", "18446744073709551615KB"}) {
    EXPECT_FALSE(config::parse_size(wrong)) << wrong;
  }
  EXPECT_EQ(config::parse_duration("3h"), std::chrono::hours(3));
  EXPECT_EQ(config::parse_duration("250ms"), std::chrono::milliseconds(250));
  EXPECT_EQ(config::parse_duration("60"), std::chrono::seconds(60));
  EXPECT_FALSE(config::parse_duration("1001d"));
  EXPECT_EQ(config::size_text(std::uint64_t{1} << 30), "1GiB");
  EXPECT_EQ(config::size_text(1500), "1500B");
  EXPECT_EQ(config::duration_text(std::chrono::seconds(90)), "90s");
}

TEST(Render, ErrorAndOutcome) {
  EXPECT_EQ(error_json(Error(Errc::malformed, "a \"quote\"")),
            "{\"error\":{\"code\":\"malformed\",\"number\":101,\"detail\":\"a \\\"quote\\\"\"}}\n");
  EXPECT_EQ(outcome_json({Outcome::delivered, Errc::ok, std::chrono::microseconds(12)}),
            "{\"id\":null,\"outcome\":\"delivered\",\"elapsed_us\":12}\n");
  MessageId id;
  id.bytes[15] = std::byte{0x1f};
  EXPECT_EQ(outcome_json({Outcome::delivered, Errc::ok, std::chrono::microseconds(12), id}),
            "{\"id\":\"0000000000000000000000000000001f\",\"outcome\":\"delivered\","
            "\"elapsed_us\":12}\n");
  EXPECT_EQ(accepted_json(id), "{\"id\":\"0000000000000000000000000000001f\"}\n");
  EXPECT_EQ(progress_json(1, 2), "{\"progress\":{\"bytes\":1,\"of\":2}}\n");
  EXPECT_EQ(http_status_of(Delivery{Outcome::expired, Errc::expired, {}}), 504u);
  EXPECT_EQ(http_status_of(Errc::refused_memory), 503u);
  EXPECT_EQ(http_status_of(Errc::cancelled), 409u);
  EXPECT_EQ(http_status_of(Errc::internal), 500u);
}

}  // namespace
}  // namespace qudag::api
