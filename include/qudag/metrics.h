// What a node tells about itself: status records and the metrics table.
//
// Plain values, snapshots of a moment: copy them, use them on any thread, keep them as long as you
// like.
#pragma once

#include <qudag/address.h>
#include <qudag/message.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qudag {

/// Whether a node is *joined*: it can send, as far as it knows. At least one link is ready (dialed
/// by it, or by somebody else: so a first node without bootstrap entries is joined when others
/// come), and the netmap holds enough usable relays for a circuit with the number of relays asked
/// for (kRelaysDefault unless said otherwise; with 0 relays, a link is enough). Usable: its
/// descriptor is valid, it was reached as far as this node can know, and it may stand in one
/// circuit with the others (Options::distinct_networks). A destination that is one of these relays
/// needs one more of them; whether a destination is known at all is told by Node::is_known.
struct JoinState {
  bool joined = false;
  std::size_t links = 0;          ///< ready now, of all shards
  std::size_t relays = 0;         ///< usable together, counted up to kRelaysMax + 1
  std::size_t relays_wanted = 0;  ///< for the circuit asked for
  std::string reason;             ///< why not, for a person; empty when joined
};

/// Runs on a thread of the node; must not block.
using JoinHandler = std::move_only_function<void(const JoinState&)>;

/// How long something took, in the last one to two minutes; to about 3 %, never understated.
struct Times {
  std::uint64_t count = 0;
  std::chrono::microseconds p50{}, p90{}, p99{}, max{};
};

/// What a node keeps for programs that are not there.
struct InboxStatus {
  bool accept = false;  ///< new messages are kept
  std::uint64_t messages = 0;
  std::uint64_t messages_max = 0;
  std::uint64_t bytes = 0;
  std::uint64_t bytes_max = 0;
  bool failing = false;  ///< it cannot be written now, and refuses what comes
};

/// How far the month's bytes (Limits::month) are used up, in this order.
enum class QuotaStage : std::uint8_t {
  open,     ///< circuits of others are welcome, or there is no quota
  leaving,  ///< a twentieth is left: its descriptor says that it is no relay
  closed,   ///< half of that: new circuits are refused
  spent,    ///< nothing is left, and the circuits of others have ended
};
/// As they are written above. Never null.
[[nodiscard]] QUDAG_API std::string_view name_of(QuotaStage stage) noexcept;

/// What a relay gives to others, and what is left of it.
struct QuotaStatus {
  std::uint64_t bandwidth = 0;  ///< bytes a second; 0: no bound
  std::uint64_t burst = 0;      ///< bytes at once after a rest
  std::uint64_t month = 0;      ///< bytes of a month, in and out; 0: no bound
  std::uint64_t used = 0;       ///< of them; counted only if there is a bound
  QuotaStage stage = QuotaStage::open;
  std::chrono::seconds turns{};  ///< until the next month begins
};

struct NodeStatus {
  NodeId id;
  SocketAddress listen;
  std::string version;
  unsigned shards = 0;
  std::chrono::nanoseconds uptime{};
  std::size_t links = 0;
  std::size_t circuits = 0;
  std::size_t nodes_known = 0;  ///< descriptors in the netmap, our own included
  std::size_t relays_known = 0;
  bool joined = false;     ///< for circuits with kRelaysDefault relays, see JoinState
  std::string not_joined;  ///< why not; empty when joined
  /// By how much the wall clock is ahead of the peers' (behind: negative); nothing while fewer than
  /// three networks have said what time it is.
  std::optional<std::chrono::seconds> clock_off;
  /// Whether others reach it at an address that it publishes: one that it never sent anything to
  /// has linked to it (true), or relays know of it and none came in ten minutes (false).
  std::optional<bool> reachable;
  std::uint64_t memory_used = 0;  ///< reserved bytes, and the bound they stand under
  std::uint64_t memory_limit = 0;
  std::uint64_t rss = 0;  ///< resident bytes of the process
  Times circuit_build;    ///< from the request for a circuit until it is ready
  std::array<Times, kPriorityCount>
      delivery{};  ///< of messages, by priority: send to acknowledgement
  bool stopping = false;
  std::optional<InboxStatus> inbox;  ///< if it has one
  std::optional<QuotaStatus> quota;  ///< if limits.bandwidth or limits.month is set
};

