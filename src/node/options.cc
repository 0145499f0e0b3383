// Bounds of Options, checked in one place for library and program alike.
#include <qudag/options.h>

#include "base/limits.h"
#include "base/reach.h"
#include "settings/numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace qudag {

namespace {

constexpr std::size_t kBootstrapMax = 64;

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

bool is_unspecified(const SocketAddress& address) {
  return std::ranges::all_of(address.ip.begin() + (address.is_v4() ? 12 : 0), address.ip.end(),
                             [](auto byte) { return byte == 0; });
}

/// Why nobody can be there, whatever the port; empty: somebody can.
std::string_view nowhere(SocketAddress address) {
  if (is_unspecified(address)) {
    return "the unspecified address stands for all of this machine, and for none elsewhere";
  }
  address.port = 1;
  if (reach_of(address) != Reach::nowhere) return {};
  return "it is a multicast, broadcast or reserved address, which no node has";
}

/// Every one is a place that a node can be dialed at.
Status check_dialed(std::string_view key, const SocketAddress& address, bool port_0) {
  std::string_view why = nowhere(address);
  if (why.empty() && address.port == 0 && !port_0) why = "a port must not be 0";
  if (why.empty()) return {};
  return fail(Errc::config_invalid, fmt::format("{}: {}: {}; name one that "
                                                "others reach, such as 192.0.2.7:4433",
                                                key, address.to_string(), why));
}

Status check_publish(const std::vector<SocketAddress>& addresses) {
  if (addresses.size() > limits::kDescriptorAddressesMax) {
    return fail(Errc::config_invalid,
                fmt::format("publish: at most {} addresses", limits::kDescriptorAddressesMax));
  }
  for (const SocketAddress& address : addresses) {
    if (auto ok = check_dialed("publish", address, false); !ok) return ok;
  }
  const auto loopback = std::ranges::find_if(addresses, is_loopback);
  const auto other = std::ranges::find_if_not(addresses, is_loopback);
  if (loopback != addresses.end() && other != addresses.end()) {
    return fail(Errc::config_invalid,
                fmt::format("publish: {} and {}: nodes that reach the second cannot reach the "
                            "first, which is loopback; name one kind",
                            loopback->to_string(), other->to_string()));
  }
  if (!in_one_network(addresses)) {
    return fail(
        Errc::config_invalid,
        "publish: name addresses of one network: the first 16 bits of the IPv4 ones must be "
        "the same, and the first 32 of the IPv6 ones");
  }
  return {};
}

Status check_pairs(const Options& o) {
  for (const settings::Pair& pair : settings::pairs()) {
    const std::uint64_t part = pair.part.get(o), whole = pair.whole.get(o);
    if (part <= whole) continue;
    return fail(Errc::config_invalid, fmt::format("{} is {}, but must be at most {}, which is {}",
                                                  pair.part.name, part, pair.whole.name, whole));
  }
  return {};
}

}  // namespace

Status validate(const Options& o) {
  if (auto preferred = check_preferred(o.preferred_address); !preferred) return preferred;
  for (const settings::Number& number : settings::numbers()) {
    const std::uint64_t value = number.get(o);
    if (value >= number.least && value <= number.most) continue;
    return fail(Errc::config_invalid,
                fmt::format("{}{} is {}, but must be {} to {}", number.name,
                            number.form == settings::Form::seconds ? " (seconds)" : "", value,
                            number.least, number.most));
  }
  if (auto pairs = check_pairs(o); !pairs) return pairs;
  if (o.listen && !is_unspecified(*o.listen)) {
    if (auto listen = check_dialed("listen", *o.listen, true); !listen) return listen;
  }
  if (auto publish = check_publish(o.publish); !publish) return publish;
  if (o.bootstrap.size() > kBootstrapMax) {
    return fail(Errc::config_invalid, fmt::format("bootstrap: at most {} entries", kBootstrapMax));
  }
  if (o.cipher > Cipher::chacha20_poly1305) return fail(Errc::config_invalid, "cipher: no such");
  if (o.log_level > LogLevel::off) return fail(Errc::config_invalid, "log_level: no such");
  if (o.inbox.accept && o.inbox.dir.empty()) {
    return fail(Errc::config_invalid, "inbox.accept: name a directory in inbox.dir");
  }
  if (!o.inbox.dir.empty() && o.inbox.dir == o.state_dir) {
    return fail(Errc::config_invalid, "inbox.dir: name another directory than state.dir");
  }
  if (!o.identity.empty() && !o.identity_key.empty()) {
    return fail(Errc::config_invalid, "identity: a file or its contents, not both");
  }
  for (const SocketAddress& address : o.preferred_address) {
    if (auto ok = check_dialed("preferred_address", address, true); !ok) return ok;
  }
  for (const PeerAddress& peer : o.bootstrap) {
    if (peer.name.empty()) {
      if (auto ok = check_dialed("bootstrap", peer.at, false); !ok) return ok;
    } else if (peer.at.port == 0) {
      return fail(Errc::config_invalid,
                  fmt::format("bootstrap: {}:0: a port must not be 0", peer.name));
    }
  }
  return {};
}

}  // namespace qudag
