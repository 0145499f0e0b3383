// One QUIC connection: ngtcp2 and TLS objects, streams, send schedule, control stream, its end.
//
// Life: link/lifecycle.h has the states and the rules of time. A link that ends is about to close
// until the next flush, then retired: the QUIC state is freed, and what stays for a moment answers
// late packets with the same close.
//
// ngtcp2 must not be entered again from its own callbacks (but for a few calls), so: LinkEvents
// that come from reading packets are sent from the callbacks; what their receiver then asks for is
// queued or is one of the allowed calls; on_stream_sent is sent after a train is complete; deletion
// is the endpoint's, between calls.
#pragma once

#include "base/deadline_heap.h"
#include "link/connection/close_echo.h"
#include "link/connection/held.h"
#include "link/connection/incoming.h"
#include "link/connection/shared.h"
#include "link/lifecycle.h"
#include "link/path/control_pace.h"
#include "link/path/link_window.h"
#include "link/path/loss_judge.h"
#include "link/path/state.h"
#include "link/path/train.h"
#include "link/stream/control.h"
#include "link/stream/early.h"
#include "link/stream/table.h"

#include <memory>
#include <optional>

namespace qudag::link {

/// Packets that ask for an acknowledgement until one leaves at once; its delay bound is 25 ms.
inline constexpr std::size_t kAckEvery = 10;

class Connection {
 public:
  static Result<std::unique_ptr<Connection>> dial(Shared& shared, LinkId id, const NodeId& peer,
                                                  const SocketAddress& at,
                                                  const SocketAddress& local);
  static Result<std::unique_ptr<Connection>> accept(Shared& shared, LinkId id,
                                                    const Incoming& incoming);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  LinkId id() const { return id_; }
  LinkState state() const { return life_.state(); }
  const Lifecycle& life() const { return life_; }
  bool is_silent(TimePoint now) const { return life_.is_silent(now, probe_time()); }
  bool dialer() const { return dialer_; }
  const std::optional<NodeId>& peer() const { return peer_; }
  /// Usable for dial(): not ending, and the peer did not say goodbye.
  bool reusable() const;
  LinkInfo info() const;
  /// Its round trip; nothing unless it is ready. Counts the packets that were lost meanwhile.
  std::optional<Duration> look();
  std::size_t held_datagrams() const { return held_.size(); }

  // The turn.
  Verdict receive(NativePath path, std::uint8_t ecn, Bytes datagram);
  /// `late`: how long after its deadline it is called; this shard's own delay is no peer's silence.
  void expire(Duration late);
  /// Writes packets until the room, the quantum or ngtcp2's budget ends; false if nothing came.
  bool write_train(MutableBytes room, TrainInfo& out);
  /// Before the first train of a flush: the bytes that may leave in it (pacing).
  std::size_t begin_writing();
  /// After the last one: sets the pacing clock, frees TLS when it is done. A link that used its
  /// whole quantum may have more to write.
  void end_writing(bool quantum_used);
  void report_sent();
  TimePoint deadline() const;

  // Steps of the handshake off the loop, see connection/handshake.cc.
  bool wants_step() const { return step_ == Step::waiting && !closing_soon() && !retired(); }
  /// For a worker, which has it from begin_step() to finish_step().
  const std::shared_ptr<TlsEngine>& engine() const { return tls_.engine(); }
  void begin_step();
  void finish_step(WorkEnd how);

