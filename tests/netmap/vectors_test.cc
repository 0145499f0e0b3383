// The descriptors of tests/vectors/gossip.txt, which the second implementation (frames.py with
// mldsa.py) wrote and signed: read, verified, and written again; and each rule of their form
// broken.
#include "vectors/vectors.h"
#include "netmap/gossip/fingerprint.h"
#include "netmap/map/descriptor.h"
#include "wire/control.h"

#include <gtest/gtest.h>

namespace qudag::netmap {
namespace {

using test::hex;

const test::Vectors& gossip() {
  static const test::Vectors vectors(QUDAG_TEST_DATA "/../vectors/gossip.txt");
  return vectors;
}

std::vector<std::byte> body_of(const std::string& name,
                               wire::ControlType type = wire::ControlType::descriptor) {
  const auto raw = gossip().bytes(name);
  const auto header = wire::parse_control_header(raw);
  EXPECT_TRUE(header && header->type == static_cast<std::uint8_t>(type));
  const Bytes body = Bytes(raw).subspan(wire::kControlHeaderBytes);
  EXPECT_EQ(body.size(), header->length);
  return {body.begin(), body.end()};
}

UnixSeconds now() { return load_be<std::uint64_t>(gossip().bytes("now").data()); }

TEST(Vectors, DescriptorsAreVerifiedAndWrittenTheSame) {
  for (const std::string number : {"0", "1"}) {
    SCOPED_TRACE(number);
    const auto raw = body_of("descriptor_" + number);
    const auto entry = make_entry(raw, now());
    ASSERT_TRUE(entry) << entry.error().message();
    const Descriptor d = *parse(raw, now());
    EXPECT_EQ((*entry)->descriptor.id, d.id);
    EXPECT_EQ(hex(d.id.bytes), gossip().text("id_" + number));
    const auto identity = crypto::Identity::from_seed(gossip().array<32>("seed_" + number));
    EXPECT_EQ(d.identity, identity->public_bytes());
    EXPECT_EQ(hex(encode_unsigned(d)), hex(Bytes(raw).first(raw.size() - crypto::kSignatureSize)));
  }
}

TEST(Vectors, SummariesAreComputedTheSame) {
  const auto digest = body_of("digest_both", wire::ControlType::digest);
  const auto both = wire::DigestView::parse(digest);
  ASSERT_TRUE(both && both->size() == 2);
  for (const std::string name : {"summary_none", "summary_both", "summary_narrow"}) {
    SCOPED_TRACE(name);
    const auto body = body_of(name, wire::ControlType::summary);
    const auto said = wire::parse_summary(body);
    ASSERT_TRUE(said);
    Fingerprints computed(said->range, said->nonce);
    for (std::size_t i = 0; i < both->size() && name != "summary_none"; ++i) {
      if (said->range.contains(both->at(i).id)) computed.add(both->at(i).id, both->at(i).rank);
    }
    EXPECT_EQ(hex(wire::encode_summary(computed.finish())), hex(body));
  }
}

TEST(Vectors, FieldsOfADescriptor) {
  const auto d = parse(body_of("descriptor_1"), now());
  ASSERT_TRUE(d);
  EXPECT_EQ(d->published, now() - 7200);
  EXPECT_EQ(d->expires, now() + 3600);
  EXPECT_FALSE(d->relay);
  EXPECT_EQ(d->capacity_kib_s, 0x01020304u);
  EXPECT_EQ(d->version_min, 1);
  EXPECT_EQ(d->version_max, 3);
  ASSERT_EQ(d->addresses.size(), 2u);
  EXPECT_EQ(d->addresses[0], SocketAddress::parse("203.0.113.200:65535"));
  EXPECT_EQ(d->addresses[1], SocketAddress::parse("[2001:db8::7]:1"));
  ASSERT_EQ(d->onion_keys.size(), 2u);
  EXPECT_EQ(d->onion_keys[1].not_after, now() + 7200);
  const auto other = parse(body_of("descriptor_0"), now());
  ASSERT_TRUE(other);
  EXPECT_TRUE(other->relay);
  EXPECT_EQ(other->addresses.at(0), SocketAddress::parse("192.0.2.7:4433"));
}

TEST(Vectors, EachBrokenRuleIsRefused) {
  const auto whole = body_of("descriptor_1");
  std::size_t seen = 0;
  for (const std::string& name : gossip().names()) {
    if (!name.starts_with("patch_")) continue;
    const auto patch = gossip().bytes(name);
    const std::size_t at = load_be<std::uint16_t>(patch.data());
    auto raw = whole;
    ASSERT_LE(at + patch.size() - 2, raw.size());
    std::copy(patch.begin() + 2, patch.end(), raw.begin() + static_cast<std::ptrdiff_t>(at));
    const auto entry = make_entry(raw, now());
    ASSERT_FALSE(entry) << name;
    const bool signature = name == "patch_signature";
    EXPECT_EQ(entry.error().code, signature ? Errc::authentication_failed : Errc::malformed)
        << name;
    ++seen;
  }
  EXPECT_EQ(seen, 11u);
}

}  // namespace
}  // namespace qudag::netmap
