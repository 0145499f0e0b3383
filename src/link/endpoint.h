// All QUIC connections of one shard: the only module that knows ngtcp2.
//
// The steps of a turn, in order:
//   1. receive() takes a batch of datagrams, routes each by connection id to its link, creates a
//      link for an acceptable Initial, and calls LinkEvents for what came out of it;
//   2. the owner calls write(), consume(), reset()...; they only queue and mark the link dirty;
//   3. on_time() runs expired QUIC timers, idle rules and dial timeouts;
//   4. flush() writes packets of every dirty link, full-size and padded, in trains, round robin
//      between links, and hands them to the socket; trains the socket refuses are kept and sent
//      first next time.
// No function of Endpoint may be called from inside LinkEvents but those marked [in events].
//
// A stream is one circuit on this link. Its send queue is a chain of blocks; the endpoint keeps a
// block until the peer acknowledged its bytes. Flow control is the owner's: bytes given to
// on_stream_data count against the stream's window until the owner calls consume().
#pragma once

#include "base/bounded.h"
#include "base/limits.h"
#include "base/link_id.h"
#include "base/rng.h"
#include "base/time.h"
#include "crypto/aead.h"
#include "crypto/identity.h"
#include "link/admission/admission.h"
#include "link/dialing/redial.h"
#include "link/lifecycle.h"
#include "link/stats.h"
#include "memory/block.h"
#include "memory/lent_places.h"
#include "runtime/driver.h"
#include "runtime/socket.h"
#include "wire/end_code.h"

#include <qudag/message.h>
#include <qudag/options.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qudag::link {

using qudag::LinkId, qudag::StreamId;
using wire::EndCode;

struct LinkInfo {
  LinkId id;
  LinkState state = LinkState::closed;
  bool dialer = false;
  SocketAddress remote;
  std::optional<NodeId> peer;  // dialed id, or the id a known dialer proved
  std::string tls_group;       // "X25519MLKEM768"
  std::string tls_signature;   // "mldsa65"
  std::string tls_cipher;
  std::string alpn;
  Duration age{};
  Duration smoothed_rtt{};
  std::uint64_t congestion_window = 0, in_flight = 0;  // bytes
  std::uint64_t bytes_in = 0, bytes_out = 0;
  std::uint64_t packets_lost = 0;
  std::size_t streams = 0;
  std::size_t queued_bytes = 0;  // not yet in a packet
  std::size_t unacked_bytes = 0;
};

/// Whom a dial serves: this node, or a circuit of others that goes on to that peer.
/// `look`: to see that the peer is there; who asks for it has waits of its own.
enum class DialFor : std::uint8_t { us, others, look };

/// What the owner hears. Called inside receive(), on_time() and flush().
class LinkEvents {
 public:
  virtual ~LinkEvents() = default;
  /// Handshake confirmed; for a dialed link the peer's id was checked.
  virtual void on_link_ready(LinkId link, Now now) = 0;
  /// Nothing new begins on it: its peer stops, or another link takes its place (then either side
  /// may have said so). What is under way goes on for a while.
  virtual void on_link_draining(LinkId link, Drain why, Now now) {
    static_cast<void>(link), static_cast<void>(why), static_cast<void>(now);
  }
  /// Once per link that was dialed or became ready. All its streams are gone; no on_stream_closed
  /// is sent for them.
  virtual void on_link_closed(LinkId link, const Error& why, Now now) = 0;
  /// A whole control frame (type, body) on stream 0 that the link itself does not handle
  /// (hello, ping, pong and goodbye are the link's; gossip and load are the owner's).
  virtual void on_control_frame(LinkId link, std::uint8_t type, Bytes body, Now now) = 0;
  /// The peer opened a stream.
  virtual void on_stream_opened(StreamId stream, Now now) = 0;
  /// Bytes in order. The view ends with the call: copy what must stay (the one copy of a relay).
  virtual void on_stream_data(StreamId stream, std::uint64_t context, Bytes data, Now now) = 0;
  /// `bytes` of queued data went into packets for the first time ("left for the next hop").
  virtual void on_stream_sent(StreamId stream, std::uint64_t context, std::size_t bytes,
                              Now now) = 0;
  /// Reset by the peer, or finished in both directions. The stream is gone afterwards.
  virtual void on_stream_closed(StreamId stream, std::uint64_t context, EndCode code, Now now) = 0;
};

