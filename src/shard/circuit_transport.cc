#include "shard/circuit_transport.h"

#include "wire/control.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <tuple>
#include <utility>

namespace qudag::shard {

namespace {

/// The link is not ready yet.
bool waits(const Result<StreamId>& stream) {
  return !stream && stream.error() == Errc::link_closed;
}

bool is_gossip(std::uint8_t type) { return type >= 0x10 && type <= 0x1f; }

}  // namespace

// ---- circuit::Sink ------------------------------------------------------------------------------

void CircuitTransport::extend(std::uint64_t ticket, const NodeId& next, Priority priority,
                              Now now) {
  if (next == self_) {  // a route that comes back to us would be a loop through our own socket
    return circuits_->on_extended(ticket, fail(Errc::unreachable), now);
  }
  const bool known = endpoint_->find(next).has_value();
  const auto link = link_for(ticket, next, now);
  if (!link) {
    if (link.error() != Errc::unknown_destination) note(next, LinkRequest::refused, now);
    return circuits_->on_extended(ticket, std::unexpected(link.error()), now);
  }
  auto stream = open_on(*link, priority);
  const LinkRequest else_how = known ? LinkRequest::dialing : LinkRequest::dialed;
  note(next, waits(stream) ? else_how : LinkRequest::ready, now);
  answer(*link, {.ticket = ticket, .next = next, .priority = priority}, std::move(stream), now);
}

void CircuitTransport::note(const NodeId& peer, LinkRequest how, Now now) {
  ++requests_[static_cast<std::size_t>(how)];
  listener_.link_asked(peer, how, now);
}

/// For a circuit of ours as we like; for one of others if there is a link, or a place for a dial.
Result<link::LinkId> CircuitTransport::link_for(std::uint64_t ticket, const NodeId& next, Now now) {
  const auto circuit = circuits_->info({ticket});
  const bool ours = !circuit || circuit->role == circuit::CircuitRole::source;
  if (!ours && !endpoint_->find(next)) return dial_for(circuit->previous.link, next, now);
  const auto link = dial(next, now);
  if (!link) return link;
  if (!ours) {
    dials_.joined(*link, circuit->previous.link);
  } else {
    dials_.forget_link(*link);
    if (dials_.leave(*link)) endpoint_->adopt(*link);
  }
  return link;
}

Result<link::LinkId> CircuitTransport::dial_for(LinkId asker, const NodeId& next, Now now) {
  const netmap::Entry* entry = view_->find(next);
  if (entry == nullptr) return fail(Errc::unknown_destination);
  std::vector<SocketAddress> addresses;
  std::ranges::copy_if(entry->descriptor.addresses, std::back_inserter(addresses),
                       [&](const SocketAddress& at) { return entry->dialable(at); });
  if (addresses.empty()) return fail(Errc::unreachable);
  const auto verdict = dials_.ask(asker, next, addresses.size(), now.mono);
  if (verdict.answer == link::DialPlaces::Answer::dead) return fail(Errc::unreachable);
  if (verdict.answer == link::DialPlaces::Answer::too_many) return fail(Errc::refused_rate);
  if (verdict.end) give_up(*verdict.end, now);
  if (endpoint_->crowded() && !make_link_room(asker, now)) return fail(Errc::refused_links);
  const auto link =
      endpoint_->dial(next, addresses[verdict.address], local_, now, link::DialFor::others);
  if (link) dials_.began(*link, asker, next);
  return link;
}

/// Most places of links are taken. The rest are for who dials us; of those that were dialed for
/// others, the one that carries least of whom most were dialed for makes room.
bool CircuitTransport::make_link_room(LinkId asker, Now now) {
  std::optional<link::LinkId> least;
  std::size_t carries = SIZE_MAX;
  for (const LinkId one : dials_.links_of_most(asker)) {
    const auto info = endpoint_->info(one);
    if (info && info->streams < carries)
      std::tie(least, carries) = std::pair(info->id, info->streams);
  }
  if (!least) return false;
  dials_.forget_link(*least);
  endpoint_->close(*least, wire::EndCode::refused, now);
  return true;
}

/// Another dial takes its place: that is this node's limit, and says nothing of who was dialed.
void CircuitTransport::give_up(LinkId dial, Now now) {
  dials_.leave(dial);
  endpoint_->close(dial, wire::EndCode::none, now);
  for (const Waiting& waiting : take_waiting(dial)) {
    circuits_->on_extended(waiting.ticket, fail(Errc::refused_links), now);
  }
}

/// At its first address, or the next one while that has not answered lately. Addresses that reach
/// less far than the path by which they came are a stranger's way to make us send somewhere.
Result<link::LinkId> CircuitTransport::dial(const NodeId& peer, Now now) {
  const netmap::Entry* entry = view_->find(peer);
  if (entry == nullptr) return fail(Errc::unknown_destination);
  Result<link::LinkId> link = fail(Errc::unreachable);
  for (const SocketAddress& at : entry->descriptor.addresses) {
    if (!entry->dialable(at) && !endpoint_->find(peer)) continue;
    link = endpoint_->dial(peer, at, local_, now);
    if (link || link.error() != Errc::unreachable) break;
  }
  return link;
}

void CircuitTransport::answer(link::LinkId link, const Waiting& waiting, Result<StreamId> stream,
                              Now now) {
  if (waits(stream)) {
    waiting_[link].push_back(waiting);
    return;
  }
  circuits_->on_extended(waiting.ticket, std::move(stream), now);
}

Result<StreamId> CircuitTransport::open_on(link::LinkId link, Priority priority) {
  return endpoint_->open(link, priority, 0);
}

std::vector<CircuitTransport::Waiting> CircuitTransport::take_waiting(link::LinkId link) {
  auto node = waiting_.extract(link);
  return node ? std::move(node.mapped()) : std::vector<Waiting>{};
}

void CircuitTransport::set_context(StreamId stream, std::uint64_t context) {
  endpoint_->set_context(stream, context);
}
void CircuitTransport::set_priority(StreamId stream, Priority priority) {
  endpoint_->set_priority(stream, priority);
}
void CircuitTransport::write(StreamId stream, memory::Block block) {
  endpoint_->write(stream, std::move(block));
}
std::size_t CircuitTransport::queued_bytes(StreamId stream) const {
  return endpoint_->queued_bytes(stream);
}
circuit::Sink::CellsHeld CircuitTransport::held(StreamId stream) const {
  const link::Endpoint::MemoryHeld held = endpoint_->held(stream);
  return {.bytes = held.bytes, .waited = held.waited};
}
bool CircuitTransport::is_silent(StreamId stream, Now now) const {
  return endpoint_->is_silent(stream.link, now);
}
void CircuitTransport::consume(StreamId stream, std::size_t bytes) {
  endpoint_->consume(stream, bytes);
}
void CircuitTransport::release(StreamId stream, std::size_t bytes) {
  endpoint_->release(stream, bytes);
}
void CircuitTransport::reopen(StreamId stream, std::size_t bytes) {
  endpoint_->reopen(stream, bytes);
}
void CircuitTransport::reset(StreamId stream, wire::EndCode code) {
  endpoint_->reset(stream, code);
}

void CircuitTransport::report(BoundedList& out, std::size_t waiting_max) const {
  std::size_t waiting = 0;
  for (const auto& [link, tickets] : waiting_) waiting += tickets.size();
  out.push_back(bounded(Bounded::Kind::queue, "circuits that wait for a link",
                        "the build is refused", waiting, waiting_max, sizeof(Waiting)));
  out.back().age_max = std::chrono::seconds(10);  // then the build times out
  dials_.report(out);
}

// ---- link::LinkEvents ---------------------------------------------------------------------------

void CircuitTransport::on_link_ready(link::LinkId link, Now now) {
  heard_at_ = now.mono;
  if (dials_.ready(link) && endpoint_->overfull()) {
    for (const Waiting& waiting : take_waiting(link)) {
      circuits_->on_extended(waiting.ticket, fail(Errc::refused_links), now);
    }
    return endpoint_->close(link, wire::EndCode::refused, now);
  }
  for (const Waiting& waiting : take_waiting(link)) {
    if (!circuits_->info({waiting.ticket})) continue;  // nobody waits any more
    circuits_->on_extended(waiting.ticket, open_on(link, waiting.priority), now);
  }
  listener_.link_ready(link, now);
}

void CircuitTransport::on_link_draining(link::LinkId link, link::Drain why, Now now) {
  circuits_->on_link_draining(link, why == link::Drain::stopping, now);
}

void CircuitTransport::on_link_closed(link::LinkId link, const Error& why, Now now) {
  const bool plain = why.code == Errc::identity_mismatch || why.code == Errc::refused_by_peer;
  const Errc code = plain ? why.code : Errc::unreachable;
  if (plain) {
    dials_.leave(link);
  } else {
    dials_.failed(link, now.mono);
  }
  dials_.forget(link);
  dials_.forget_link(link);
  std::optional<NodeId> unanswered;
  for (const Waiting& waiting : take_waiting(link)) {
    if (!plain) unanswered = waiting.next;
    const auto other = endpoint_->find(waiting.next);  // the peer may have dialed us meanwhile
    if (other && *other != link) {
      answer(*other, waiting, open_on(*other, waiting.priority), now);
    } else {
      circuits_->on_extended(waiting.ticket, fail(code), now);
    }
  }
  limiter_.forget(link);
  circuits_->on_link_closed(link, now);
  if (unanswered) listener_.unanswered(*unanswered, now);
  listener_.link_closed(link, why, now);
}

void CircuitTransport::on_control_frame(link::LinkId link, std::uint8_t type, Bytes body, Now now) {
  heard_at_ = now.mono;
  if (is_gossip(type)) listener_.gossip_frame(link, type, body, now);
  if (type == static_cast<std::uint8_t>(wire::ControlType::load)) {
    listener_.load_frame(link, body, now);
  }
  if (type == static_cast<std::uint8_t>(wire::ControlType::time)) {
    listener_.time_frame(link, body, now);
  }
}

void CircuitTransport::on_stream_opened(link::StreamId stream, Now now) {
  const wire::EndCode code = limiter_.ask(stream.link, now);
  if (code != wire::EndCode::none) return endpoint_->reset(stream, code);
  circuits_->on_stream_opened(stream, now);
}
void CircuitTransport::on_stream_data(link::StreamId stream, std::uint64_t context, Bytes data,
                                      Now now) {
  heard_at_ = now.mono;
  circuits_->on_stream_data(stream, context, data, now);
}
void CircuitTransport::on_stream_sent(link::StreamId stream, std::uint64_t context,
                                      std::size_t bytes, Now now) {
  circuits_->on_stream_sent(stream, context, bytes, now);
}
void CircuitTransport::on_stream_closed(link::StreamId stream, std::uint64_t context,
                                        wire::EndCode code, Now now) {
  circuits_->on_stream_closed(stream, context, code, now);
}

}  // namespace qudag::shard
