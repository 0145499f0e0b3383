// What commands say to a node: whom they ask, and text in a query.
#pragma once

#include "commands.h"

#include "api/client/client.h"

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace qudag::app {

inline api::Client client_of(const SocketArgs& socket) {
  return api::Client(socket.path, socket.owner);
}

/// Everything that is not plain is written as %XX.
inline std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._:/[],=").contains(c);
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

/// A receiver's invitation, once its keepers have its card. The node opens the receiver, if it is
/// not open.
struct Invited {
  std::string id, text;
};
Result<Invited> invitation(const api::Client& client, const InviteArgs& args);

}  // namespace qudag::app
