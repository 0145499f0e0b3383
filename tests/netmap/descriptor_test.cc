// Descriptors: the golden vector, every rule of 8.1 broken once, every truncation and every flipped
// byte refused.
#include "netmap/map/descriptor.h"

#include "netmap/fixture.h"

#include <fstream>
#include <functional>
#include <map>
#include <string>

namespace qudag::netmap {
namespace {

using test::descriptor_of;
using test::identity_of;
using test::kDay;
using test::kToday;
using test::signed_by;

std::vector<std::byte> from_hex(std::string_view text) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::vector<std::byte> out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    out.push_back(static_cast<std::byte>(digit(text[i]) * 16 + digit(text[i + 1])));
  }
  return out;
}

std::map<std::string, std::string> read_vectors(const std::string& path) {
  std::ifstream in(path);
  std::map<std::string, std::string> out;
  for (std::string line; std::getline(in, line);) {
    const auto equals = line.find(" = ");
    if (line.empty() || line[0] == '#' || equals == std::string::npos) continue;
    out[line.substr(0, equals)] = line.substr(equals + 3);
  }
  return out;
}

Errc error_of(const Result<Descriptor>& result) { return result ? Errc::ok : result.error().code; }

/// A descriptor with two addresses and two onion keys: every part of the form is there.
Descriptor full_descriptor() {
  Descriptor d = descriptor_of(7);
  d.capacity_kib_s = 0x01020304;
  d.version_max = 3;
  d.addresses.push_back(*SocketAddress::parse("[2001:db8::7]:65535"));
  d.onion_keys.push_back({kToday, kToday + 2 * kDay, test::onion_key_of(2)});
  return d;
}

TEST(Descriptor, GoldenVector) {
  auto vectors = read_vectors(std::string(QUDAG_TEST_DATA) + "/../vectors/descriptor.txt");
  const auto raw = from_hex(vectors["descriptor"]);
  const auto parsed = parse_and_verify(raw, kToday);
  ASSERT_TRUE(parsed) << parsed.error().message();

  const Descriptor expected = full_descriptor();
  const auto identity = crypto::Identity::from_seed(
      std::span<const std::byte, 32>(from_hex(vectors["identity seed"])));
  ASSERT_TRUE(identity);
  EXPECT_EQ(parsed->identity, identity->public_bytes());
  EXPECT_EQ(parsed->id.to_string(), vectors["id"]);
  EXPECT_EQ(parsed->published, expected.published);
  EXPECT_EQ(parsed->expires, expected.expires);
  EXPECT_TRUE(parsed->relay);
  EXPECT_EQ(parsed->capacity_kib_s, 0x01020304u);
  EXPECT_EQ(parsed->version_min, 1);
  EXPECT_EQ(parsed->version_max, 3);
  EXPECT_EQ(parsed->addresses, expected.addresses);
  ASSERT_EQ(parsed->onion_keys.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(parsed->onion_keys[i].not_before, expected.onion_keys[i].not_before);
    EXPECT_EQ(parsed->onion_keys[i].not_after, expected.onion_keys[i].not_after);
    EXPECT_EQ(parsed->onion_keys[i].key, expected.onion_keys[i].key);
  }
  // The signature is hedged, so it is verified; what it covers is written again.
  const auto again = encode_unsigned(*parsed);
  EXPECT_TRUE(std::ranges::equal(again, Bytes(raw).first(raw.size() - crypto::kSignatureSize)));
}

TEST(Descriptor, RoundTrip) {
  const auto identity = identity_of(7);
  const auto raw = signed_by(identity, full_descriptor());
  const auto parsed = parse_and_verify(raw, kToday);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->id, identity.id());
  EXPECT_EQ(parsed->addresses, full_descriptor().addresses);
}

TEST(Descriptor, EveryTruncationIsMalformed) {
  const auto raw = signed_by(identity_of(7), full_descriptor());
  for (std::size_t n = 0; n < raw.size(); ++n) {
    ASSERT_EQ(error_of(parse(Bytes(raw).first(n), kToday)), Errc::malformed) << n;
  }
  auto longer = raw;
  longer.push_back(std::byte{0});
  EXPECT_EQ(error_of(parse(longer, kToday)), Errc::malformed);
}

TEST(Descriptor, EveryFlippedByteIsRefused) {
  auto raw = signed_by(identity_of(7), descriptor_of(7));
  ASSERT_TRUE(parse_and_verify(raw, kToday));
  for (std::size_t n = 0; n < raw.size(); ++n) {
    raw[n] ^= std::byte{0x01};
    ASSERT_FALSE(parse_and_verify(raw, kToday)) << n;
    raw[n] ^= std::byte{0x01};
  }
  raw.back() ^= std::byte{0x80};
  EXPECT_EQ(error_of(parse_and_verify(raw, kToday)), Errc::authentication_failed);
}