  // The end.
  bool closing_soon() const { return closing_.has_value(); }
  /// The handshake was complete.
  bool was_ready() const { return !facts_.group.empty(); }
  /// Ends the link at the next flush; the first reason stays.
  void close_soon(Error why, EndCode code);
  void say_goodbye(Drain why);
  /// A warm link is asked for a sign of life even without streams, so that it does not end idle.
  void keep_warm(bool warm);
  /// Both sides dialed before they heard of each other, or the same side dialed both.
  bool is_twin_of(const Connection& other) const;
  /// Which shard of the peer the link ends at, from 1; 0: it did not say.
  std::uint8_t peer_place() const { return peer_place_; }
  /// A dialed link goes on from another local address; false if not by a path of its own.
  bool move(const SocketAddress& local);
  /// Sends a ping: any packet tells the peer where we are now. False unless ready.
  bool probe_peer();
  /// Ends soon, unless its peer says something. False if it was not asked.
  bool ask();
  /// The address is gone at which the peer dialed us: nothing new goes here. False if it cannot be
  /// dialed instead.
  bool leave_behind();
  /// Of this machine's addresses the one that is used; and the peer's.
  SocketAddress here() const;
  bool is_at(const sockaddr_in6& remote) const;
  SocketAddress remote() const;
  const SocketAddress& dialed_at() const { return path_.first_remote(); }
  /// It was dialed for a circuit of others, and is not ready.
  bool for_others() const { return for_others_; }
  void begin_for_others();
  void end_for_others();
  /// Writes CONNECTION_CLOSE if one is due; 0 bytes otherwise.
  bool write_close(MutableBytes room, TrainInfo& out);
  /// Frees the QUIC state; returns the reason. Retired links answer late packets until `until`.
  Error retire();
  bool retired() const { return conn_ == nullptr; }
  /// The close packet again, for every 2^n-th late packet; empty otherwise.
  Bytes late_answer() { return close_echo_.answer(); }

  // Streams.
  Result<std::int64_t> open(Priority priority, std::uint64_t context);
  Stream* find(std::int64_t index);
  std::size_t streams() const { return streams_.size(); }
  /// The most urgent level with something to send; control if there is none, as for
  /// acknowledgements.
  std::uint8_t urgency() const { return streams_.turns().first_level(); }
  /// Ready, without a stream for that long.
  bool unused_for(Duration quiet) const;
  /// Priorities that are not paused any more get the windows that were held back.
  void give_held();
  void set_priority(Stream& stream, Priority priority) {
    streams_.set_level(stream, level_of(priority));
  }
  void write(Stream& stream, memory::Block block);
  /// release() and reopen() in one.
  void consume(Stream& stream, std::size_t bytes);
  /// Gives the link's window back; how many bytes were the stream's to give.
  std::size_t release(Stream& stream, std::size_t bytes);
  /// Gives the stream's window back, of so many bytes that were released.
  void reopen(Stream& stream, std::size_t bytes);
  void reset(Stream& stream, EndCode code);
  bool send_control(std::uint8_t type, Bytes body);

  DeadlineHook deadline_hook;
  bool dirty = false;  // in Shared::dirty

 private:
  friend struct Callbacks;
  enum class Step : std::uint8_t { none, waiting, under_way, done };
  struct Closing {
    Error why;
    bool send_close = false;
    ngtcp2_ccerr close{};
  };

  Connection(Shared& shared, LinkId id, bool dialer, const SocketAddress& local,
             const SocketAddress& remote);
  bool reserve();
  Status start(ngtcp2_conn* conn, std::optional<NodeId> expected);
  void touch();
  void touch_for_answer(std::size_t& bytes_since, std::size_t bytes);

  bool frozen() const { return step_ != Step::none; }
  int take_step();
  void hold(const NativePath& path, std::uint8_t ecn, Bytes datagram);
  void leave_step();

  // Callbacks of ngtcp2, see connection/callbacks.cc.
  int on_client_initial();
  int on_crypto_data(Bytes data);
  bool on_handshake_completed();
  void on_handshake_confirmed() { tls_done_ = true; }
  void on_preferred_address(ngtcp2_path& path, const ngtcp2_preferred_addr& told);
  void on_preferred_validated(bool success);
  bool on_stream_opened(std::int64_t index);
  bool before_hello(const Stream& stream) const;
  bool hold_early(Stream& stream);
  void drop_early(Stream& stream, EndCode code);
  void release_early();
  void take_stream(Stream& stream);
  void take_stream_data(Stream& stream, Bytes data);
  bool on_stream_data(Stream& stream, Bytes data, bool fin);
  void on_stream_ended(Stream& stream, std::uint64_t code);
  void on_stream_freed(Stream& stream, std::uint64_t code);
  bool on_control_data(Bytes data);
  void pay_control();
  bool on_control_frame(const ControlFrame& frame);
  bool on_hello(Bytes body);
  void give_token();
  void on_new_token(Bytes token);
  bool forgives_loss();

  void note_losses();
  void note_held_back(Stream& stream, std::size_t bytes);