/// A link's life, in this order.
enum class PeerState : std::uint8_t { dialing, handshaking, ready, draining, closed };
/// What this node is on a circuit.
enum class CircuitRole : std::uint8_t { source, relay, destination };
/// What kind of bounded thing a row is about.
enum class QueueKind : std::uint8_t {
  queue,   ///< items that wait for their turn
  pool,    ///< pieces of memory for reuse
  table,   ///< records that are looked up
  buffer,  ///< bytes on their way
  budget,  ///< bytes that others reserve; no items
};
/// As they are written above. Never null.
[[nodiscard]] QUDAG_API std::string_view name_of(PeerState state) noexcept;
[[nodiscard]] QUDAG_API std::string_view name_of(CircuitRole role) noexcept;
[[nodiscard]] QUDAG_API std::string_view name_of(QueueKind kind) noexcept;

struct PeerStatus {
  std::optional<NodeId> id;  ///< unknown for a dialer that does not say
  SocketAddress address;
  PeerState state = PeerState::closed;
  bool dialed = false;        ///< by us
  std::string tls_group;      ///< "X25519MLKEM768"
  std::string tls_signature;  ///< "mldsa65"
  unsigned shard = 0;
  std::chrono::nanoseconds age{};
  std::chrono::nanoseconds rtt{};
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::size_t circuits = 0;
};

struct CircuitStatus {
  std::uint64_t id = 0;
  unsigned shard = 0;
  CircuitRole role = CircuitRole::relay;
  Priority priority = Priority::normal;
  bool ready = false;
  /// What this node sees of the route, and nothing else: its neighbours, if their ids are proven.
  std::optional<NodeId> previous;
  std::optional<NodeId> next;
  std::optional<SocketAddress> previous_address;
  std::optional<SocketAddress> next_address;
  std::chrono::nanoseconds age{};
  std::uint64_t cells_forward = 0;
  std::uint64_t cells_backward = 0;
};

/// One bounded thing of a node: a level of a queue, a pool, a table, a buffer, a budget of memory.
/// docs/reference/limits.md lists them all.
struct QueueStatus {
  QueueKind kind = QueueKind::queue;
  std::string name;   ///< "messages to be sent"
  std::string level;  ///< of a queue with priorities: high, normal, low; else a part, or ""
  std::optional<unsigned> shard;  ///< none: of the node
  std::string when_full;          ///< what happens then: "refuse new"
  std::uint64_t items = 0;
  std::uint64_t items_max = 0;  ///< 0: counted in bytes only
  std::uint64_t bytes = 0;
  std::uint64_t bytes_max = 0;         ///< 0: counted in items only
  std::uint64_t bytes_bound = 0;       ///< what new ones may fill now, if that moves; else 0
  std::uint64_t bytes_per_second = 0;  ///< at which it drains, where the bound follows that
  std::chrono::nanoseconds age_max{};  ///< 0: emptied in every turn
  // Of queues.
  std::chrono::nanoseconds oldest{};      ///< how long the first item has waited
  std::chrono::nanoseconds waited_p50{};  ///< of those that left; upper bounds, powers of two
  std::chrono::nanoseconds waited_p99{};
  std::chrono::nanoseconds waited_max{};
  std::uint64_t entered = 0;
  std::uint64_t left = 0;
  struct Drops {
    std::string reason;  ///< items_full, bytes_full, too_large, oldest, expired, purged
    std::uint64_t count = 0;
  };
  std::vector<Drops> drops;  ///< those that happened
};

enum class SampleKind : std::uint8_t { counter, gauge, histogram };

/// One line of the metrics page, over all shards. A histogram is a line for each bucket
/// (`..._bucket{le="0.000064"}`: how many took less than 64 us), `..._sum` in seconds and
/// `..._count`, as Prometheus has it: such lines of several nodes may be added.
struct MetricSample {
  std::string name;    ///< Prometheus style: qudag_cells_total
  std::string labels;  ///< "" or `priority="high",reason="expired"`
  std::string help;    ///< a sentence
  SampleKind kind = SampleKind::counter;
  double value = 0;
  std::string family;  ///< the name without _bucket, _sum and _count
};

/// Counts OpenSSL's memory from now on, for the metrics `qudag_tls_...`, by hooks that are
/// process-wide: call it first in main or not at all. False if OpenSSL was used before.
QUDAG_API bool count_tls_memory() noexcept;

}  // namespace qudag
