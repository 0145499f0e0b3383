// invitation (113 to 241) = receiver id || pin (16) || n u8 || n * (keeper id, inbox id)
// text = "qudag1:" || base32 (invitation || SHA-256("qudag/1 invitation" || invitation)[0:4])
#include "base/base32.h"
#include "base/bytes.h"
#include "crypto/kdf.h"

#include <qudag/receiver.h>

#include <fmt/format.h>

#include <algorithm>
#include <span>

namespace qudag {
namespace {

constexpr std::size_t kSumBytes = 4;
constexpr std::size_t kHeadBytes = NodeId::kSize + 16 + 1;
constexpr std::size_t kPlaceBytes = NodeId::kSize + 32;
constexpr std::size_t kTextMax = 4'096;  // with white space

std::array<std::byte, kSumBytes> sum_of(Bytes raw) {
  const auto whole = crypto::sha256({as_bytes("qudag/1 invitation"), raw});
  std::array<std::byte, kSumBytes> out;
  std::copy_n(whole.begin(), kSumBytes, out.begin());
  return out;
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/// Without white space and what it begins with.
Result<std::string> body_of(std::string_view text) {
  if (text.size() > kTextMax) return fail(Errc::malformed, "an invitation is shorter");
  std::string out;
  std::ranges::copy_if(text, std::back_inserter(out), [](char c) { return !is_space(c); });
  const auto same = [](char a, char b) {
    return b == a || (b >= 'a' && b <= 'z' && a == b - 'a' + 'A');
  };
  const std::string_view scheme = Invitation::kScheme;
  if (out.size() < scheme.size() ||
      !std::ranges::equal(std::string_view(out).substr(0, scheme.size()), scheme, same)) {
    return fail(Errc::malformed, "an invitation begins with qudag1:");
  }
  out.erase(0, scheme.size());
  return out;
}

}  // namespace

std::string Invitation::to_string() const {
  QUDAG_ASSERT(places.size() <= kKeepersMax);
  std::vector<std::byte> raw(kHeadBytes + places.size() * kPlaceBytes + kSumBytes);
  ByteWriter writer(raw);
  writer.put(receiver.bytes);
  writer.put(pin);
  writer.u8(static_cast<std::uint8_t>(places.size()));
  for (const Card::Place& place : places) {
    writer.put(place.keeper.bytes);
    writer.put(place.inbox);
  }
  writer.put(sum_of(Bytes(raw).first(writer.written())));
  return std::string(kScheme) + base32_text(raw);
}

Result<Invitation> Invitation::parse(std::string_view text) {
  const auto body = body_of(text);
  if (!body) return std::unexpected(body.error());
  const auto wrong =
      std::ranges::find_if(*body, [](char c) { return !base32_value(c).has_value(); });
  if (wrong != body->end()) {
    return fail(Errc::malformed,
                fmt::format("character {} of the invitation is none that it can have: a-z, 2-7",
                            Invitation::kScheme.size() +
                                static_cast<std::size_t>(wrong - body->begin()) + 1));
  }
  if (body->size() < (kHeadBytes + kPlaceBytes + kSumBytes) * 8 / 5) {
    return fail(Errc::malformed, "the invitation is not whole");
  }
  const auto raw = parse_base32(*body);  // nothing: a length or last character that none has
  const Bytes all = raw ? Bytes(*raw) : Bytes();
  if (!raw || !std::ranges::equal(sum_of(all.first(all.size() - kSumBytes)), all.last(kSumBytes))) {
    return fail(Errc::malformed,
                "the invitation's checksum does not fit: a character is wrong or missing");
  }
  ByteReader in(all.first(all.size() - kSumBytes));
  Invitation out;
  out.receiver.bytes = in.array<32>();
  out.pin = in.array<16>();
  const std::size_t count = in.u8();
  if (count < 1 || count > kKeepersMax || in.remaining() != count * kPlaceBytes) {
    return fail(Errc::malformed, "an invitation names 1 to 3 keepers");
  }
  for (std::size_t i = 0; i < count; ++i) {
    Card::Place place;
    place.keeper.bytes = in.array<32>();
    place.inbox = in.array<32>();
    out.places.push_back(place);
  }
  return out;
}

}  // namespace qudag
