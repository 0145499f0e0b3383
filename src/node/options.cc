// Bounds of Options, checked in one place for library and program alike.
#include <qudag/options.h>

#include "base/limits.h"
#include "base/reach.h"
#include "settings/numbers.h"

#include <fmt/format.h>

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
  if (o.publish.size() > limits::kDescriptorAddressesMax) {
    return fail(Errc::config_invalid,
                fmt::format("publish: at most {} addresses", limits::kDescriptorAddressesMax));
  }
  if (o.bootstrap.size() > kBootstrapMax) {
    return fail(Errc::config_invalid, fmt::format("bootstrap: at most {} entries", kBootstrapMax));
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
