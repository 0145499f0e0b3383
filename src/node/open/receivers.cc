// Receivers of a program: each lives on one shard, which its id chooses.
#include "base/secret.h"
#include "node/impl.h"
#include "node/key_file.h"

#include "base/lines/log_lines.h"

#include <algorithm>
#include <utility>

namespace qudag {

Result<NodeId> Node::Impl::open_receiver(ReceiverOptions options, CardHandler on_card) {
  auto identity = options.identity_key.empty() ? crypto::Identity::generate()
                                               : node::parse_identity(options.identity_key);
  wipe(options.identity_key);
  if (!identity) return std::unexpected(identity.error());
  const NodeId receiver = identity->id();
  if (receiver == id()) {
    return fail(Errc::invalid_argument, "a receiver's identity is never the node's");
  }
  if (options.keepers < 1 || options.keepers > kKeepersMax || options.at.size() > kKeepersMax) {
    return fail(Errc::invalid_argument, "a receiver is at 1 to 3 keepers");
  }
  if (std::ranges::find(options.at, id()) != options.at.end()) {
    return fail(Errc::invalid_argument, "this node is no keeper of its own receivers");
  }
  if (stopping_.load(std::memory_order_acquire)) return fail(Errc::shutting_down);
  const auto shard = static_cast<unsigned>(std::hash<NodeId>{}(receiver) % threads_.size());
  {
    const std::lock_guard lock(receivers_mutex_);
    if (receivers_.contains(receiver)) {
      return fail(Errc::already_exists, "the receiver is open");
    }
    if (receivers_.size() >= kReceiversMax) return fail(Errc::refused_queue_full, "receivers");
    receivers_.emplace(receiver, shard);
  }
  // A task can be copied, a handler only moved. Owners: the task, then the receiver.
  auto setup = std::make_shared<keeper::Resident::Setup>(keeper::Resident::Setup{
      .id = receiver,
      .hidden = options.hidden,
      .keepers = options.keepers,
      .at = std::move(options.at),
      .on_card = [this, handler = std::move(on_card)](const Card& card) mutable {
        if (handler) call_out("card", [&] { handler(card); });
      }});
  node::ShardThread& thread = threads_[shard];
  const bool told = thread.loop->post([this, setup, &thread](Now now) {
    const NodeId id = setup->id;
    const Status opened = thread.shard->open_receiver(std::move(*setup), now);
    if (opened) return;
    log_.warn(lines::kReceiver, opened.error().message());
    const std::lock_guard lock(receivers_mutex_);
    receivers_.erase(id);
  });
  if (told) return receiver;
  const std::lock_guard lock(receivers_mutex_);
  receivers_.erase(receiver);
  return fail(Errc::refused_queue_full, "a shard is too far behind");
}

void Node::Impl::close_receiver(const NodeId& receiver) {
  unsigned shard = 0;
  {
    const std::lock_guard lock(receivers_mutex_);
    const auto at = receivers_.find(receiver);
    if (at == receivers_.end()) return;
    shard = at->second;
    receivers_.erase(at);
  }
  node::ShardThread& thread = threads_[shard];
  static_cast<void>(thread.loop->post_or_keep(
      [receiver, &thread](Now now) { thread.shard->close_receiver(receiver, now); }));
}

}  // namespace qudag
