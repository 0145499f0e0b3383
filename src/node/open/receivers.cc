// Receivers of a program, and those that it calls. A receiver lives on one shard, which its id
// chooses; one with a name is read from the state directory here, and written there: here when it
// is new, so that nobody is invited to one that a crash would lose, and then by workers.
#include "base/secret.h"
#include "node/impl.h"
#include "node/key_file.h"

#include "base/lines/log_lines.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace qudag {
namespace {

constexpr std::size_t kNameMax = 24;

Status check(const ReceiverOptions& options, const NodeId& self) {
  if (options.keepers < 1 || options.keepers > kKeepersMax || options.at.size() > kKeepersMax) {
    return fail(Errc::invalid_argument, "a receiver is at 1 to 3 keepers");
  }
  if (std::ranges::find(options.at, self) != options.at.end()) {
    return fail(Errc::invalid_argument, "this node is no keeper of its own receivers");
  }
  const bool name =
      options.name.size() <= kNameMax && std::ranges::all_of(options.name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
      });
  if (!name) {
    return fail(Errc::invalid_argument, "the name of a receiver is 1 to 24 of a-z, 0-9 and '-'");
  }
  return {};
}

}  // namespace

/// As it is kept, or a new one; `identity_key` is wiped.
Result<keeper::KeptReceiver> Node::Impl::receiver_to_open(ReceiverOptions& options) {
  const bool given = !options.identity_key.empty();
  auto identity = given ? node::parse_identity(options.identity_key) : crypto::Identity::generate();
  wipe(options.identity_key);
  options.identity_key.clear();
  if (!identity) return std::unexpected(identity.error());
  if (state_ && !options.name.empty()) {
    auto kept = state_->load_receiver(options.name);
    if (!kept && kept.error() != Errc::not_found) return kept;
    if (kept) {
      const Secret<crypto::kIdentitySeedSize> seed = identity->seed();
      if (given && !equal_constant_time(seed.span(), kept->identity.span())) {
        return fail(Errc::invalid_argument,
                    "a receiver with another identity is kept under that name");
      }
      return kept;
    }
  }
  keeper::KeptReceiver out;
  out.identity = identity->seed();
  rng_.fill(out.master.span());
  out.hidden = options.hidden;
  out.keepers = options.keepers;
  if (state_ && !options.name.empty() && !state_->save_receiver(options.name, out.encode())) {
    return fail(Errc::io_error, "the receiver could not be written to the state directory");
  }
  return out;
}

Result<NodeId> Node::Impl::open_receiver(ReceiverOptions options, CardHandler on_card) {
  if (const Status fits = check(options, id()); !fits) return std::unexpected(fits.error());
  if (stopping_.load(std::memory_order_acquire)) return fail(Errc::shutting_down);
  const bool named = !options.name.empty();
  {
    const std::lock_guard lock(receivers_mutex_);
    if (receivers_.size() >= kReceiversMax) return fail(Errc::refused_queue_full, "receivers");
    const bool open = std::ranges::any_of(
        receivers_, [&](const auto& one) { return named && one.second.name == options.name; });
    if (open) return fail(Errc::already_exists, "a receiver of that name is open");
  }
  auto kept = receiver_to_open(options);
  if (!kept) return std::unexpected(kept.error());
  auto identity = crypto::Identity::from_seed(
      std::span<const std::byte, crypto::kIdentitySeedSize>(kept->identity.span()));
  if (!identity) return std::unexpected(identity.error());
  const NodeId receiver = identity->id();
  if (receiver == id()) {
    return fail(Errc::invalid_argument, "a receiver's identity is never the node's");
  }
  const auto shard = static_cast<unsigned>(std::hash<NodeId>{}(receiver) % threads_.size());
  {
    const std::lock_guard lock(receivers_mutex_);
    if (receivers_.contains(receiver)) {
      return fail(Errc::already_exists, "the receiver is open");
    }
    if (receivers_.size() >= kReceiversMax) return fail(Errc::refused_queue_full, "receivers");
    receivers_.emplace(receiver, OpenReceiver{shard, options.name});
    open_taken_letters();
  }
  node::ShardThread& thread = threads_[shard];
  // A task can be copied, a handler only moved. Owners: the task, then the receiver.
  auto setup = std::make_shared<keeper::Resident::Setup>(keeper::Resident::Setup{
      .id = receiver,
      .name = options.name,
      .hidden = options.hidden,
      .keepers = options.keepers,
      .at = std::move(options.at),
      .on_card =
          [this, handler = std::move(on_card)](const Card& card) mutable {
            if (handler) call_out("card", [&] { handler(card); });
          },
      .identity = std::make_shared<const crypto::Identity>(std::move(*identity)),
      .kept = std::move(*kept)});
  if (state_ && named) {
    setup->save = [this, name = options.name, &thread](std::vector<std::byte> body,
                                                       std::function<void(bool, Now)> done) {
      struct Saving {
        std::vector<std::byte> body;
        bool done = false;
      };
      auto owned = std::make_shared<Saving>(Saving{.body = std::move(body)});
      return workers_->submit(
          [this, name, owned] {
            owned->done = state_->save_receiver(name, std::move(owned->body));
          },
          *thread.loop,
          [owned, done = std::move(done)](WorkEnd, Now then) { done(owned->done, then); });
    };
  }
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
    shard = at->second.shard;
    receivers_.erase(at);
  }
  node::ShardThread& thread = threads_[shard];
  static_cast<void>(thread.loop->post_or_keep(
      [receiver, &thread](Now now) { thread.shard->close_receiver(receiver, now); }));
}

std::vector<ReceiverOptions> Node::Impl::kept_receivers() {
  std::vector<ReceiverOptions> out;
  if (!state_) return out;
  for (std::string& name : state_->receivers()) {
    {
      const std::lock_guard lock(receivers_mutex_);
      const bool open =
          std::ranges::any_of(receivers_, [&](const auto& one) { return one.second.name == name; });
      if (open) continue;
    }
    const auto kept = state_->load_receiver(name);
    if (!kept) {
      log_.warn(lines::kReceiver, kept.error().message());
      continue;
    }
    out.push_back({.name = std::move(name), .hidden = kept->hidden, .keepers = kept->keepers});
  }
  return out;
}

std::future<std::vector<ReceiverStatus>> Node::Impl::receivers() {
  using All = std::vector<ReceiverStatus>;
  return gather<All, All>([](node::ShardThread& thread) { return thread.shard->receivers(); },
                          [](std::vector<All>&& parts) {
                            All out;
                            for (All& part : parts) {
                              std::ranges::move(part, std::back_inserter(out));
                            }
                            std::ranges::sort(out, {}, [](const ReceiverStatus& one) {
                              return std::pair(one.name, one.id);
                            });
                            return out;
                          });
}

Status Node::Impl::add_invitation(const Invitation& invitation) {
  return cards_->invite(invitation, runtime::system_now().unix_seconds);
}

void Node::Impl::set_card_handler(CardHandler handler) {
  if (!handler) return cards_->set_handler({});
  cards_->set_handler([this, handler = std::move(handler)](const Card& card) mutable {
    call_out("card", [&] { handler(card); });
  });
}

}  // namespace qudag
