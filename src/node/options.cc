// Bounds of Options, checked in one place for library and program alike.
#include <qudag/options.h>

#include "base/limits.h"
#include "base/reach.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

namespace qudag {

namespace {

constexpr std::uint64_t kRateMax = 1'000'000;

template <class T>
Status within(std::string_view name, T value, T least, T most) {
  if (value >= least && value <= most) return {};
  return fail(Errc::config_invalid,
              fmt::format("{} is {}, but must be {} to {}", name, value, least, most));
}

// The defaults stand in a public header; their relations are asserted where all bounds are.
constexpr Limits kDefaults;
static_assert(kDefaults.memory == limits::kMemoryBytes);
static_assert(kDefaults.queue_high == limits::kQueueHighMax &&
              kDefaults.queue_normal == limits::kQueueNormalMax &&
              kDefaults.queue_low == limits::kQueueLowMax);
static_assert(kDefaults.queue_high_bytes == limits::kQueueHighBytes &&
              kDefaults.queue_normal_bytes == limits::kQueueNormalBytes &&
              kDefaults.queue_low_bytes == limits::kQueueLowBytes);

/// A dialer of a family can go to one address.
Status check_preferred(const std::vector<SocketAddress>& addresses) {
  std::array<int, 2> of_family{};
  for (const SocketAddress& address : addresses) {
    if (++of_family[address.is_v4() ? 0 : 1] > 1) {
      return fail(Errc::config_invalid, "preferred_address: at most one IPv4 and one IPv6");
    }
  }
  return {};
}

}  // namespace

Status validate(const Options& o) {
  if (auto preferred = check_preferred(o.preferred_address); !preferred) return preferred;
  const Limits& l = o.limits;
  const std::array checks{
      within<std::uint64_t>("limits.memory", l.memory, std::uint64_t{32} << 20,
                            std::uint64_t{1} << 42),
      within<std::size_t>("limits.links", l.links, 4, 1'000'000),
      within<std::size_t>("limits.half_open", l.half_open, 2, 100'000),
      within<std::size_t>("limits.warm_links", l.warm_links, 0, 10'000),
      within<std::size_t>("limits.links_per_prefix", l.links_per_prefix, 0, 1'000'000),
      within<std::size_t>("limits.half_open_per_prefix", l.half_open_per_prefix, 0, 100'000),
      within<std::uint64_t>("limits.handshakes_per_second", l.handshakes_per_second, 0, kRateMax),
      within<std::uint64_t>("limits.handshakes_per_prefix", l.handshakes_per_prefix, 0, kRateMax),
      within<std::uint64_t>("limits.link_bytes_per_second", l.link_bytes_per_second, 0,
                            std::uint64_t{1} << 32),
      within<std::size_t>("limits.circuits_per_link", l.circuits_per_link, 1, 1'000'000),
      within<std::uint64_t>("limits.builds_per_second", l.builds_per_second, 0, kRateMax),
      within<std::uint64_t>("limits.builds_per_link", l.builds_per_link, 0, kRateMax),
      within<std::size_t>("limits.circuits", l.circuits, 4, 10'000'000),
      within<std::size_t>("limits.circuits_building", l.circuits_building, 2, 1'000'000),
      within<std::size_t>("limits.queue_high", l.queue_high, 1, 10'000'000),
      within<std::size_t>("limits.queue_normal", l.queue_normal, 1, 10'000'000),
      within<std::size_t>("limits.queue_low", l.queue_low, 1, 10'000'000),
      within<std::uint64_t>("limits.queue_high_bytes", l.queue_high_bytes, std::uint64_t{64} << 20,
                            std::uint64_t{1} << 42),
      within<std::uint64_t>("limits.queue_normal_bytes", l.queue_normal_bytes,
                            std::uint64_t{64} << 20, std::uint64_t{1} << 42),
      within<std::uint64_t>("limits.queue_low_bytes", l.queue_low_bytes, std::uint64_t{64} << 20,
                            std::uint64_t{1} << 42),
      within<unsigned>("shards", o.shards, 0, static_cast<unsigned>(limits::kShardsMax)),
      within<std::size_t>("packet_bytes_max", o.packet_bytes_max, limits::kPacketBytesLeast,
                          limits::kPacketBytesMax),
      within<unsigned>("awake_us", o.awake_us, 0, 1'000),
      within<std::size_t>("guards", o.guards, 0, 16),
      within<std::size_t>("second_guards", o.second_guards, 0, 16),
      within<std::int64_t>("descriptor_lifetime (seconds)", o.descriptor_lifetime.count(), 60,
                           7 * 24 * 3600),
      within<std::int64_t>("onion_key_lifetime (seconds)", o.onion_key_lifetime.count(), 120,
                           90 * 24 * 3600),
      within<std::int64_t>("link_lifetime (seconds)", o.link_lifetime.count(), 60, 90 * 24 * 3600),
      within<std::int64_t>("gossip_interval (seconds)", o.gossip_interval.count(), 1, 3600),
      within<std::size_t>("publish (addresses)", o.publish.size(), 0,
                          limits::kDescriptorAddressesMax),
      within<std::size_t>("bootstrap (entries)", o.bootstrap.size(), 0, 64),
  };
  for (const Status& check : checks) {
    if (!check) return check;
  }
  if (o.cipher > Cipher::chacha20_poly1305) return fail(Errc::config_invalid, "cipher: no such");
  if (o.log_level > LogLevel::off) return fail(Errc::config_invalid, "log_level: no such");
  if (!o.identity.empty() && !o.identity_key.empty()) {
    return fail(Errc::config_invalid, "identity: a file or its contents, not both");
  }
  for (const SocketAddress& address : o.publish) {
    if (address.port == 0) return fail(Errc::config_invalid, "publish: a port must not be 0");
  }
  if (!in_one_network(o.publish)) {
    return fail(
        Errc::config_invalid,
        "publish: name addresses of one network: the first 16 bits of the IPv4 ones must be "
        "the same, and the first 32 of the IPv6 ones");
  }
  for (const PeerAddress& peer : o.bootstrap) {
    if (peer.at.port == 0) return fail(Errc::config_invalid, "bootstrap: a port must not be 0");
  }
  return {};
}

}  // namespace qudag
