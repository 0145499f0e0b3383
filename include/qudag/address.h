// Who a node is (NodeId), where it listens (SocketAddress), and both together (PeerAddress).
//
// Plain values: copy them, use them on any thread. What cannot be parsed is `malformed`.
#pragma once

#include <qudag/error.h>
#include <qudag/export.h>

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

namespace qudag {

/// The name of a node: SHA-256 of its raw ML-DSA-65 public key (FIPS 204, 1952 bytes).
/// Written as 52 characters of lower-case base32 (RFC 4648, no padding).
struct NodeId {
  static constexpr std::size_t kSize = 32;
  static constexpr std::size_t kTextSize = 52;

  std::array<std::byte, kSize> bytes{};

  auto operator<=>(const NodeId&) const = default;

  [[nodiscard]] QUDAG_API std::string to_string() const;
  /// `malformed` unless exactly 52 base32 characters (either case) with zero spare bits.
  [[nodiscard]] QUDAG_API static Result<NodeId> parse(std::string_view text);
};

/// An IP address and UDP port. IPv4 is held as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2).
struct SocketAddress {
  std::array<std::uint8_t, 16> ip{};
  std::uint16_t port = 0;

  auto operator<=>(const SocketAddress&) const = default;

  [[nodiscard]] QUDAG_API bool is_v4() const noexcept;
  QUDAG_API static SocketAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d,
                                    std::uint16_t port) noexcept;
  /// "127.0.0.1:4433" or "[::1]:4433".
  [[nodiscard]] QUDAG_API std::string to_string() const;
  /// Numeric addresses only: parsing never asks a name server. Port 0 is accepted.
  [[nodiscard]] QUDAG_API static Result<SocketAddress> parse(std::string_view text);
};

/// A node and where to reach it, written `id@address:port` or `id@name:port`: the form of a
/// bootstrap entry. A name is looked up by the system's resolver while there is no link to the
/// node, so whoever answers for it learns that it was asked; each attempt to dial begins with
/// another of its addresses.
struct PeerAddress {
  NodeId id;
  SocketAddress at;    ///< with a name: its port, and no address
  std::string name{};  ///< of a host, 253 characters of letters, digits, '-', '_' and '.'; or empty

  auto operator<=>(const PeerAddress&) const = default;

  [[nodiscard]] QUDAG_API std::string to_string() const;
  /// Asks nobody: a name is only looked at, not looked up.
  [[nodiscard]] QUDAG_API static Result<PeerAddress> parse(std::string_view text);
};

}  // namespace qudag

template <>
struct std::hash<qudag::NodeId> {
  /// Ids are uniformly distributed hashes, so eight of their bytes are a good table hash; a table
  /// that an adversary can fill with ids of its choice needs a bound, not a better hash.
  std::size_t operator()(const qudag::NodeId& id) const noexcept {
    std::size_t value = 0;
    std::memcpy(&value, id.bytes.data(), sizeof value);
    return value;
  }
};
