// What is behind the public Node: the threads of the shards, and what all of them share.
//
// impl.cc: start, stop and what the shards ask for. sending.cc: the way in of a message.
#pragma once

#include "base/log.h"
#include "circuit/quota/quota.h"
#include "crypto/random.h"
#include "node/inbox/inbox.h"
#include "node/joining.h"
#include "node/letters/letter_records.h"
#include "node/letters/taken_letters.h"
#include "node/placement.h"
#include "node/process/app_pool.h"
#include "node/process/notices.h"
#include "node/process/process.h"
#include "node/reachability.h"
#include "node/requests.h"
#include "node/shard_query.h"
#include "node/shard_thread.h"
#include "node/state.h"
#include "runtime/address_watch.h"
#include "runtime/clock.h"
#include "runtime/worker_pool.h"
#include "shard/buffer.h"

#include <qudag/node.h>

#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace qudag {

// Hidden: a class inside one that is exported would be as well.
class __attribute__((visibility("hidden"))) Node::Impl final : public shard::ShardEnvironment,
                                                               public node::InboxEnvironment {
 public:
  explicit Impl(Options options)
      : options_(std::move(options)),
        log_({.level = options_.log_level,
              .scrub = !options_.log_sensitive,
              .sink = options_.log_sink}),
        process_(options_, shard_count(options_.shards)),
        bound_(std::make_shared<memory::Bound>(options_.limits.memory, process_.floor())),
        app_pool_(bound_) {}
  ~Impl() override { stop(std::chrono::seconds(1)); }

  Status start();
  void stop(Duration grace);

  Result<Buffer> buffer(std::size_t bytes);
  Status reserve(std::size_t bytes, Priority priority, memory::Reservation& reservation);
  /// How long a send may wait for room; nothing: not at all.
  using RoomMax = std::optional<Duration>;
  Result<MessageId> send(shard::SendRequest request, unsigned shard, RoomMax room_max);
  Result<MessageId> send_copy(shard::SendRequest request, std::span<const std::byte> payload,
                              unsigned shard, RoomMax room_max);
  template <class Try>
  Status when_room(shard::SendRequest& request, std::size_t bytes, node::ShardThread& thread,
                   RoomMax room_max, Try&& attempt);
  void give_back(node::ShardThread& thread, const shard::SendRequest& request, std::size_t bytes);
  std::future<Result<Message>> request(const NodeId& destination,
                                       std::span<const std::byte> payload, SendOptions options,
                                       std::chrono::milliseconds timeout);
  Result<std::unique_ptr<Pipe>> open(const NodeId& destination, std::string_view service,
                                     const PipeOptions& options, PipeEvents events,
                                     std::span<const std::byte> first);
  void set_pipe_handler(PipeHandler handler);
  Status cancel(const MessageId& id);
  Status acknowledge(const Receipt& receipt, Accept answer);
  Result<NodeId> open_receiver(ReceiverOptions options, CardHandler on_card);
  void close_receiver(const NodeId& receiver);
  std::vector<ReceiverOptions> kept_receivers();
  std::future<std::vector<ReceiverStatus>> receivers();
  Status add_card(const Card& card) { return cards_->add(card); }
  Status add_invitation(const Invitation& invitation);
  void remove_card(const NodeId& receiver) { cards_->remove(receiver); }
  void set_card_handler(CardHandler handler);
  Status put(shard::SendRequest& request, node::ShardThread& thread);
  bool on_own_thread() const;
  void leave(node::ShardThread& thread, Priority priority, const shard::Ended& ended);
  void tell_room_soon(node::ShardThread& thread, Priority priority);
  void tell_room(Priority priority);
  unsigned shard_for(const NodeId& destination, const SendOptions& options) const;

  template <class Whole, class Part>
  std::future<Whole> gather(std::function<Part(node::ShardThread&)> part,
                            std::function<Whole(std::vector<Part>&&)> combine);

  const NodeId& id() const { return identity_->id(); }
  const SocketAddress& address() const { return address_; }
  NodeStatus status_of(std::vector<shard::ShardReport>&& reports) const;
  std::size_t shards() const { return threads_.size(); }
  const memory::Bound& bound() const { return *bound_; }
  /// What belongs to no shard. Any thread.
  BoundedList bounded();
  node::InboxStats inbox_stats() const { return inbox_ ? inbox_->stats() : node::InboxStats{}; }
  void set_handler(ChannelNumber channel, MessageHandler handler);
  void set_room_handler(RoomHandler handler);
  const node::Joining& joining() const { return joining_; }
  std::optional<bool> reachable() const { return reachability_.reached(); }
  JoinState wait_until_joined(Duration timeout, unsigned relays) const;
  bool wait_until_known(const NodeId& id, Duration timeout) const;
  void set_join_handler(JoinHandler handler);
  std::vector<KnownNode> nodes() const { return joining_.nodes(); }
  void set_log_level(LogLevel level) { log_.set_level(level); }
  Status set_quota(const Limits& limits);
  std::optional<QuotaStatus> quota() const { return quota_->status(runtime::system_now().mono); }

 private:
  // shard::ShardEnvironment
  Accept on_message(Message&& message, const std::array<std::byte, 16>& key) override;
  void on_pipe(PipeOffer&& offer) override;
  bool pipe_blocks(std::size_t bytes, memory::Chain& out) override;
  void on_link(const SocketAddress& remote, bool dialed) override;
  void on_means(unsigned shard, const shard::Means& means, const netmap::ViewPtr& view) override;
  void on_threw(std::string_view callback) override;
  void on_ended(unsigned shard, const shard::EndedByPriority& ended) override;
  void on_flow_room(unsigned shard, Priority priority) override;
  void on_stopped(unsigned shard) override { threads_[shard].loop->stop(); }
  void on_maintained(unsigned shard, std::uint64_t freed) override;
  void on_memory_watch(unsigned shard, bool short_of) override;
  void measure(unsigned shard, shard::Measured& out) override;
  void on_clock_off(std::int64_t seconds, std::size_t networks) override;
  void on_quota(const QuotaStatus& status) override;
  bool resolve(const std::string& name, std::uint16_t port,
               std::function<void(runtime::Addresses, Now)> done) override;
  void on_entry(const std::string& which, std::string_view problem) override;
  void on_action(unsigned shard, overload::Action action, bool active, std::string_view worst,
                 double pressure) override;
  unsigned place_link(unsigned) override { return placement_->place_link(); }
  runtime::Executor& executor(unsigned shard) override { return *threads_[shard].loop; }
  runtime::WorkerPool& workers() override { return *workers_; }

  // node::InboxEnvironment
  Result<Buffer> inbox_buffer(std::size_t bytes) override { return buffer(bytes); }
  bool on_inbox_thread(std::function<void()> task) override {
    return threads_[0].loop->post_or_keep([task = std::move(task)](Now) { task(); });
  }
  Accept offer(Message&& message) override;
  void settle(const Receipt& receipt, Accept answer) override {
    static_cast<void>(acknowledge(receipt, answer));
  }

  struct JoinListener {
    JoinHandler handler;
    std::uint64_t taken = 0;  // the last change that it was told
  };

  static unsigned shard_count(unsigned wanted);
  Result<keeper::KeptReceiver> receiver_to_open(ReceiverOptions& options);
  std::optional<Accept> try_handler(Message& message);
  Status load_identity();
  Status open_state();
  Status open_inbox();
  Status open_letters(unsigned shards);
  void open_taken_letters();
  keeper::SeenLetters* seen_letters(unsigned shard);
  void restore_netmap(Now now);
  void tell_key_memory();
  Status open_sockets(unsigned shards);
  void watch_addresses();
  void run(node::ShardThread& thread);
  void answer_rest(node::ShardThread& thread);
  void take_in(node::ShardThread& thread, Now now);
  void look_at_reachability(const netmap::View& view);
  void tell_joined();
  void look_at_joining();
  void tell_small_buffers();
  void look_around();
  node::Totals totals_of(const std::vector<shard::ShardReport>& reports) const;
  void begin_stop(Duration grace);
  void finish_stop();
  template <class F>
  void call_out(std::string_view callback, F&& f);

  Options options_;
  Log log_;
  crypto::SystemRng rng_;
  std::unique_ptr<crypto::Identity> identity_;
  node::Process process_;
  std::shared_ptr<memory::Bound> bound_;  // owners: this, shards, pools, buffers given out
  node::AppPool app_pool_;
  std::unique_ptr<node::State> state_;  // null: nothing is kept over a restart
  memory::Reservation inbox_memory_;
  std::unique_ptr<node::Inbox> inbox_;  // null: there is none. Ends after the shards' threads
  memory::Reservation letters_memory_, taken_memory_;
  // Null: no letters are kept for others, or for receivers here. They end after the shards'
  // threads.
  std::shared_ptr<keeper::LetterRoom> letter_room_;  // owners: this, shards
  std::unique_ptr<node::LetterRecords> letters_;
  std::unique_ptr<node::TakenLetters> taken_letters_;
  std::vector<std::unique_ptr<node::TakenLetters::On>> taken_on_;  // by shard
  std::unique_ptr<runtime::ThreadWorkerPool> workers_;
  std::unique_ptr<shard::GossipHub> hub_;             // used on shard 0's thread
  std::unique_ptr<runtime::AddressWatch> addresses_;  // outlives the loop that watches it
  node::SendLimiter::Windows send_windows_;           // constant once the limiters are there
  std::vector<node::ShardThread> threads_;
  std::shared_ptr<keeper::Registry> registry_;  // owners: this, shards
  const std::shared_ptr<keeper::Cards> cards_ = std::make_shared<keeper::Cards>();  // the same
  std::mutex receivers_mutex_;
  struct OpenReceiver {
    unsigned shard = 0;
    std::string name;  // empty: it is not kept
  };
  std::map<NodeId, OpenReceiver> receivers_;
  std::shared_ptr<circuit::Quota> quota_;        // owners: this, shards
  std::shared_ptr<shard::LentToShards> lent_;    // owners: this, shards; null: there is one
  std::shared_ptr<shard::PipesOfShards> pipes_;  // owners: this, shards
  std::unique_ptr<node::Placement> placement_;
  SocketAddress address_;
  TimePoint started_{};
  bool said_alone_ = false;                   // on shard 0
  QuotaStage said_stage_ = QuotaStage::open;  // the same
  std::atomic<bool> stopping_{false};
  std::atomic<bool> ended_{false};  // no thread of a shard runs any more
  std::mutex stop_mutex_;
  bool stopped_ = false;

  node::Joining joining_;
  node::Reachability reachability_;
  std::uint64_t join_logged_ = 0;              // the last change that the log has
  std::optional<node::Notices> notices_;       // on shard 0, or on the last shard that answers
  std::shared_ptr<shard::NodeGuards> guards_;  // owners: this, shards
  node::Requests requests_;
  std::mutex handler_mutex_;
  // By channel. Owners: this, calls under way.
  std::unordered_map<ChannelNumber, std::shared_ptr<MessageHandler>> handlers_;
  std::shared_ptr<RoomHandler> room_handler_;      // the same
  std::atomic<bool> room_is_heard_ = false;        // there is one
  std::shared_ptr<PipeHandler> pipe_handler_;      // the same; null: there is none
  std::shared_ptr<JoinListener> join_handler_;     // the same
  std::atomic<bool> threw_{false};                 // and it was said
  std::map<std::string, std::string> entries_said_;  // shard 0's thread
  runtime::Resolver resolver_;                     // ends before the loop that it answers to
};

template <class F>
void Node::Impl::call_out(std::string_view callback, F&& f) {
  try {
    f();
  } catch (...) {
    on_threw(callback);
  }
}

template <class Whole, class Part>
std::future<Whole> Node::Impl::gather(std::function<Part(node::ShardThread&)> part,
                                      std::function<Whole(std::vector<Part>&&)> combine) {
  auto query = std::make_shared<node::ShardQuery<Part, Whole>>();
  query->parts.resize(threads_.size());
  query->missing = threads_.size();
  query->combine = std::move(combine);
  auto future = query->promise.get_future();
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    node::ShardThread& thread = threads_[i];
    const bool posted =
        thread.loop->post([query, i, &thread, part](Now) { query->put(i, part(thread)); });
    if (!posted) query->put(i, Part{});
  }
  return future;
}

}  // namespace qudag
