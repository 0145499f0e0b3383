// Nodes of one shard each on the hosts of a simulated world, and what their applications saw.
#pragma once

#include "crypto/identity.h"
#include "crypto/kdf.h"
#include "memory/bound.h"
#include "message/queue/flow_queues.h"
#include "node/send_limiter.h"
#include "node/state.h"
#include "shard/gossip/gossip_hub.h"
#include "shard/seam/environment.h"
#include "shard/shard.h"
#include "sim/letters/sim_letters.h"
#include "testing/world.h"

#include <qudag/node.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace qudag::testing {

/// Descriptors that some node of the network has verified. Others that get the same bytes share the
/// entry: of a thousand nodes each holds a thousand, and a signature takes 0.2 ms.
class EntryBook {
 public:
  Result<netmap::EntryPtr> make(Bytes raw, UnixSeconds now, Reach told_over);

 private:
  std::map<std::pair<crypto::Digest, Reach>, std::weak_ptr<const netmap::Entry>> known_;
};

/// One machine: a node that can be started, crashed and started again with the same identity.
class SimNode final : public shard::ShardEnvironment {
 public:
  SimNode(World& world, const SocketAddress& at, Options options,
          std::shared_ptr<EntryBook> book = std::make_shared<EntryBook>());
  ~SimNode() override;

  void start();
  /// In good order; crash() takes away what is left.
  void stop(Duration grace);
  void crash();
  bool running() const { return shard_ != nullptr; }
  /// Counts starts: an application remembers nothing over a crash.
  int life() const { return life_; }

  const NodeId& id() const { return identity_->id(); }
  PeerAddress address() const { return {.id = id(), .at = environment_.local()}; }
  shard::Shard& shard() { return *shard_; }
  /// Its clocks, its sleep, and what its mailbox and its workers do.
  Host& machine() { return environment_; }
  netmap::ViewPtr view() const { return hub_->view(); }
  const Options& options() const { return options_; }
  /// Whether it keeps that relay as a first or second hop.
  bool keeps(const NodeId& relay) const {
    return guards_->with([&](const netmap::Guards& guards) {
      return guards.contains(netmap::Layer::first, relay) ||
             guards.contains(netmap::Layer::second, relay);
    });
  }
  circuit::Quota& quota() { return *quota_; }
  memory::Bound& bound() { return *bound_; }
  const node::SendLimiter& limiter() const { return *limiter_; }
  const message::FlowQueues* queues() const { return queues_.get(); }
  const memory::Bound& bound() const { return *bound_; }
  void set_bootstrap(std::vector<PeerAddress> peers) { options_.bootstrap = std::move(peers); }
  void set_publish(std::vector<SocketAddress> at) { options_.publish = std::move(at); }
  void set_relay(bool relay) { options_.relay = relay; }
  void set_known(bool known) { options_.known = known; }
  void set_state_dir(std::filesystem::path at) { options_.state_dir = std::move(at); }
  void set_limits(const Limits& limits) { options_.limits = limits; }
  /// A keeper's file of letters; none: it keeps none. Before start().
  void set_letters(std::filesystem::path file) { letters_file_ = std::move(file); }
  SimLetters* letters() { return letters_.get(); }
  keeper::LetterRoom* letter_room() { return letter_room_.get(); }
  SimSeen& seen() { return seen_; }
  void set_gossip_interval(std::chrono::seconds time) { options_.gossip_interval = time; }

  /// Copies the payload, as Node::send does. Refused at the limiter: `done` is told before it
  /// returns.
  void send(const NodeId& to, Bytes payload, const SendOptions& options, Completion done);
  void reply(const ReplyTo& to, Bytes payload, std::chrono::milliseconds ttl, Completion done);