  bool violation(const char* what);
  void check(int rv);
  void fail_with(int ngtcp2_error);
  void close_silently_soon(Error why);
  void begin_closing(Closing reason);
  void leave_dials();
  void add_stream(Stream& stream);
  void free_stream(Stream& stream);
  void free_all_streams();
  void note_sent(Stream& stream, std::size_t bytes);
  void sample_wait(Stream& stream);
  bool follow_rule(Lifecycle::Rule rule);
  Duration probe_time() const;
  void give_link_window(std::size_t bytes);
  void pay_window();
  void update_keepalive();
  bool own_pacing() const;
  Stream* next_stream();
  bool keeps_too_much() const;
  void on_acked(Stream& stream, std::size_t bytes);
  std::size_t packet_bytes() const;
  bool room_to_probe() const;
  bool stuck() const;
  bool waits_for_probe() const;
  void begin_drain(LifeEvent event, Drain why);
  void end_if_drained();
  bool take_path();
  void address(TrainInfo& train, const ngtcp2_path& path, const ngtcp2_pkt_info& info);
  StreamId name(const Stream& stream) const { return {id_, stream.index()}; }
  static ngtcp2_ssize write_packet(ngtcp2_conn* conn, ngtcp2_path* path, ngtcp2_pkt_info* info,
                                   std::uint8_t* out, std::size_t size, ngtcp2_tstamp now,
                                   void* self);

  Shared& shared_;
  LinkId id_;
  bool dialer_;
  memory::Reservation link_bytes_;
  memory::Reservation handshake_bytes_;  // until TLS is done
  bool half_open_ = false;               // counted in Shared::half_open
  bool for_others_ = false;
  bool counted_for_others_ = false;   // in Shared::dials_for_others, until it ends
  Admission::Block* seat_ = nullptr;  // of an accepted link, among those of its addresses
  bool hello_made_ = false;           // a dialer's TLS has begun
  Step step_ = Step::none;
  bool tls_done_ = false;  // both sides know that the handshake is complete
  bool hello_seen_ = false;
  TimePoint hello_by_ = kNever;          // while it is ready and the peer has not said HELLO
  std::unique_ptr<EarlyStreams> early_;  // what came before it
  bool control_open_ = false;            // ngtcp2 knows stream 0
  std::uint8_t peer_place_ = 0;
  Lifecycle life_;
  PathState path_;
  LossJudge losses_;
  bool judges_losses_ = false;  // of the default congestion control, where ngtcp2 asks
  std::optional<NodeId> peer_;
  TlsFacts facts_;
  TlsSession tls_;
  ngtcp2_conn* conn_ = nullptr;
  std::optional<Closing> closing_;

  StreamTable streams_;
  ControlReader control_reader_;
  ControlPace control_pace_;
  LinkWindow window_;
  LinkReach reach_;
  std::size_t unacked_ = 0;  // bytes of streams that are kept until the peer has them
  bool keep_last_ = false;   // packet of the window, for sparse streams: next_stream()
  TimePoint sparse_at_{};    // when one of those sent last
  std::size_t filled_ = 0;   // bytes that the packet being read brought to `filled_stream_`
  std::int64_t filled_stream_ = -1;
  bool wrote_ = false;              // in this flush
  TimePoint asked_at_{};            // when a packet last left that the peer acknowledges
  std::uint64_t lost_counted_ = 0;  // packets, by look()

  // What the peer waits for (acknowledgements, windows) and may ride on data, see
  // touch_for_answer().
  TimePoint answer_at_ = kNever;
  std::size_t heard_since_ = 0;  // bytes, since the last writing
  std::size_t given_since_ = 0;

  HeldDatagrams held_;
  LinkRoutes routes_;
  CloseEcho close_echo_;
};

/// The callbacks that ngtcp2 gets for every connection.
const ngtcp2_callbacks& connection_callbacks();
/// Connection::forgives_loss() is asked before the congestion controller hears of a loss. Nothing
/// where ngtcp2 was not built by ./dev setup, which adds the question.
void ask_about_losses(ngtcp2_conn* conn);
/// The congestion window, by what LossJudge::growth() says; as above.
void grow_window(ngtcp2_conn* conn, std::uint64_t bytes);

}  // namespace qudag::link
