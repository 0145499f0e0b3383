#include "shard/gossip/entry_dialer.h"

#include <algorithm>
#include <utility>

namespace qudag::shard {

void EntryDialer::dial(const PeerAddress& entry, Now now) {
  if (entry.name.empty()) return parts_.dial_at(entry.id, {&entry.at, 1}, now);
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
  parts_.environment.on_looked_up(entry.name, found ? "" : found.error().detail);
  if (!found || !parts_.may_dial()) return;
  const auto first = static_cast<std::ptrdiff_t>(dialed_[entry.name]++ % found->size());
  std::ranges::rotate(*found, found->begin() + first);
  parts_.dial_at(entry.id, *found, now);
}

void EntryDialer::on_reached(const NodeId& id) {
  const auto is_named = [&id](const PeerAddress& entry) {
    return !entry.name.empty() && entry.id == id;
  };
  if (std::ranges::any_of(parts_.entries, is_named)) reached_.insert(id);
}

}  // namespace qudag::shard
