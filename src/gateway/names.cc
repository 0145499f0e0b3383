#include "gateway/names.h"

#include <algorithm>
#include <charconv>

namespace qudag::gateway {
namespace {

constexpr std::string_view kUnder = ".qudag";
/// A service, an id, their dots and ".qudag."
constexpr std::size_t kNameMax = kServiceNameMax + 1 + NodeId::kTextSize + 7;

/// ASCII alone: names are bytes, in no language.
std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

}  // namespace

std::expected<NodeId, NameFault> parse_node(std::string_view text, const Contacts& contacts) {
  if (const auto known = contacts.find(text); known != contacts.end()) return known->second;
  if (const auto id = NodeId::parse(text)) return *id;
  return std::unexpected(config::is_service_name(text) ? NameFault::unknown : NameFault::malformed);
}

std::expected<Target, NameFault> parse_name(std::string_view name, std::uint16_t port,
                                            const Contacts& contacts) {
  if (name.ends_with('.')) name.remove_suffix(1);
  const std::string tail = lower(name.substr(name.size() - std::min(name.size(), kUnder.size())));
  if (tail == kUnder.substr(1)) return std::unexpected(NameFault::malformed);
  if (tail != kUnder) return std::unexpected(NameFault::outside);
  if (name.size() > kNameMax) return std::unexpected(NameFault::malformed);

  const std::string text = lower(name.substr(0, name.size() - kUnder.size()));
  const std::size_t dot = text.rfind('.');
  Target out;
  if (dot == std::string::npos) {
    if (port == 0) return std::unexpected(NameFault::malformed);
    out.service = std::to_string(port);
  } else {
    out.service = text.substr(0, dot);
  }
  if (!config::is_service_name(out.service)) return std::unexpected(NameFault::malformed);
  const auto node = parse_node(std::string_view(text).substr(dot + 1), contacts);  // npos + 1 is 0
  if (!node) return std::unexpected(node.error());
  out.node = *node;
  return out;
}

}  // namespace qudag::gateway
