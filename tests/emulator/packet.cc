#include "packet.h"

#include <arpa/inet.h>
#include <netinet/in.h>

namespace qudag::emulator {
namespace {

constexpr std::size_t kIpChecksum = 10;
constexpr std::int32_t kFirstPort =
    1024;  // a NAT of ours maps the ports from here on among themselves

std::uint16_t word(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}
void put(std::span<std::uint8_t> bytes, std::size_t at, std::uint16_t value) {
  bytes[at] = static_cast<std::uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(value & 0xff);
}

/// RFC 1624, equation 3: a checksum after one of the words under it has changed.
std::uint16_t updated(std::uint16_t sum, std::uint16_t before, std::uint16_t after) {
  std::uint32_t x = static_cast<std::uint16_t>(~sum);
  x += static_cast<std::uint16_t>(~before);
  x += after;
  x = (x & 0xffff) + (x >> 16);
  x = (x & 0xffff) + (x >> 16);
  return static_cast<std::uint16_t>(~x & 0xffff);
}

std::uint16_t shifted(std::uint16_t port, std::int32_t shift) {
  if (port < kFirstPort) return port;
  constexpr std::int32_t kPorts = 65'536 - kFirstPort;
  const std::int32_t moved = (port - kFirstPort + shift) % kPorts;
  return static_cast<std::uint16_t>(kFirstPort + (moved < 0 ? moved + kPorts : moved));
}

}  // namespace

std::optional<Ipv4> parse_ipv4(std::string_view text) {
  in_addr out{};
  if (::inet_pton(AF_INET, std::string(text).c_str(), &out) != 1) return std::nullopt;
  return ntohl(out.s_addr);
}

std::string format_ipv4(Ipv4 address) {
  const in_addr in{htonl(address)};
  char out[INET_ADDRSTRLEN];
  return ::inet_ntop(AF_INET, &in, out, sizeof out);
}

Packet::Packet(std::span<std::uint8_t> bytes) : bytes_(bytes) {
  if (bytes.size() < 20 || bytes[0] >> 4 != 4) return;
  const std::size_t header = std::size_t{bytes[0] & 0x0fU} * 4;
  if (header >= 20 && bytes.size() >= header) header_ = header;
}

Ipv4 Packet::read(std::size_t at) const {
  return Ipv4{word(bytes_, at)} << 16 | word(bytes_, at + 2);
}

std::size_t Packet::sum_at() const {
  return header_ + (protocol() == IPPROTO_UDP ? std::size_t{6} : std::size_t{16});
}

std::optional<std::pair<std::uint16_t, std::uint16_t>> Packet::ports() const {
  const bool first = (word(bytes_, 6) & 0x1fff) == 0;  // of the fragments: the one with the ports
  const bool has = protocol() == IPPROTO_UDP || protocol() == IPPROTO_TCP;
  if (!first || !has || bytes_.size() < sum_at() + 2) return std::nullopt;
  return std::pair(word(bytes_, header_), word(bytes_, header_ + 2));
}

void Packet::rewrite_source(Ipv4 address, std::int32_t shift) {
  const auto own = ports();
  rewrite(12, 0, address, own ? std::optional(shifted(own->first, shift)) : std::nullopt);
}

void Packet::rewrite_destination(Ipv4 address, std::int32_t shift) {
  const auto own = ports();
  rewrite(16, 2, address, own ? std::optional(shifted(own->second, shift)) : std::nullopt);
}

void Packet::rewrite(std::size_t at, std::size_t port_at, Ipv4 address,
                     std::optional<std::uint16_t> port) {
  const std::size_t sum_at = this->sum_at();
  const bool summed = port && (protocol() == IPPROTO_TCP || word(bytes_, sum_at) != 0);
  const auto change = [&](std::size_t where, std::uint16_t value, bool in_ip) {
    const std::uint16_t before = word(bytes_, where);
    put(bytes_, where, value);
    if (in_ip) put(bytes_, kIpChecksum, updated(word(bytes_, kIpChecksum), before, value));
    if (!summed) return;
    const std::uint16_t sum = updated(word(bytes_, sum_at), before, value);
    put(bytes_, sum_at, sum == 0 && protocol() == IPPROTO_UDP ? std::uint16_t{0xffff} : sum);
  };
  change(at, static_cast<std::uint16_t>(address >> 16), true);
  change(at + 2, static_cast<std::uint16_t>(address & 0xffff), true);
  if (port) change(header_ + port_at, *port, false);
}

}  // namespace qudag::emulator
