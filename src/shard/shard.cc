#include "shard/shard.h"

#include "shard/buffer.h"
#include "shard/cipher.h"
#include "shard/published_addresses.h"
#include "shard/reply_address.h"

#include <algorithm>
#include <utility>

namespace qudag::shard {

namespace {

using namespace std::chrono_literals;

// What a turn reads before timers and writes: about a millisecond's work, so that what is urgent
// and came meanwhile does not wait for a flood.
constexpr int kBatchesPerTurn = 64;
constexpr std::size_t kReadBytesPerTurn = 1024 * 1024;
constexpr std::size_t kReadDatagramsPerTurn = 4'096;  // of garbage, which is small
constexpr Duration kClosingTime = 500ms;
// A circuit through a node that stops has been left when it carried nothing for so long.
constexpr Duration kLeftAfter = 500ms;
constexpr Duration kLookAgain = 50ms;
/// Until the withdrawn descriptor has left over all links, those of other shards too; and until
/// there is a link at all.
constexpr Duration kTellTime = 50ms;
constexpr Duration kTellMost = 2s;

message::Taken to_taken(Accept accept) {
  switch (accept) {
    case Accept::taken:
      return message::Taken::yes;
    case Accept::no_receiver:
      return message::Taken::no_receiver;
    case Accept::queue_full:
      return message::Taken::queue_full;
    case Accept::later:
      return message::Taken::later;
  }
  return message::Taken::no_receiver;
}

}  // namespace

namespace {

/// A shard alone has bounds of its own.
ShardSetup with_pipes(ShardSetup setup) {
  if (!setup.pipes) {
    const Limits& limits = setup.options->limits;
    setup.pipes = std::make_shared<PipesOfShards>(limits.pipes, limits.pipe_bytes, setup.shards);
  }
  return setup;
}

}  // namespace

Delivery refusal(const Error& error, const MessageId& id) {
  const bool limit = error.code >= Errc::refused_memory && error.code < Errc::unknown_destination;
  return {.outcome = limit ? Outcome::refused : Outcome::failed, .reason = error, .id = id};
}

Shard::Shard(const ShardSetup& setup)
    : setup_(with_pipes(setup)),
      cards_(setup.cards ? setup.cards : std::make_shared<keeper::Cards>()),
      pool_(pool_options(setup)),
      transport_(setup.identity->id(), *this, build_limiter_options(setup), dial_rules(setup)),
      routes_(setup.identity->id(), cipher_of(setup),
              {.distinct_networks = setup.options->distinct_networks,
               .guards = setup.options->guards,
               .by_load = setup.by_load,
               .by_proof = setup.by_proof,
               .second_guards = setup.options->relay ? 0 : setup.options->second_guards},
              setup.guards, *setup.rng, cards_),
      load_reports_(setup.options->relay, routes_.loads()),
      warm_(warm_rules(setup),
            {.self = setup.identity->id(),
             .relay = setup.options->relay,
             .rng = *setup.rng,
             .guards = [this] { return routes_.guards(); },
             .dial = [this](const NodeId& peer, Now now) { return transport_.dial(peer, now); }}),
      circuits_(circuit_options(setup, stock_), pool_, *setup.rng, transport_),
      registry_(setup.registry ? setup.registry
                               : std::make_shared<keeper::Registry>(
                                     setup.identity->id(), keeper::KeeperBounds{}, *setup.rng)),
      service_(make_service()),
      ends_(circuits_, service_.get()),
      ports_(ends_, cards_, cipher_of(setup)),
      pipes_(std::make_unique<ShardPipes>(setup_, pool_)),
      pending_(message_options(setup).sends_max()) {}

Shard::~Shard() = default;

Result<std::unique_ptr<Shard>> Shard::create(const ShardSetup& setup) {
  std::unique_ptr<Shard> shard(new Shard(setup));
  auto endpoint = link::Endpoint::create(endpoint_options(setup), *setup.identity, shard->pool_,
                                         *setup.rng, shard->transport_, shard.get());
  if (!endpoint) return std::unexpected(endpoint.error());
  shard->endpoint_ = std::move(*endpoint);
  shard->transport_.attach(*shard->endpoint_, shard->circuits_);
  shard->transport_.set_local(setup.socket->local());
  shard->routes_.set_families(own_families(*setup.socket));
  message::MessagesOptions messages = message_options(shard->setup_);
  messages.pipe_listener = shard->pipes_.get();
  shard->messages_ = std::make_unique<message::Messages>(
      std::move(messages), static_cast<message::Port&>(shard->ports_), shard->routes_, shard->pool_,
      setup.bound->messages(), *setup.rng, setup.identity,
      static_cast<message::MessageEvents&>(*shard));
  shard->pipes_->attach(*shard->messages_);
  shard->circuits_.set_events(*shard->messages_);
  shard->circuits_.set_events(shard->ends_, circuit::EndKind::keeper);
  shard->ports_.attach(*shard->messages_);
  shard->protection_ = std::make_unique<Protection>(
      ProtectionSetup{.shard = setup.index,
                      .shards = setup.shards,
                      .building_max = circuit_options(setup, shard->stock_).building_max,
                      .limits = setup.options->limits,
                      .bound = *setup.bound,
                      .pool = shard->pool_,
                      .endpoint = *shard->endpoint_,
                      .circuits = shard->circuits_,
                      .messages = *shard->messages_,
                      .environment = *setup.environment,
                      .quota = setup.quota.get()});
  return shard;
}

// ---- The turn -----------------------------------------------------------------------------------

bool Shard::on_readable(Now now) {
  std::size_t bytes = 0;
  std::size_t datagrams = 0;
  for (int i = 0; i < kBatchesPerTurn; ++i) {
    const auto batch = setup_.socket->receive();
    if (batch.empty()) {
      protection_->note_read(false, now);
      return false;
    }
    // A packet that came after the turn began would have a round trip that is too short, and the
    // shortest one counts for as long as the link lives.
    now.mono = std::max(now.mono, setup_.socket->read_at().value_or(now.mono));
    endpoint_->receive(batch, setup_.socket->local(), now);
    for (const runtime::Received& one : batch) {
      bytes += one.data.size();
      datagrams += one.segment == 0 ? 1 : (one.data.size() + one.segment - 1) / one.segment;
    }
    if (setup_.socket->emptied()) {
      protection_->note_read(false, now);
      return false;
    }
    if (bytes >= kReadBytesPerTurn || datagrams >= kReadDatagramsPerTurn) break;
  }
  ++turns_reading_used_up_;
  protection_->note_read(true, now);
  return true;
}

void Shard::hand_over(std::uint8_t shard, const runtime::Received& datagram) {
  // Rare: the kernel steers by connection id; only a socket without that program gets here.
  Sibling* owner = setup_.hub->shard(shard);
  auto copy = std::make_shared<std::vector<std::byte>>(datagram.data.begin(), datagram.data.end());
  const auto receive = [owner, copy, meta = datagram](Now now) mutable {
    meta.data = *copy;
    owner->take_datagram(meta, now);
  };
  static_cast<void>(setup_.environment->executor(shard).post(receive));  // else lost, as on the way
}

void Shard::take_datagram(runtime::Received datagram, Now now) {
  endpoint_->receive({&datagram, 1}, setup_.socket->local(), now);
}

void Shard::on_writable(Now) { wants_writable_ = false; }

void Shard::on_time(Now now) {
  endpoint_->on_time(now);
  circuits_.on_time(now);
  messages_->on_time(now);
  keepers_on_time(now);
  protection_->on_time(now);
  load_reports_.tell(protection_->load(), *endpoint_, now);
  if (phase_ == Phase::running) warm_.on_time(*endpoint_, may_open_ahead(), now);
  if (now.mono >= maintain_at_) maintain(now);
  if (now.mono >= show_at_) {
    show_at_ = kNever;
    endpoint_->probe_peers(*setup_.socket, now);
    routes_.set_families(own_families(*setup_.socket));
    if (bootstrap_) look_where_we_are(now);
  }
  if (setup_.index == 0) {
    setup_.hub->on_time(now);
    if (bootstrap_ && phase_ == Phase::running) {
      const netmap::ViewPtr view = view_;  // another one may come while it dials
      bootstrap_->on_time(now, *view, may_open_ahead());
    }
    if (may_try_relays()) try_relays(now);
  }
  look_at_clocks(now);
}

void Shard::flush(Now now) {
  if (!hub_owed_.empty()) pay_hub();
  if (setup_.index == 0) setup_.hub->heard(transport_.heard_at());
  messages_->pipes_are_tight(protection_->tight());
  messages_->pump(now);
  closed_residents_.clear();
  if (may_open_ahead()) fill_stock();
  protection_->note_turn(now);
  advance_stop(now);
  tell_ended();
  tell_flow_queues(now);
  if (!wants_writable_) wants_writable_ = !endpoint_->flush(*setup_.socket, now);
  protection_->note_written(wants_writable_, now);
}

TimePoint Shard::next_deadline() const {
  TimePoint due =
      std::min({endpoint_->next_deadline(), circuits_.next_deadline(), messages_->next_deadline(),
                phase_end_, told_end_, maintain_at_, show_at_, protection_->next_deadline()});
  due = std::min(due, ports_.next_deadline());
  if (setup_.queues != nullptr) due = std::min(due, setup_.queues->next_look());
  if (service_) due = std::min(due, service_->next_deadline());
  if (phase_ == Phase::running) {
    due = std::min(due, warm_.next_deadline());
    for (const auto& [id, resident] : residents_) due = std::min(due, resident->next_deadline());
  }
  if (setup_.index == 0) {
    due = std::min({due, setup_.hub->next_deadline(), renew_at_});
    if (bootstrap_ && phase_ == Phase::running) due = std::min(due, bootstrap_->next_deadline());
    if (may_try_relays()) due = std::min(due, setup_.hub->next_try_at());
  }
  return due;
}

// ---- Sending and receiving ----------------------------------------------------------------------

void Shard::send(SendRequest&& request, Now now) {
  const Priority priority = request.options.priority;
  const std::size_t bytes = request.payload.bytes();
  protection_->note_work(now);
  enqueueing_ = true;
  auto id = phase_ == Phase::running ? enqueue(request, now)
                                     : Result<message::SendId>(fail(Errc::shutting_down));
  enqueueing_ = false;
  if (!id) {
    count_ended(priority, bytes);
    if (request.queue != message::FlowQueues::kNone) {
      setup_.queues->gone(request.queue, message::FlowQueues::counted(bytes));
    }
    const Delivery refused = refusal(id.error(), request.id.value_or(MessageId{}));
    if (request.done) call_out("completion", [&] { request.done(refused); });
    return;
  }
  pending_.put(*id, {.done = std::move(request.done),
                     .progress = std::move(request.progress),
                     .id = request.id.value_or(MessageId{}),
                     .priority = priority,
                     .bytes = static_cast<std::uint32_t>(bytes)});
  if (early_.empty()) return;
  // Outcomes that came before we knew the id.
  for (auto& [early_id, delivery] : std::exchange(early_, {})) on_outcome(early_id, delivery, now);
}

Result<message::SendId> Shard::enqueue(SendRequest& request, Now now) {
  if (request.reply_to) {
    const auto to = ReplyAddress::unpack(*request.reply_to);
    if (!to) return fail(Errc::invalid_argument, "no such reply address");
    return messages_->reply({{to->circuit}, to->ref}, std::move(request.payload),
                            std::move(request.reservation), request.options.ttl, now, request.id);
  }
  if (auto ok = protection_->admit(request.options.priority); !ok)
    return std::unexpected(ok.error());
  return messages_->send(request.destination, std::move(request.payload),
                         std::move(request.reservation), request.options, now, request.id);
}

message::Taken Shard::on_message(message::Received&& received, Now) {
  Message message;
  message.id = {received.id};
  message.priority = received.priority;
  message.channel = received.channel;
  message.sender = received.sender;
  message.receiver = received.receiver;
  if (received.in_reply_to) message.in_reply_to = MessageId{*received.in_reply_to};
  // What was kept at a keeper has nobody at the other end.
  message.kept = received.reply_to && ports_.is_letter(received.reply_to->circuit);
  if (received.reply_to && !message.kept) {
    message.reply_to = ReplyAddress{.circuit = received.reply_to->circuit.value,
                                    .ref = received.reply_to->ref,
                                    .shard = setup_.index}
                           .pack();
  }
  message.expires = received.expires.time_since_epoch();
  message.receipt =
      ReplyAddress{
          .circuit = received.handed.circuit, .ref = received.handed.ref, .shard = setup_.index}
          .receipt();
  auto payload = Buffer::Impl::make(pool_, received.payload, received.reservation, setup_.bound,
                                    onion::block_use(received.priority));
  if (!payload) return message::Taken::memory;
  message.payload = Buffer::Impl::wrap(std::move(payload));
  return to_taken(setup_.environment->on_message(std::move(message), received.key));
}

void Shard::settle(const message::Handed& handed, Accept answer, Now now) {
  static_cast<void>(messages_->settle(handed, to_taken(answer), now));
}

void Shard::on_outcome(message::SendId id, const Delivery& delivery, Now now) {
  std::optional<Pending> taken = pending_.take(id);
  if (!taken) {
    QUDAG_ASSERT(enqueueing_);
    early_.emplace_back(id, delivery);
    return;
  }
  Pending& pending = *taken;
  if (delivery.outcome == Outcome::delivered) {
    delivery_us_[static_cast<std::size_t>(pending.priority)].record(
        static_cast<std::uint64_t>(delivery.elapsed / 1us), now.mono);
  }
  count_ended(pending.priority, pending.bytes);
  if (pending.done) call_out("completion", [&] { pending.done(delivery); });
}

/// Into the application, which must not end us by an exception.
template <class F>
void Shard::call_out(std::string_view callback, F&& f) {
  try {
    f();
  } catch (...) {
    setup_.environment->on_threw(callback);
  }
}

void Shard::open_pipe(const std::shared_ptr<Pipe::Impl>& pipe, const PipeOpening& opening,
                      Now now) {
  protection_->note_work(now);
  Status admitted = phase_ == Phase::running ? protection_->admit(opening.options.priority)
                                             : Status(fail(Errc::shutting_down));
  pipes_->open(pipe, opening, admitted, now);
}

std::vector<PipeStatus> Shard::pipes(Now now) const {
  return std::as_const(*messages_).pipes().list(now);
}

void Shard::cancel(const MessageId& id, Now now) { messages_->cancel(id, now); }

void Shard::count_ended(Priority priority, std::size_t bytes) {
  Ended& ended = ended_[static_cast<std::size_t>(priority)];
  ++ended.messages;
  ended.bytes += chain_bytes(bytes);
}

void Shard::tell_ended() {
  if (std::ranges::all_of(ended_, [](const Ended& one) { return one.messages == 0; })) return;
  setup_.environment->on_ended(setup_.index, std::exchange(ended_, {}));
}

void Shard::tell_flow_queues(Now now) {
  if (setup_.queues == nullptr) return;
  const auto goes_on = setup_.queues->turn(now.mono);
  for (std::size_t i = 0; i < kPriorityCount; ++i) {
    if (goes_on[i]) setup_.environment->on_flow_room(setup_.index, static_cast<Priority>(i));
  }
}

void Shard::on_progress(message::SendId id, std::size_t done, std::size_t all, Now) {
  Pending* pending = pending_.find(id);
  if (pending == nullptr || !pending->progress) return;
  call_out("progress",
           [&] { pending->progress({.id = pending->id, .bytes_done = done, .bytes_all = all}); });
}

// ---- Links and gossip ---------------------------------------------------------------------------

void Shard::post_to_hub(std::function<void(GossipHub&, Now)> task, Now now) {
  GossipHub& hub = *setup_.hub;
  if (setup_.index == 0) return task(hub, now);
  // A full mailbox drops this; the next digest repeats what it said.
  static_cast<void>(setup_.environment->executor(0).post(
      [&hub, task = std::move(task)](Now then) { task(hub, then); }));
}

namespace {

netmap::LinkFacts facts_of(const link::LinkInfo& info) {
  return {.reach = reach_of(info.remote),
          .dialed = info.dialer ? info.peer : std::nullopt,
          .peer = info.peer,
          .remote = info.remote};
}

}  // namespace

void Shard::link_ready(link::LinkId link, Now now) {
  const auto info = endpoint_->info(link);
  const netmap::LinkFacts facts = info ? facts_of(*info) : netmap::LinkFacts{};
  if (facts.dialed) {
    routes_.linked(*facts.dialed, facts.remote, info->smoothed_rtt);
    if (entries_) entries_->on_reached(*facts.dialed);
  }
  if (info) setup_.environment->on_link(info->remote, info->dialer);
  if (info && !info->dialer) tell_time(link, now);
  tell_hub({.link = link, .facts = facts}, now);
  if (info && !info->dialer && !info->peer) nameless_.insert(link);
  if (ready_links_.insert(link).second) tell_means(now);
  if (tries_.erase(link) > 0) endpoint_->give_up_spare(link, now);
}

void Shard::link_closed(link::LinkId link, const Error& why, Now now) {
  const bool silent = why.code == Errc::unreachable;
  if (entries_) entries_->on_closed(link, why);
  load_reports_.link_closed(link);
  tries_.erase(link);
  nameless_.erase(link);
  note_rest(ready_links_.erase(link) > 0, why, now);
  const bool untold = std::ranges::any_of(
      hub_owed_, [link](const LinkEvent& one) { return one.link == link && one.facts; });
  std::erase_if(hub_owed_, [link](const LinkEvent& one) { return one.link == link; });
  if (untold) return;  // the hub never heard of it
  tell_hub({.link = link, .silent = silent}, now);
}

/// A quiet network has no links: those that gossip opens in each of its rounds end unused before
/// the next one. Peers that answered in the last two are as good as there, unless one is silent
/// now.
void Shard::note_rest(bool was_ready, const Error& why, Now now) {
  if (!ready_links_.empty()) {
    if (was_ready) tell_means(now);
    return;
  }
  constexpr int kRounds = 2;
  const bool rested = now.mono < rests_until_;
  if (was_ready && why.code == Errc::timed_out) {
    rests_until_ = now.mono + kRounds * Duration(setup_.options->gossip_interval) * 5 / 4;
  } else if (was_ready || why.code == Errc::unreachable) {
    rests_until_ = {};
  }
  if (was_ready || rested != (now.mono < rests_until_)) tell_means(now);
}

void Shard::unanswered(const NodeId& peer, Now now) {
  post_to_hub([peer](GossipHub& hub, Now then) { hub.lost(peer, then); }, now);
}

/// Comes and goes of links reach the hub in order and for certain: it would serve a link that it
/// never heard of nothing, and one whose end it missed for ever. What finds shard 0's mailbox full
/// is owed until there is room: at most two events for each link that is there, and one for each of
/// those that the hub knows.
void Shard::tell_hub(const LinkEvent& event, Now now) {
  if (setup_.index == 0) return event.tell(*setup_.hub, 0, now);
  hub_owed_.push_back(event);
  pay_hub();
}

void Shard::pay_hub() {
  std::size_t told = 0;
  for (; told < hub_owed_.size(); ++told) {
    const auto tell = [hub = setup_.hub, index = setup_.index, event = hub_owed_[told]](Now now) {
      event.tell(*hub, index, now);
    };
    if (!setup_.environment->executor(0).post(tell)) break;
  }
  hub_owed_.erase(hub_owed_.begin(), hub_owed_.begin() + static_cast<std::ptrdiff_t>(told));
}

void Shard::gossip_frame(link::LinkId link, std::uint8_t type, Bytes body, Now now) {
  if (nameless_.erase(link) > 0) {  // its HELLO came before this
    const auto info = endpoint_->info(link);
    if (info && info->peer) tell_hub({.link = link, .peer = info->peer}, now);
  }
  if (setup_.index == 0) return setup_.hub->frame({0, link}, type, body, now);
  post_to_hub(
      [index = setup_.index, link, type, copy = std::vector<std::byte>(body.begin(), body.end())](
          GossipHub& hub, Now then) {
        hub.frame({index, link}, type, copy, then);
      },
      now);
}

void Shard::load_frame(link::LinkId link, Bytes body, Now now) {
  if (!load_reports_.heard(*endpoint_, link, body, now)) {
    endpoint_->close(link, wire::EndCode::protocol, now);
  }
}

bool Shard::send_gossip(LinkId link, std::uint8_t type, Bytes body) {
  return endpoint_->send_control(link, type, body);
}

void Shard::close_link(LinkId link, wire::EndCode code, Now now) {
  endpoint_->close(link, code, now);
}

/// Gossip may hold a descriptor that an earlier run of this identity made a moment ago, or with a
/// clock ahead of ours: its keys are gone, so ours must supersede it. Or that run withdrew.
bool Shard::others_hold_an_earlier_one(Now now) const {
  const NodeId& self = setup_.identity->id();
  if (setup_.options->known && view_->find_withdrawn(self) != nullptr) return true;
  const netmap::Entry* const held = view_->find(self);
  const Bytes key = held == nullptr ? Bytes{} : held->newest_key(now.unix_seconds);
  return !key.empty() && !std::ranges::equal(key, keys_.front().key.pair->public_bytes());
}

void Shard::set_view(netmap::ViewPtr view, Now now) {
  view_ = view;
  const bool announces = setup_.index == 0 && phase_ == Phase::running && !keys_.empty();
  if (announces && others_hold_an_earlier_one(now)) renew_at_ = now.mono;
  transport_.set_view(view);
  warm_.set_view(view);
  routes_.set_view(std::move(view));
  tell_means(now);
}

void Shard::tell_means(Now now) {
  const std::size_t relays =
      netmap::relays_together(*view_, setup_.identity->id(), setup_.options->distinct_networks,
                              limits::kRelaysMax + 1, now);
  setup_.environment->on_means(setup_.index,
                               {.links = ready_links_.size(),
                                .rests = ready_links_.empty() && now.mono < rests_until_,
                                .relays = relays},
                               view_);
}

void Shard::set_onion_keys(std::vector<onion::OnionKey> keys, std::uint64_t made_as) {
  if (made_as <= keys_made_as_) return;
  keys_made_as_ = made_as;
  circuits_.set_onion_keys(std::move(keys));
}

// ---- Stopping -----------------------------------------------------------------------------------

void Shard::stop(Duration grace, Now now) {
  if (phase_ != Phase::running) return;
  phase_ = Phase::draining;
  phase_end_ = now.mono + grace / 2;
  grace_end_ = now.mono + grace;
  if (!setup_.options->known) return;
  if (bootstrap_) {
    withdraw(std::min<Duration>(grace / 2, kTellMost), now);
  } else if (!endpoint_->links().empty()) {  // shard 0 has something to tell over them
    told_end_ = now.mono + std::min<Duration>(grace / 2, kTellTime);
  }
}

/// So that nobody looks for this node until its descriptor would have ended. A quiet network has no
/// links over which gossip would go on at once: so a relay tells a few others itself, and who is no
/// relay those whom it dials anyway.
void Shard::withdraw(Duration most, Now now) {
  const auto raw = withdrawal(
      *setup_.identity, static_cast<std::uint64_t>(setup_.options->descriptor_lifetime.count()),
      now, published_before());
  // Refused if the clock was set just now: then peers see that the node is gone.
  if (!raw || view_->entries().size() <= 1 || !setup_.hub->add(*raw, now)) return;
  const netmap::ViewPtr view = view_;  // another one may come while it dials
  bootstrap_->last_round(now, *view, may_open_ahead());
  setup_.hub->on_time(now);
  telling_ = true;
  told_end_ = now.mono + most;
}

bool Shard::still_tells(Now now) {
  if (told_end_ == kNever) return false;
  if (now.mono >= told_end_) {
    told_end_ = kNever;
    return false;
  }
  const auto dials = [this] {
    return std::ranges::any_of(endpoint_->links(), [](const link::LinkInfo& info) {
      return info.dialer && info.state <= link::LinkState::handshaking;
    });
  };
  if (telling_ && !ready_links_.empty() && setup_.hub->stats().owed == 0 && !dials()) {
    telling_ = false;  // it is in the links' hands
    told_end_ = std::min(told_end_, now.mono + kTellTime);
  }
  return true;
}

void Shard::advance_stop(Now now) {
  const auto under_way = [this] {
    const auto stats = messages_->stats();
    return stats.waiting + stats.in_flight > 0;
  };
  if (phase_ == Phase::draining) {
    if (still_tells(now)) return;
    if (under_way() && now.mono < phase_end_) return;
    phase_ = Phase::leaving;
    const bool said = messages_->with_pipes(now, [&](message::Pipes& pipes) {
      pipes.stop(now);
      return pipes.size() > 0;
    });
    messages_->pump(now);
    // What was said leaves before its circuits end.
    phase_end_ = said ? std::min(now.mono + kLookAgain, grace_end_) : now.mono;
    if (service_) service_->stop(now);
    endpoint_->shutdown(now);
  }
  if (phase_ == Phase::leaving) {
    if (now.mono < phase_end_) return;
    const bool busy = under_way() || circuits_.relays_busily(kLeftAfter, now);
    if (busy && now.mono < grace_end_) {
      phase_end_ = std::min(now.mono + kLookAgain, grace_end_);
      return;
    }
    phase_ = Phase::closing;
    phase_end_ = now.mono + kClosingTime;
    messages_->shutdown(now);
    for (auto& [id, resident] : residents_) resident->close(now);
    residents_.clear();
    circuits_.shutdown(now);
    endpoint_->shutdown(now);
  }
  if (phase_ == Phase::closing && (endpoint_->links().empty() || now.mono >= phase_end_)) {
    phase_ = Phase::stopped;
    phase_end_ = kNever;
    setup_.environment->on_stopped(setup_.index);
  }
}

}  // namespace qudag::shard