  std::function<Accept(Message&&)> on_message_handler;
  /// A pipe over the public handle, as Node::open gives it; null: refused at once.
  std::unique_ptr<Pipe> open_pipe(const NodeId& to, const std::string& service,
                                  const PipeOptions& options, PipeEvents events);
  std::function<void(PipeOffer&&)> on_pipe_handler;
  /// Changes what the overload manager sees: for what a simulation has none of.
  std::function<void(shard::Measured&)> on_measure;
  /// Off: hops are chosen without regard to load. Before start().
  bool by_load = true;
  bool by_proof = true;
  /// The stages of its quota, in order, but the one that it began with.
  std::vector<QuotaStage> quota_said;
  /// Whether it would say that it is joined.
  shard::Means means;
  /// What it said of its clock: seconds ahead of its peers', in order.
  std::vector<std::int64_t> clock_said;
  /// What its resolver knows; everything else has no address. And what it was asked.
  std::map<std::string, std::vector<SocketAddress>> names;
  std::vector<std::pair<std::string, std::string>> lookups;
  /// What it started (true) and ended, in order.
  std::vector<std::pair<overload::Action, bool>> actions;

 private:
  // shard::ShardEnvironment
  void on_ended(unsigned, const shard::EndedByPriority& ended) override;
  Accept on_message(Message&& message, const std::array<std::byte, 16>& key) override;
  void on_pipe(PipeOffer&& offer) override {
    on_pipe_handler ? on_pipe_handler(std::move(offer)) : offer.refuse(PipeCode::no_such_service);
  }
  bool pipe_blocks(std::size_t bytes, memory::Chain& out) override;
  void on_stopped(unsigned) override {}
  void measure(unsigned, shard::Measured& out) override {
    if (on_measure) on_measure(out);
  }
  void on_action(unsigned, overload::Action action, bool active, std::string_view,
                 double) override {
    actions.emplace_back(action, active);
  }
  void on_means(unsigned, const shard::Means& now, const netmap::ViewPtr&) override { means = now; }
  void on_quota(const QuotaStatus& status) override { quota_said.push_back(status.stage); }
  void on_clock_off(std::int64_t seconds, std::size_t) override { clock_said.push_back(seconds); }
  bool resolve(const std::string& name, std::uint16_t port,
               std::function<void(runtime::Addresses, Now)> done) override;
  void on_entry(const std::string& name, std::string_view problem) override {
    lookups.emplace_back(name, problem);
  }
  runtime::Executor& executor(unsigned) override { return environment_; }
  runtime::WorkerPool& workers() override { return environment_; }

  void submit(shard::SendRequest request, Bytes payload);

  World& world_;
  const std::shared_ptr<EntryBook> book_;  // owners: all nodes of the network
  Host& environment_;
  Options options_;
  std::unique_ptr<crypto::Identity> identity_;
  std::shared_ptr<memory::Bound> bound_;
  node::SendLimiter::Windows windows_;
  std::unique_ptr<node::SendLimiter> limiter_;
  std::unique_ptr<message::FlowQueues> queues_;
  std::unique_ptr<memory::BlockPool> app_pool_;
  Log log_{{.level = LogLevel::off, .scrub = true, .sink = {}}};
  std::unique_ptr<node::State> state_;         // if options name a directory
  std::shared_ptr<shard::NodeGuards> guards_;  // owners: this, the shard
  std::shared_ptr<circuit::Quota> quota_;      // the same
  std::unique_ptr<shard::GossipHub> hub_;
  std::filesystem::path letters_file_;
  std::shared_ptr<keeper::LetterRoom> letter_room_;  // owners: this, the shard
  std::unique_ptr<SimLetters> letters_;
  SimSeen seen_;
  std::unique_ptr<shard::Shard> shard_;
  int life_ = 0;
};

/// `count` nodes that all know node 0; of more than 250 the first `relays` are relays, and all know
/// the first four.
class SimNetwork {
 public:
  SimNetwork(World& world, std::size_t count, Options options = {}, std::size_t relays = SIZE_MAX);

  SimNode& operator[](std::size_t i) { return *nodes_[i]; }
  std::size_t size() const { return nodes_.size(); }
  void start();
  /// Runs until every running node knows every running node; false if not by `end`.
  bool settle(Duration within);

 private:
  World& world_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
};

}  // namespace qudag::testing