TEST(Descriptor, AMessageSignatureDoesNotCount) {
  const auto identity = identity_of(7);
  Descriptor d = descriptor_of(7);
  d.identity = identity.public_bytes();
  auto raw = encode_unsigned(d);
  const auto signature = identity.sign(crypto::kMessageContext, raw);
  raw.insert(raw.end(), signature->begin(), signature->end());
  EXPECT_EQ(error_of(parse_and_verify(raw, kToday)), Errc::authentication_failed);
}

TEST(Descriptor, Times) {
  const auto raw = signed_by(identity_of(7), descriptor_of(7));  // today - 10 to today + one day
  const UnixSeconds published = kToday - 10;
  EXPECT_EQ(error_of(parse(raw, kToday + kDay - 1)), Errc::ok);
  EXPECT_EQ(error_of(parse(raw, kToday + kDay)), Errc::expired);
  EXPECT_EQ(error_of(parse(raw, published - 600)), Errc::ok);
  EXPECT_EQ(error_of(parse(raw, published - 601)), Errc::expired);
}

TEST(Descriptor, OtherVersionsAreUnsupported) {
  auto raw = signed_by(identity_of(7), descriptor_of(7));
  raw[0] = std::byte{2};
  EXPECT_EQ(error_of(parse(raw, kToday)), Errc::unsupported);
}

TEST(Descriptor, TooLarge) {
  const std::vector<std::byte> raw(limits::kDescriptorBytesMax + 1, std::byte{1});
  EXPECT_EQ(error_of(parse(raw, kToday)), Errc::too_large);
}

TEST(Descriptor, TheWriterKeepsTheRules) {
  const auto identity = identity_of(7);
  const std::vector<std::pair<const char*, std::function<void(Descriptor&)>>> broken{
      {"no address", [](Descriptor& d) { d.addresses.clear(); }},
      {"five addresses", [](Descriptor& d) { d.addresses.resize(5, d.addresses[0]); }},
      {"port 0", [](Descriptor& d) { d.addresses[0].port = 0; }},
      {"two networks of the world",
       [](Descriptor& d) {
         d.addresses = {SocketAddress::v4(45, 7, 1, 1, 1), SocketAddress::v4(45, 8, 1, 1, 1)};
       }},
      {"no onion key", [](Descriptor& d) { d.onion_keys.clear(); }},
      {"three onion keys", [](Descriptor& d) { d.onion_keys.resize(3, d.onion_keys[0]); }},
      {"key without validity",
       [](Descriptor& d) { d.onion_keys[0].not_after = d.onion_keys[0].not_before; }},
      {"expires when published", [](Descriptor& d) { d.expires = d.published; }},
      {"more than seven days", [](Descriptor& d) { d.expires = d.published + 7 * kDay + 1; }},
      {"versions", [](Descriptor& d) { d.version_min = 4; }},
  };
  for (const auto& [name, change] : broken) {
    Descriptor d = full_descriptor();
    change(d);
    const auto raw = encode_and_sign(d, identity);
    ASSERT_FALSE(raw) << name;
    EXPECT_EQ(raw.error().code, Errc::invalid_argument) << name;
  }
  Descriptor longest = full_descriptor();
  longest.expires = longest.published + 7 * kDay;
  EXPECT_TRUE(encode_and_sign(longest, identity));
}

