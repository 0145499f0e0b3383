// What a program asks for by name: a service of a node.
//
//   ssh.<node>.qudag         the service `ssh`, whatever the port
//   <node>.qudag, port 8080  the service `8080`
//
// <node> is the id of a node or receiver (52 base32 characters) or the name of a contact
// (contact_book.h). Service names and names of nodes are shorter than an id, so no text is two of
// these. Case does not count, nor one dot at the end. Pure: nobody is asked, and a name of another
// kind goes nowhere.
#pragma once

#include "config/gateway_options.h"

#include <qudag/address.h>

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace qudag::gateway {

using config::Contacts;

struct Target {
  NodeId node;
  std::string service;

  bool operator==(const Target&) const = default;
};

enum class NameFault : std::uint8_t {
  outside,    ///< not under .qudag: an address, or a name of the internet
  malformed,  ///< under it, and of no known form
  unknown,    ///< a name that is no contact's
};

std::expected<Target, NameFault> parse_name(std::string_view name, std::uint16_t port,
                                            const Contacts& contacts);

/// An id or one of those names.
std::expected<NodeId, NameFault> parse_node(std::string_view text, const Contacts& contacts);

}  // namespace qudag::gateway
