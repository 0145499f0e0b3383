// Where link and circuit meet: circuits write into streams of links, and hear what comes out.
//
// A circuit asks for a stream to a node (extend). If there is a ready link the stream opens at
// once; otherwise the link is dialed and the ticket waits here until it is ready or has failed.
// Dials for circuits of others have places of their own (link/dialing/dial_places.h). Owned by a
// shard, used on its thread only.
#pragma once

#include "circuit/circuits.h"
#include "link/dialing/dial_places.h"
#include "link/endpoint.h"
#include "netmap/netmap.h"
#include "shard/protection/build_limiter.h"
#include "shard/warm_links.h"

#include <cstdint>
#include <map>
#include <vector>

namespace qudag::shard {

/// Who hears of links and of gossip frames besides the circuits.
class LinkListener {
 public:
  virtual ~LinkListener() = default;
  /// A circuit asked for a link to that node.
  virtual void link_asked(const NodeId& peer, LinkRequest how, Now now) = 0;
  virtual void link_ready(link::LinkId link, Now now) = 0;
  /// Unreachable: it ended without a word of its peer.
  virtual void link_closed(link::LinkId link, const Error& why, Now now) = 0;
  /// A dial for a circuit was not answered.
  virtual void unanswered(const NodeId& peer, Now now) = 0;
  virtual void gossip_frame(link::LinkId link, std::uint8_t type, Bytes body, Now now) = 0;
  virtual void load_frame(link::LinkId link, Bytes body, Now now) = 0;
  virtual void time_frame(link::LinkId link, Bytes body, Now now) = 0;
};

class CircuitTransport final : public link::LinkEvents, public circuit::Sink {
 public:
  CircuitTransport(const NodeId& self, LinkListener& listener, BuildLimiterOptions limiter,
                   link::DialRules dials = {})
      : self_(self), listener_(listener), limiter_(limiter), dials_(dials) {}

  /// Both live longer than any event.
  void attach(link::Endpoint& endpoint, circuit::Circuits& circuits) {
    endpoint_ = &endpoint;
    circuits_ = &circuits;
  }
  void set_view(netmap::ViewPtr view) { view_ = std::move(view); }
  BuildLimiter& limiter() { return limiter_; }
  const BuildLimiter& limiter() const { return limiter_; }
  const link::DialStats& dials() const { return dials_.stats(); }
  void set_local(const SocketAddress& local) { local_ = local; }
  /// When a link last became ready, or brought anything but signs of life.
  TimePoint heard_at() const { return heard_at_; }
  void report(BoundedList& out, std::size_t waiting_max) const;
  const LinkRequests& requests() const { return requests_; }
  /// The link to a node of the view; unknown_destination if it is not there.
  Result<link::LinkId> dial(const NodeId& peer, Now now);

  // circuit::Sink
  void extend(std::uint64_t ticket, const NodeId& next, Priority priority, Now now) override;
  void set_context(StreamId stream, std::uint64_t context) override;
  void set_priority(StreamId stream, Priority priority) override;
  void write(StreamId stream, memory::Block block) override;
  std::size_t queued_bytes(StreamId stream) const override;
  CellsHeld held(StreamId stream) const override;
  void consume(StreamId stream, std::size_t bytes) override;
  void release(StreamId stream, std::size_t bytes) override;
  void reopen(StreamId stream, std::size_t bytes) override;
  void reset(StreamId stream, wire::EndCode code) override;
  bool is_silent(StreamId stream, Now now) const override;

  // link::LinkEvents
  void on_link_ready(link::LinkId link, Now now) override;
  void on_link_draining(link::LinkId link, link::Drain why, Now now) override;
  void on_link_closed(link::LinkId link, const Error& why, Now now) override;
  void on_control_frame(link::LinkId link, std::uint8_t type, Bytes body, Now now) override;
  void on_stream_opened(link::StreamId stream, Now now) override;
  void on_stream_data(link::StreamId stream, std::uint64_t context, Bytes data, Now now) override;
  void on_stream_sent(link::StreamId stream, std::uint64_t context, std::size_t bytes,
                      Now now) override;
  void on_stream_closed(link::StreamId stream, std::uint64_t context, wire::EndCode code,
                        Now now) override;

 private:
  struct Waiting {
    std::uint64_t ticket;
    NodeId next;
    Priority priority;
  };

  Result<link::LinkId> link_for(std::uint64_t ticket, const NodeId& next, Now now);
  Result<link::LinkId> dial_for(LinkId asker, const NodeId& next, Now now);
  void give_up(LinkId dial, Now now);
  bool make_link_room(LinkId asker, Now now);
  Result<StreamId> open_on(link::LinkId link, Priority priority);
  void answer(link::LinkId link, const Waiting& waiting, Result<StreamId> stream, Now now);
  void note(const NodeId& peer, LinkRequest how, Now now);
  std::vector<Waiting> take_waiting(link::LinkId link);

  const NodeId self_;
  LinkListener& listener_;
  BuildLimiter limiter_;
  link::DialPlaces dials_;
  link::Endpoint* endpoint_ = nullptr;
  circuit::Circuits* circuits_ = nullptr;
  TimePoint heard_at_{};
  netmap::ViewPtr view_ = std::make_shared<netmap::View>();
  SocketAddress local_;
  LinkRequests requests_{};
  std::map<link::LinkId, std::vector<Waiting>> waiting_;  // bounded by circuits_building
};

}  // namespace qudag::shard