/// The same rules seen by the reader: fields of a valid descriptor overwritten in place.
TEST(Descriptor, TheReaderKeepsTheRules) {
  const auto raw = signed_by(identity_of(7), descriptor_of(7));
  const auto changed = [&raw](std::size_t offset, auto value) {
    auto copy = raw;
    store_be(copy.data() + offset, value);
    return error_of(parse(copy, kToday));
  };
  constexpr std::size_t kPublished = 1 + 1952;
  constexpr std::size_t kFlags = kPublished + 16;
  constexpr std::size_t kVersions = kFlags + 8;
  constexpr std::size_t kAddresses = kVersions + 4;
  constexpr std::size_t kPort = kAddresses + 1 + 16;
  constexpr std::size_t kKeys = kPort + 2;
  EXPECT_EQ(changed(kFlags, std::uint32_t{0}), Errc::ok);
  EXPECT_EQ(changed(kFlags, std::uint32_t{2}), Errc::malformed) << "withdrawn, with addresses";
  EXPECT_EQ(changed(kFlags, std::uint32_t{4}), Errc::malformed) << "a keeper that is no relay";
  EXPECT_EQ(changed(kFlags, std::uint32_t{5}), Errc::ok);
  EXPECT_EQ(changed(kFlags, std::uint32_t{8}), Errc::malformed);
  EXPECT_EQ(changed(kPublished, std::uint64_t{kToday + 2 * kDay}), Errc::malformed);
  EXPECT_EQ(changed(kPublished, std::uint64_t{0}), Errc::malformed) << "over seven days";
  EXPECT_EQ(changed(kPublished + 8, UINT64_MAX), Errc::malformed) << "no wrapping";
  EXPECT_EQ(changed(kVersions, std::uint16_t{2}), Errc::malformed);
  EXPECT_EQ(changed(kAddresses, std::uint8_t{0}), Errc::malformed);
  EXPECT_EQ(changed(kAddresses, std::uint8_t{5}), Errc::malformed);
  EXPECT_EQ(changed(kPort, std::uint16_t{0}), Errc::malformed);
  EXPECT_EQ(changed(kKeys, std::uint8_t{0}), Errc::malformed);
  EXPECT_EQ(changed(kKeys, std::uint8_t{3}), Errc::malformed);
  EXPECT_EQ(changed(kKeys + 1, std::uint64_t{kToday + kDay}), Errc::malformed);
}

/// Of a node that has stopped: it says nothing else.
TEST(Descriptor, AWithdrawnOneSaysNothingElse) {
  const auto identity = identity_of(7);
  Descriptor d;
  d.published = kToday;
  d.expires = kToday + kDay;
  d.withdrawn = true;
  const auto raw = encode_and_sign(d, identity);
  ASSERT_TRUE(raw);
  EXPECT_EQ(raw->size(), 5'292u);
  const auto entry = make_entry(*raw, kToday);
  ASSERT_TRUE(entry);
  EXPECT_TRUE((*entry)->descriptor.withdrawn);
  EXPECT_FALSE((*entry)->descriptor.relay);
  EXPECT_EQ((*entry)->onion_key(kToday), nullptr);
  for (std::size_t i = 0; i < raw->size(); i += 97) {
    auto other = *raw;
    other[i] ^= std::byte{1};
    EXPECT_FALSE(make_entry(other, kToday)) << i;
  }
  for (const auto& change : std::vector<std::function<void(Descriptor&)>>{
           [](Descriptor& of) { of.relay = true; }, [](Descriptor& of) { of.capacity_kib_s = 1; },
           [](Descriptor& of) { of.addresses = full_descriptor().addresses; },
           [](Descriptor& of) { of.onion_keys = full_descriptor().onion_keys; }}) {
    Descriptor more = d;
    change(more);
    const auto refused = encode_and_sign(more, identity);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::invalid_argument);
  }
}

TEST(Descriptor, EntryPicksTheNewestValidKeyAndImportsIt) {
  const Descriptor full = full_descriptor();
  const auto made = make_entry(signed_by(identity_of(7), full), kToday);
  ASSERT_TRUE(made);
  for (const EntryPtr& entry : {*made, without_raw(**made)}) {
    const auto key = [&](UnixSeconds now) {
      const auto imported = entry->onion_key(now);
      EXPECT_EQ(entry->has_onion_key(now), imported != nullptr);
      if (imported == nullptr) return -1;
      return imported->bytes() == full.onion_keys[1].key   ? 1
             : imported->bytes() == full.onion_keys[0].key ? 0
                                                           : -2;
    };
    EXPECT_EQ(key(kToday - kDay - 1), -1);
    EXPECT_EQ(key(kToday - kDay), 0);
    EXPECT_EQ(key(kToday - 1), 0);
    EXPECT_EQ(key(kToday), 1);
    EXPECT_EQ(key(kToday + 2 * kDay - 1), 1);
    EXPECT_EQ(key(kToday + 2 * kDay), -1);
  }
  EXPECT_TRUE(without_raw(**made)->raw.empty());
}

TEST(Descriptor, AnOnionKeyThatIsNoKeyIsMalformed) {
  Descriptor d = descriptor_of(7);
  d.onion_keys[0].key.fill(std::byte{0xff});  // coefficients above the modulus (FIPS 203, 7.2)
  const auto entry = make_entry(signed_by(identity_of(7), d), kToday);
  ASSERT_FALSE(entry);
  EXPECT_EQ(entry.error().code, Errc::malformed);
}

}  // namespace
}  // namespace qudag::netmap
