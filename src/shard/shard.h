// One thread's worth of node: sockets, links, circuits and messages, joined.
//
//   socket -> link::Endpoint -> CircuitTransport -> circuit::Circuits -> message::Messages ->
//   ShardEnvironment
//
// and back the same way. Driven by a real loop or by the simulator (runtime::Driven); knows neither
// threads nor clocks. Everything here runs on the shard's thread; other threads reach it through
// its executor.
#pragma once

#include "base/recent_histogram.h"
#include "keeper/ports.h"
#include "keeper/resident.h"
#include "keeper/service.h"
#include "memory/bound.h"
#include "onion/key_stock.h"
#include "shard/circuit_transport.h"
#include "shard/completions.h"
#include "shard/gossip/bootstrap.h"
#include "shard/gossip/entry_dialer.h"
#include "shard/gossip/gossip_hub.h"
#include "shard/key_ring.h"
#include "shard/protection/load_reports.h"
#include "shard/protection/protection.h"
#include "shard/report.h"
#include "shard/request.h"
#include "shard/route_source.h"
#include "shard/seam/environment.h"
#include "shard/setup.h"
#include "shard/warm_links.h"

#include <qudag/metrics.h>
#include <qudag/options.h>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qudag::shard {

class Shard final : public runtime::Driven,
                    public Sibling,
                    private LinkListener,
                    private link::WrongShard,
                    private message::MessageEvents {
 public:
  static Result<std::unique_ptr<Shard>> create(const ShardSetup& setup);
  ~Shard() override;

  // runtime::Driven
  bool on_readable(Now now) override;
  void on_writable(Now now) override;
  void on_time(Now now) override;
  void flush(Now now) override;
  TimePoint next_deadline() const override;
  bool wants_writable() const override { return wants_writable_; }

  // For node and the hub, on this shard's thread.
  /// Every request gets its completion exactly once, now or later.
  void send(SendRequest&& request, Now now);
  /// A pipe that the application opens: its end is told, now or later.
  void open_pipe(const std::shared_ptr<Pipe::Impl>& pipe, const PipeOpening& opening, Now now);
  std::vector<PipeStatus> pipes(Now now) const;
  std::shared_ptr<PipeDoor> pipe_door() const { return pipes_->door(); }
  /// What became of a message that the application took in hand.
  void settle(const message::Handed& handed, Accept answer, Now now);
  /// One of those has its outcome now, if it had none.
  void cancel(const MessageId& id, Now now);
  void set_view(netmap::ViewPtr view, Now now) override;
  void set_onion_keys(std::vector<onion::OnionKey> keys, std::uint64_t made_as) override;
  bool send_gossip(LinkId link, std::uint8_t type, Bytes body) override;
  void close_link(LinkId link, wire::EndCode code, Now now) override;
  void take_datagram(runtime::Received datagram, Now now) override;
  void on_service(const std::function<void(keeper::Service&, Now)>& task, Now now) override;
  /// A receiver of this node, all of whose circuits are here.
  Status open_receiver(keeper::Resident::Setup setup, Now now);
  void close_receiver(const NodeId& receiver, Now now);
  std::vector<ReceiverStatus> receivers() const;
  /// Null if there is none of that id.
  const keeper::Resident* receiver(const NodeId& id) const {
    const auto at = residents_.find(id);
    return at == residents_.end() ? nullptr : at->second.get();
  }
  const keeper::Service* keeper_service() const { return service_.get(); }
  keeper::Cards& cards() { return *cards_; }
  /// Shard 0: makes keys and a descriptor, joins the bootstrap nodes, renews both in time.
  void start(std::vector<SocketAddress> addresses, Now now);
  /// This machine's addresses changed. Several changes in a row are one.
  void addresses_changed(Now now);
  /// Lets messages finish for `grace`, then ends circuits and links; stopped() when done.
  void stop(Duration grace, Now now);
  /// Shard 0: writes what has changed since the last time and is worth keeping over a restart. The
  /// result is for a worker, or for who stops the node; false if it was not written.
  std::function<bool()> state_to_keep(bool all, Now now);
  /// Gives back what pools and heaps have free: another shard needs it.
  void give_free();
  bool stopped() const { return phase_ == Phase::stopped; }
  unsigned index() const { return setup_.index; }

  /// Whether links, circuits and keys may be made before they are needed.
  bool may_open_ahead() const { return protection_->may_open_ahead(); }

  ShardReport report() const;
  /// What took how long in the last minutes.
  void add_recent(ShardReport& out, Now now) const;
  /// Every queue, pool and table of the shard; on shard 0 also those that shards share.
  void report(BoundedList& out, Now now) const;
  std::vector<PeerStatus> peers() const;
  std::vector<CircuitStatus> circuits() const;
  std::size_t nodes_known() const { return view_->entries().size(); }
  std::size_t relays_known() const;

 private:
  /// What stop() goes through: our own messages end; then the goodbye is said, and what others send
  /// through here goes elsewhere; then all that is left ends.
  enum class Phase : std::uint8_t { running, draining, leaving, closing, stopped };

  explicit Shard(const ShardSetup& setup);

  // LinkListener
  void link_asked(const NodeId& peer, LinkRequest how, Now now) override {
    warm_.asked(peer, how, now);
  }
  void link_ready(link::LinkId link, Now now) override;
  void link_closed(link::LinkId link, const Error& why, Now now) override;
  void unanswered(const NodeId& peer, Now now) override;
  void gossip_frame(link::LinkId link, std::uint8_t type, Bytes body, Now now) override;
  void load_frame(link::LinkId link, Bytes body, Now now) override;
  void time_frame(link::LinkId link, Bytes body, Now now) override;

  // link::WrongShard
  void hand_over(std::uint8_t shard, const runtime::Received& datagram) override;

  // message::MessageEvents
  message::Taken on_message(message::Received&& received, Now now) override;
  void on_outcome(message::SendId id, const Delivery& delivery, Now now) override;
  void on_progress(message::SendId id, std::size_t done, std::size_t all, Now now) override;

  template <class F>
  void call_out(std::string_view callback, F&& f);
  Result<message::SendId> enqueue(SendRequest& request, Now now);
  void keepers_on_time(Now now);
  void renew(Now now);
  void announced(const Announcement& made, Now now);
  void look_at_clocks(Now now);
  void look_at_quota(Now now);
  bool takes_others() const { return !setup_.quota || setup_.quota->stage() == QuotaStage::open; }
  void tell_time(Now now);
  void tell_time(link::LinkId link, Now now);
  void look_where_we_are(Now now);
  bool others_hold_an_earlier_one(Now now) const;
  void believe(Now now);
  void dial_known(const NodeId& id, Now now);
  std::vector<NodeId> guards_to_dial() const;
  std::optional<link::LinkId> dial_one_of(const NodeId& id,
                                          std::span<const SocketAddress> addresses, Now now);
  bool may_try_relays() const {
    return setup_.options->relay && bootstrap_ && phase_ == Phase::running && may_open_ahead();
  }
  void try_relays(Now now);
  void maintain(Now now);
  void fill_stock();
  void keep_state(Now now);
  UnixSeconds published_before() const;
  void withdraw(Duration most, Now now);
  bool still_tells(Now now);
  void advance_stop(Now now);
  void count_ended(Priority priority, std::size_t bytes);
  void tell_ended();
  void tell_flow_queues(Now now);
  void tell_means(Now now);
  void note_rest(bool was_ready, const Error& why, Now now);
  void post_to_hub(std::function<void(GossipHub&, Now)> task, Now now);
  /// A link is ready, its peer has proved who it is, or it is closed.
  struct LinkEvent {
    link::LinkId link;
    std::optional<netmap::LinkFacts> facts{};  // of one that is ready
    std::optional<NodeId> peer{};              // of one that dialed us
    bool silent = false;
    void tell(GossipHub& hub, unsigned shard, Now now) const {
      const NodeLink key{shard, link};
      if (facts) return hub.link_ready(key, *facts, now);
      if (peer) return hub.link_named(key, *peer);
      hub.link_closed(key, silent, now);
    }
  };
  std::unique_ptr<keeper::Service> make_service();
  void tell_hub(const LinkEvent& event, Now now);
  void pay_hub();

  const ShardSetup setup_;
  const std::shared_ptr<keeper::Cards> cards_;  // owners: all shards
  memory::BlockPool pool_;
  CircuitTransport transport_;
  RouteSource routes_;
  LoadReports load_reports_;
  WarmLinks warm_;
  onion::KeyStock stock_;
  bool filling_stock_ = false;  // a worker makes keys for it
  circuit::Circuits circuits_;
  const std::shared_ptr<keeper::Registry> registry_;  // owners: all shards
  std::unique_ptr<keeper::Service> service_;          // null: no keeper
  keeper::Ends ends_;
  keeper::Ports ports_;
  std::unique_ptr<link::Endpoint> endpoint_;
  std::unique_ptr<ShardPipes> pipes_;
  std::unique_ptr<message::Messages> messages_;
  std::map<NodeId, std::unique_ptr<keeper::Resident>> residents_;
  std::vector<std::unique_ptr<keeper::Resident>> closed_residents_;  // until the turn is over
  std::unique_ptr<Protection> protection_;
  std::uint64_t turns_reading_used_up_ = 0;
  netmap::ViewPtr view_ = std::make_shared<netmap::View>();
  Completions pending_;
  std::vector<std::pair<message::SendId, Delivery>> early_;  // outcomes from inside enqueue
  std::set<link::LinkId> ready_links_;
  TimePoint rests_until_{};          // without a link, because nobody used the last one
  std::set<link::LinkId> nameless_;  // of those that dialed us: they may still say who they are
  std::vector<LinkEvent> hub_owed_;  // until shard 0's mailbox has room
  bool enqueueing_ = false;
  bool wants_writable_ = false;

  TimePoint show_at_ = kNever;  // after a change of addresses
  ClockWatch clock_watch_;

  // Maintenance: what is trimmed, and what had been done at the last time.
  TimePoint maintain_at_{};
  struct Seen {
    std::uint64_t datagrams = 0;
    std::uint64_t handshakes = 0;
    std::uint64_t rested = 0;
    std::uint64_t trimmed = 0;
  } seen_;

  // Shard 0 only.
  std::set<link::LinkId> tries_;        // dialed only to see whether a relay can be reached
  std::optional<EntryDialer> entries_;  // the first of the shards only, as bootstrap_
  std::optional<Bootstrap> bootstrap_;
  std::vector<SocketAddress> addresses_;
  std::vector<HeldKey> keys_;
  UnixSeconds published_ = 0;  // of our descriptor, the last one
  bool renewing_ = false, renew_again_ = false;
  std::uint64_t keys_made_as_ = 0;  // the number of the keys in use
  TimePoint renew_at_ = kNever;
  QuotaStage quota_stage_ = QuotaStage::open;  // that our descriptor was made with
  bool keeping_state_ = false;                 // a worker writes
  std::uint64_t guards_kept_ = 0;              // version
  TimePoint keep_netmap_at_ = kNever;
  static constexpr UnixSeconds kNeverByWall = UINT64_MAX;
  UnixSeconds renew_wall_at_ = kNeverByWall;

  Phase phase_ = Phase::running;
  TimePoint phase_end_ = kNever;
  TimePoint told_end_ = kNever;  // of draining, the least: the withdrawn descriptor goes out
  bool telling_ = false;         // not all links have it
  TimePoint grace_end_ = kNever;
  EndedByPriority ended_{};  // since the host was told
  std::array<RecentHistogram, kPriorityCount> delivery_us_;
};

}  // namespace qudag::shard
