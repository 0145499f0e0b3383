#include "node/shard/link_joint.h"

#include "wire/control.h"

#include <utility>

namespace qudag::node {

namespace {

link::StreamId to_link(circuit::StreamKey key) {
  return {.link = unpack_link(key.link), .index = key.index};
}

circuit::StreamKey to_circuit(link::StreamId id) {
  return {.link = pack(id.link), .index = id.index};
}

/// The link is not ready yet.
bool waits(const Result<circuit::StreamKey>& stream) {
  return !stream && stream.error() == Errc::link_closed;
}

bool is_gossip(std::uint8_t type) { return type >= 0x10 && type <= 0x1f; }

}  // namespace

// ---- circuit::Sink
// --------------------------------------------------------------------------------

void LinkJoint::extend(std::uint64_t ticket, const NodeId& next, Class cls, Now now) {
  if (next == self_) {  // a route that comes back to us would be a loop through our own socket
    return circuits_->on_extended(ticket, fail(Errc::unreachable), now);
  }
  const bool known = endpoint_->find(next).has_value();
  const auto link = dial(next, now);
  if (!link) {
    if (link.error() != Errc::unknown_destination) note(next, LinkRequest::refused, now);
    return circuits_->on_extended(ticket, std::unexpected(link.error()), now);
  }
  auto stream = open_on(*link, cls);
  const LinkRequest else_how = known ? LinkRequest::dialing : LinkRequest::dialed;
  note(next, waits(stream) ? else_how : LinkRequest::ready, now);
  answer(*link, {.ticket = ticket, .next = next, .cls = cls}, std::move(stream), now);
}

void LinkJoint::note(const NodeId& peer, LinkRequest how, Now now) {
  ++requests_[static_cast<std::size_t>(how)];
  listener_.link_asked(peer, how, now);
}

/// At its first address, or the next one while that has not answered lately. Addresses that reach
/// less far than the path by which they came are a stranger's way to make us send somewhere.
Result<link::LinkId> LinkJoint::dial(const NodeId& peer, Now now) {
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

void LinkJoint::answer(link::LinkId link, const Waiting& waiting, Result<circuit::StreamKey> stream,
                       Now now) {
  if (waits(stream)) {
    waiting_[link].push_back(waiting);
    return;
  }
  circuits_->on_extended(waiting.ticket, std::move(stream), now);
}

Result<circuit::StreamKey> LinkJoint::open_on(link::LinkId link, Class cls) {
  auto stream = endpoint_->open(link, cls, 0);
  if (!stream) return std::unexpected(stream.error());
  return to_circuit(*stream);
}

std::vector<LinkJoint::Waiting> LinkJoint::take_waiting(link::LinkId link) {
  auto node = waiting_.extract(link);
  return node ? std::move(node.mapped()) : std::vector<Waiting>{};
}

void LinkJoint::set_context(circuit::StreamKey stream, std::uint64_t context) {
  endpoint_->set_context(to_link(stream), context);
}
void LinkJoint::set_class(circuit::StreamKey stream, Class cls) {
  endpoint_->set_class(to_link(stream), cls);
}
void LinkJoint::write(circuit::StreamKey stream, memory::Block block) {
  endpoint_->write(to_link(stream), std::move(block));
}
std::size_t LinkJoint::queued_bytes(circuit::StreamKey stream) const {
  return endpoint_->queued_bytes(to_link(stream));
}
circuit::Sink::Held LinkJoint::held(circuit::StreamKey stream) const {
  const link::Endpoint::Held held = endpoint_->held(to_link(stream));
  return {.bytes = held.bytes, .waited = held.waited};
}
void LinkJoint::consume(circuit::StreamKey stream, std::size_t bytes) {
  endpoint_->consume(to_link(stream), bytes);
}
void LinkJoint::reset(circuit::StreamKey stream, circuit::End code) {
  endpoint_->reset(to_link(stream), static_cast<link::Code>(code));
}

void LinkJoint::report(BoundedList& out, std::size_t waiting_max) const {
  std::size_t waiting = 0;
  for (const auto& [link, tickets] : waiting_) waiting += tickets.size();
  out.push_back(bounded(Bounded::Kind::queue, "circuits that wait for a link",
                        "the build is refused", waiting, waiting_max, sizeof(Waiting)));
  out.back().age_max = std::chrono::seconds(10);  // then the build times out
}

// ---- link::Events
// ---------------------------------------------------------------------------------

void LinkJoint::on_link_ready(link::LinkId link, Now now) {
  for (const Waiting& waiting : take_waiting(link)) {
    circuits_->on_extended(waiting.ticket, open_on(link, waiting.cls), now);
  }
  listener_.link_ready(link, now);
}

void LinkJoint::on_link_draining(link::LinkId link, link::Drain why, Now now) {
  circuits_->on_link_draining(pack(link), why == link::Drain::stopping, now);
}

void LinkJoint::on_link_closed(link::LinkId link, const Error& why, Now now) {
  const bool plain = why.code == Errc::identity_mismatch || why.code == Errc::refused_by_peer;
  const Errc code = plain ? why.code : Errc::unreachable;
  for (const Waiting& waiting : take_waiting(link)) {
    const auto other = endpoint_->find(waiting.next);  // the peer may have dialed us meanwhile
    if (other && *other != link) {
      answer(*other, waiting, open_on(*other, waiting.cls), now);
    } else {
      circuits_->on_extended(waiting.ticket, fail(code), now);
    }
  }
  gate_.forget(link);
  circuits_->on_link_closed(pack(link), now);
  listener_.link_closed(link, now);
}

void LinkJoint::on_control_frame(link::LinkId link, std::uint8_t type, Bytes body, Now now) {
  if (is_gossip(type)) listener_.gossip_frame(link, type, body, now);
  if (type == static_cast<std::uint8_t>(wire::ControlType::load)) {
    listener_.load_frame(link, body, now);
  }
}

void LinkJoint::on_stream_opened(link::StreamId stream, Now now) {
  const link::Code code = gate_.ask(stream.link, now);
  if (code != link::Code::none) return endpoint_->reset(stream, code);
  circuits_->on_stream_opened(to_circuit(stream), now);
}
void LinkJoint::on_stream_data(link::StreamId stream, std::uint64_t context, Bytes data, Now now) {
  circuits_->on_stream_data(to_circuit(stream), context, data, now);
}
void LinkJoint::on_stream_sent(link::StreamId stream, std::uint64_t context, std::size_t bytes,
                               Now now) {
  circuits_->on_stream_sent(to_circuit(stream), context, bytes, now);
}
void LinkJoint::on_stream_closed(link::StreamId stream, std::uint64_t context, link::Code code,
                                 Now now) {
  circuits_->on_stream_closed(to_circuit(stream), context, static_cast<circuit::End>(code), now);
}

}  // namespace qudag::node
