// Endpoint::Impl: the table of links, the turn. Its parts:
//   endpoint.cc   making, dialing, the table, timers, the owner's calls
//   receive.cc    from datagrams to links; answers to what belongs to no link
//   handshakes.cc hands the slow steps of handshakes to workers
//   flush.cc      ends links that are about to close, writes dirty ones
#pragma once

#include "link/connection/connection.h"
#include "link/connection/shared.h"
#include "link/endpoint/send_queue.h"
#include "link/path/handed_on.h"
#include "sync/token_bucket.h"

#include <memory>
#include <unordered_map>
#include <vector>

namespace qudag::link {

/// Answers to strangers per second, and at once: version negotiation, stateless reset, refusal.
inline constexpr unsigned kStrangerAnswersPerSecond = 100;
inline constexpr unsigned kStrangerAnswersBurst = 50;
/// Bytes that leave in one turn, by the most urgent level of a link: a flood of bulk over many
/// links must not keep the next turn waiting, in which something urgent may come. Links that had no
/// turn go first in the next one.
inline constexpr std::array<std::size_t, kLevelCount> kWriteBytesPerTurn = {
    4 * 1024 * 1024, 4 * 1024 * 1024, 2 * 1024 * 1024, 1024 * 1024};
/// Strangers that become links in one turn, without a proof of their address.
inline constexpr std::size_t kAcceptsPerTurn = 16;
/// Ended links that still answer late packets; beyond it they are forgotten at once.
inline constexpr std::size_t kRetiredMax = 256;
/// ngtcp2 gives out up to 8 at a time, and remembers some that were retired.
inline constexpr std::size_t kCidsPerLinkMax = 16;

class Endpoint::Impl {
 public:
  Impl(EndpointOptions options, TlsContexts tls, const crypto::Identity& identity,
       memory::BlockPool& pool, Rng& rng, LinkEvents& events, WrongShard* wrong_shard);
  ~Impl();

  void receive(std::span<runtime::Received> batch, const SocketAddress& local, Now now);
  void on_time(Now now);
  bool flush(runtime::DatagramSocket& socket, Now now);
  TimePoint next_deadline() const;

  void give_up_spare(LinkId id);
  void keep_warm(LinkId id, bool warm);
  Result<LinkId> dial_anew(const NodeId& peer, const SocketAddress& at, const SocketAddress& local,
                           Now now, DialFor whom);
  Result<LinkId> dial(const NodeId& peer, const SocketAddress& at, const SocketAddress& local,
                      Now now, DialFor whom);
  /// Links, but for dials for others, which have places of their own.
  std::size_t links_held() const { return live_ - shared_.dials_for_others; }
  /// What may be held now.
  std::size_t links_most() const {
    const EndpointOptions& options = shared_.options;
    return options.places == nullptr ? options.links_max : options.places->most(options.shard);
  }
  void tell_places() {
    if (shared_.options.places != nullptr) {
      shared_.options.places->set_used(shared_.options.shard, links_held());
    }
  }
  void look_at_places(Now now);
  std::optional<LinkId> find(const NodeId& peer) const;
  bool failed_lately(const NodeId& peer, Now now) const {
    return redial_.failed_lately(peer, now.mono);
  }
  std::vector<LinkInfo> links() const;
  void move(const SocketAddress& local, Now now);
  void probe_peers(const runtime::DatagramSocket& socket, Now now);
  void shutdown(Now now);
  /// Null for a link that is gone.
  Connection* link(LinkId id) const;
  Connection* stream(StreamId id, Stream*& out) const;

  Shared& shared() { return shared_; }
  void pause(Priority priority, bool paused);
  std::size_t close_unused(Duration quiet, std::size_t links_max, Now now);
  double handshake_pressure(Now now);
  void trim();
  void look_at_links();
  EndpointStats stats() const;
  void report(BoundedList& out) const;

 private:
  struct Slot {
    std::uint32_t generation = 0;
    std::unique_ptr<Connection> link;
  };

  // endpoint.cc
  LinkId free_slot();
  void keep(LinkId id, std::unique_ptr<Connection> link);
  void absorb_greeted();
  Connection* twin_of(const Connection& greeted) const;
  void merge(Connection& greeted, Connection& twin);
  std::optional<LinkId> another_to(const NodeId& peer) const;
  LinkId least_used(const NodeId& peer, LinkId known) const;
  void forget_peer(const Connection& link);

  // receive.cc
  void receive_one(const runtime::Received& from, MutableBytes datagram, NativePath& path);
  void to_stranger(const runtime::Received& from, MutableBytes datagram, NativePath& path,
                   const ngtcp2_version_cid& ids);
  void accept(const runtime::Received& from, MutableBytes datagram, NativePath& path);
  bool hand_on(const runtime::Received& from, MutableBytes datagram, const ngtcp2_pkt_hd& header);
  void hand_over(const runtime::Received& from, MutableBytes datagram, std::uint8_t shard,
                 bool handed_on);
  bool admit(const runtime::Received& from, NativePath& path, const ngtcp2_pkt_hd& header,
             Incoming& out);
  bool may_answer_stranger();
  void send_version_negotiation(const runtime::Received& from, const ngtcp2_version_cid& ids);
  void send_stateless_reset(const runtime::Received& from, Bytes datagram);
  void send_retry(const runtime::Received& from, NativePath& path, const ngtcp2_pkt_hd& header);
  void refuse(const runtime::Received& from, const ngtcp2_pkt_hd& header, Refusal why);
  void answer(const runtime::Received& from, MutableBytes room, ngtcp2_ssize written);

  // handshakes.cc
  void start_steps();
  bool submit_step(Connection& link);
  void finish_step(LinkId id, WorkEnd how, Now now);
  void prepare_key();

  // flush.cc
  void end_closing();
  void end(Connection& link);
  bool write_dirty(runtime::DatagramSocket& socket);
  bool write_level(std::uint8_t level, runtime::DatagramSocket& socket);
  bool write(Connection& link, std::uint8_t level, runtime::DatagramSocket& socket);

  Shared shared_;
  const NodeId self_;
  WrongShard* wrong_shard_;
  SocketAddress local_;  // of the socket, as receive() was told
  SendQueue send_queue_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::size_t live_ = 0;
  std::unordered_map<NodeId, LinkId> peers_;         // which link new streams go over
  std::unordered_multimap<NodeId, LinkId> by_peer_;  // every link whose peer is known
  Redial redial_;
  std::optional<HandedOn> handed_on_;  // if there are other shards to hand to
  std::size_t handed_on_this_turn_ = 0;
  std::vector<std::unique_ptr<Connection>> retired_;
  std::vector<Connection*> writing_;                       // scratch of write_dirty
  std::array<std::size_t, kLevelCount> write_left_{};      // bytes of this turn, by level
  TimePoint retry_steps_at_ = kNever;                      // the pool was full
  bool making_key_ = false;                                // a throwaway key, at a worker
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // for what comes back from workers
  std::size_t accepted_this_turn_ = 0;
  bool stopping_ = false;
  bool blocked_ = false;  // the socket refused trains
  sync::TokenBucket stranger_answers_{kStrangerAnswersPerSecond, kStrangerAnswersBurst, {}};
};

}  // namespace qudag::link
