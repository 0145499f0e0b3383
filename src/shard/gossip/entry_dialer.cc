#include "shard/gossip/entry_dialer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace qudag::shard {

void EntryDialer::dial(const PeerAddress& entry, Now now) {
  if (entry.name.empty()) return dial_at(entry, {&entry.at, 1}, now);
  if (parts_.is_linked(entry.id) || asked_.contains(entry.name)) return;
  if (reached_.erase(entry.id) > 0 && parts_.dial_known(entry.id, now)) return;
  const bool asked = parts_.environment.resolve(entry.name, entry.at.port,
                                                [this, entry](runtime::Addresses found, Now then) {
                                                  on_looked_up(entry, std::move(found), then);
                                                });
  if (asked) asked_.insert(entry.name);
}

void EntryDialer::on_looked_up(const PeerAddress& entry, runtime::Addresses found, Now now) {
  asked_.erase(entry.name);
  parts_.environment.on_entry(entry.name, found ? "" : found.error().detail);
  if (!found || !parts_.may_dial()) return;
  const auto first = static_cast<std::ptrdiff_t>(dialed_[entry.name]++ % found->size());
  std::ranges::rotate(*found, found->begin() + first);
  dial_at(entry, *found, now);
}

void EntryDialer::dial_at(const PeerAddress& entry, std::span<const SocketAddress> at, Now now) {
  const auto link = parts_.dial_at(entry.id, at, now);
  if (link) dialing_[*link] = entry.id;
}

/// As people count.
std::string EntryDialer::number_of(const NodeId& id) const {
  const auto at = std::ranges::find(parts_.entries, id, &PeerAddress::id);
  return fmt::format("entry {}", at - parts_.entries.begin() + 1);
}

void EntryDialer::on_closed(LinkId link, const Error& why) {
  const auto dialed = dialing_.extract(link);
  if (!dialed || why.code != Errc::identity_mismatch || !others_.insert(dialed.mapped()).second) {
    return;
  }
  const std::string which = number_of(dialed.mapped());
  parts_.environment.on_entry(which, which + ": another node is at its address, with another id");
}

void EntryDialer::on_reached(const NodeId& id) {
  if (others_.erase(id) > 0) parts_.environment.on_entry(number_of(id), "");
  const auto is_named = [&id](const PeerAddress& entry) {
    return !entry.name.empty() && entry.id == id;
  };
  if (std::ranges::any_of(parts_.entries, is_named)) reached_.insert(id);
}

}  // namespace qudag::shard