struct EndpointOptions {
  std::uint8_t shard = 0;  // written into connection ids: first byte % shards == shard
  std::uint8_t shards = 1;
  std::size_t links_max = 1024;
  /// Which of these this shard may have now; null: all of them. Outlives the endpoint.
  memory::LentPlaces* places = nullptr;
  /// Dials for others under way, apart from links; the owner chooses which (pool/dial_places.h).
  std::size_t dials_max = 64;
  std::size_t half_open_max = 256;  // above half of it, new peers must prove their address (Retry)
  /// Shares of one block of addresses, and rates of handshakes: link/admission/admission.h. 0: no
  /// bound.
  std::size_t prefix_links_max = 0;
  std::size_t prefix_half_open_max = 0;
  std::uint64_t handshakes_per_second = 0;
  std::uint64_t prefix_handshakes_per_second = 0;
  std::size_t streams_per_link_max = 4096;
  /// Of ngtcp2 and of streams; outlives the endpoint. Null: no bound.
  memory::Budget* memory = nullptr;
  /// The same for TLS of links that others dial, until they are ready, and for what a link takes
  /// outside QUIC's memory.
  memory::Budget* handshake_memory = nullptr;
  memory::Budget* link_memory = nullptr;
  std::size_t stream_window_bytes = 512 * 1024;
  /// What windows that grew beyond that for a long path may have together, and those of links
  /// beyond theirs.
  std::size_t long_windows_bytes = 64 * 1024 * 1024;
  std::size_t link_window_bytes = 16 * 1024 * 1024;
  /// What a link may receive a second, in bursts of a second; 0: no bound. Its windows wait.
  std::uint64_t link_bytes_per_second = 0;
  std::chrono::milliseconds handshake_timeout{5'000};
  /// A dial ends after so long without any packet of the peer: its first flight was said three
  /// times by then.
  std::chrono::milliseconds unanswered_max{2'000};
  std::chrono::milliseconds idle_timeout{30'000};
  std::chrono::milliseconds keepalive{10'000};  // only for links that carry streams
  /// A link with streams that has been used is asked for a sign of life after a third of this
  /// silence, and ends after all of it. Zero: only the idle timeout ends it.
  std::chrono::milliseconds silence_max{0};
  /// After the goodbye of a node that stops its circuits have so long to end.
  std::chrono::milliseconds drain_max{60'000};
  /// The same for a link that another one replaces: longer than any circuit lives.
  std::chrono::milliseconds replaced_drain_max{20 * 60'000};
  /// The dialer replaces an older link by a new one; 0: never.
  std::chrono::milliseconds age_max{0};
  /// When a peer that did not answer is dialed again.
  RedialRules redial = {};
  /// The largest UDP payload that path MTU discovery tries; 1200 to limits::kPacketBytesMax.
  std::size_t packet_bytes_max = limits::kPacketBytesMax;
  Congestion congestion = Congestion::automatic;
  /// Where links that others dial at another address go on: one IPv4, one IPv6 (path/preferred.h).
  std::vector<SocketAddress> preferred_address = {};
  /// Prove our identity to the peers that we dial (a relay in gossip); otherwise a throwaway key.
  bool known = false;
  /// Times of cells and links are shown where so many streams have part in them: a relay tells
  /// nothing of single circuits, which have up to two streams here.
  std::size_t streams_shown_least = 1;
  /// Which shard a stranger's link goes to; null: where its first packet came.
  std::function<std::uint8_t()> place_link = {};
  /// What this machine encrypts fastest with: the suite it offers first, and takes first.
  crypto::Cipher cipher = crypto::Cipher::aes_256_gcm;
  /// Peers that dialed us at an address which is gone are dialed from here. A node that is no relay
  /// dials only whom it chose.
  bool dials_back = true;
  /// Signatures and key exchanges of handshakes run there, and come back through the shard's
  /// executor; both outlive the endpoint. Null: they run inside the turn (1.2 ms each).
  runtime::WorkerPool* workers = nullptr;
  runtime::Executor* executor = nullptr;
  /// False makes a peer that breaks the protocol, for a test; never in a node.
  bool say_hello = true;
  /// Receives TLS secrets, for a packet capture in a test; never set in a node.
  std::function<void(std::string_view line)> keylog = {};
};

/// Whether Congestion::automatic is more than plain CUBIC here: ngtcp2 was built by ./dev setup.
[[nodiscard]] bool forgives_losses();

/// Where a datagram goes whose connection id names another shard. May be null with one shard.
class WrongShard {
 public:
  virtual ~WrongShard() = default;
  virtual void hand_over(std::uint8_t shard, const runtime::Received& datagram) = 0;
};

class Endpoint {
 public:
  /// The identity and rng must outlive the endpoint. Fails if TLS contexts cannot be made.
  static Result<std::unique_ptr<Endpoint>> create(EndpointOptions options,
                                                  const crypto::Identity& identity,
                                                  memory::BlockPool& pool, Rng& rng,
                                                  LinkEvents& events, WrongShard* wrong_shard);
  ~Endpoint();

  // The turn.
  void receive(std::span<runtime::Received> batch, const SocketAddress& local, Now now);
  void on_time(Now now);
  /// True if everything went out; false if the socket refused trains.
  bool flush(runtime::DatagramSocket& socket, Now now);
  TimePoint next_deadline() const;

  // Links. [in events] for all of them.
  /// The link to that node: of existing ones that are not draining the one with the fewest streams,
  /// or a new one. `unreachable` if it did not answer at that address a moment ago (pool/redial.h);
  /// dials for others neither ask for that nor leave it behind.
  Result<LinkId> dial(const NodeId& peer, const SocketAddress& at, const SocketAddress& local,
                      Now now, DialFor whom = DialFor::us);
  /// A new link in any case, to see that the node is there. Nothing uses it while another one is
  /// as good, so that it ends unused.
  Result<LinkId> dial_anew(const NodeId& peer, const SocketAddress& at, const SocketAddress& local,
                           Now now);
  /// We want that link, too: a dial for others becomes ours.
  void adopt(LinkId link);
  /// Dials for others became links that there is no place for; three quarters of all places are
  /// taken: the rest are for who dials us, and for us.
  bool overfull() const;
  bool crowded() const;
  std::optional<LinkId> find(const NodeId& peer) const;
  std::optional<LinkInfo> info(LinkId link) const;
  std::vector<LinkInfo> links() const;
  /// The peer did not answer a dial lately, and there was no link with it since.
  bool failed_lately(const NodeId& peer, Now now) const;
  /// A warm link is asked for a sign of life even without streams, so that it does not end idle. Of
  /// several links to a peer at most this one.
  void keep_warm(LinkId link, bool warm);
  /// Its peer is to show that it lives: else the link ends, after three probe times. Nothing if it
  /// is asked already.
  void ask(LinkId link, Now now);
  void close(LinkId link, EndCode code, Now now);
  /// It was dialed to see whether it can be (dial_anew); if there is another ready link with that
  /// peer, this one takes nothing new, and ends when what is under way on it has (GOODBYE 0).
  void give_up_spare(LinkId link, Now now);
  /// This node's own address changed: dialed links move there (RFC 9000, 9) and keep their streams.
  /// Needless for a socket on a wildcard address; links that others dialed cannot be moved.
  void move(const SocketAddress& local, Now now);
  /// This machine's addresses changed, and the kernel chooses among them (a wildcard address):
  /// links that we dialed go on from the new one and say something, so that a peer that is sending
  /// learns where to; those whose own address is gone, and that a known peer dialed, are dialed
  /// from here.
  void probe_peers(const runtime::DatagramSocket& socket, Now now);
  /// Stops accepting, says goodbye on every link; done when links() is empty or the deadline ends.
  void shutdown(Now now);
  bool send_control(LinkId link, std::uint8_t type, Bytes body);

  // Streams. [in events] for all of them.
  /// `would_block` when the peer's stream limit is reached, `link_closed` unless ready.
  Result<StreamId> open(LinkId link, Priority priority, std::uint64_t context);
  void set_context(StreamId stream, std::uint64_t context);
  void set_priority(StreamId stream, Priority priority);
  /// Queues; always takes it. The owner watches queued_bytes() or on_stream_sent.
  void write(StreamId stream, memory::Block block);
  std::size_t queued_bytes(StreamId stream) const;
  /// Bytes written and not yet acknowledged, and for how long the oldest has waited.
  struct MemoryHeld {
    std::size_t bytes = 0;
    std::chrono::milliseconds waited{};
  };
  MemoryHeld held(StreamId stream) const;
  /// It is in use, and has brought nothing for so long that an answer is overdue: it may be dead,
  /// and ends soon unless something comes.
  bool is_silent(LinkId link, Now now) const;
  void consume(StreamId stream, std::size_t bytes);
  /// The same in two steps, if the peer is to wait: the link's window now, the stream's later.
  void release(StreamId stream, std::size_t bytes);
  void reopen(StreamId stream, std::size_t bytes);
  /// Ends both directions at once; no more events for this stream.
  void reset(StreamId stream, EndCode code);

  /// What the windows of streams grow or shrink to, as their bytes are consumed; whole KiB, at
  /// least half of EndpointOptions::stream_window_bytes, with which a new stream begins. On a long
  /// path a window that is used goes beyond it: link/path/window.h.
  void set_stream_window(std::size_t bytes);
  /// The same of a link, where memory is short; beyond its first size it goes on long paths.
  void set_link_window(std::size_t bytes);
  /// EndpointOptions::long_windows_bytes from now on; above it windows go back.
  void set_long_windows(std::size_t bytes);
  // Protection, for the overload manager. Between turns.
  /// New peers must prove their address before they get any state here.
  void require_proof(bool required);
  /// While paused, windows of streams of that priority do not grow: their senders stop. What is
  /// consumed meanwhile counts when it is over.
  void pause(Priority priority, bool paused);
  /// Ends up to `links_max` links that have had no stream for so long; how many it ended.
  std::size_t close_unused(Duration quiet, std::size_t links_max, Now now);
  /// Accepted links in the handshake / allowed, and handshakes / allowed rate: the larger.
  double handshake_pressure(Now now);

  /// Looks at the places that shards lend each other: says if some are missed, and ends unused
  /// links if some are owed.
  void look_at_places(Now now);
  /// Gives back memory that only a burst needed. Between turns, from maintenance.
  void trim();
  /// Of that, the part that costs nobody anything: empty slabs.
  void trim_heap();
  /// Round trips and losses of links for stats(), now and then.
  void look_at_links();
  EndpointStats stats() const;
  void report(BoundedList& out) const;

  class Impl;

 private:
  explicit Endpoint(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace qudag::link
