// What an operator or embedder can set on a node. Every field has a bound and a default. The keys
// of the configuration file and the flags are named after them (docs/config.example.toml).
//
// A plain value: start() takes a copy, and nothing that happens to the original later counts. Sizes
// are bytes unless said otherwise.
#pragma once

#include <qudag/address.h>
#include <qudag/log.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

namespace qudag {

struct Limits {
  std::uint64_t memory = std::uint64_t{512} << 20;  ///< bytes of the whole node; at least 32 MiB
  std::size_t links = 1'024;                        ///< QUIC connections, all shards together
  std::size_t warm_links = 16;                      ///< kept or opened ahead of need; 0: none
  std::size_t half_open = 256;                      ///< of them still in the handshake
  /// Of one block of addresses, /24 or /48; 0: no bound, as for all that follow in this group.
  std::size_t links_per_prefix = 256;
  std::size_t half_open_per_prefix = 64;        ///< half of them without proof of address
  std::uint64_t handshakes_per_second = 1'000;  ///< that others begin; bursts of 2 s of it
  std::uint64_t handshakes_per_prefix = 200;    ///< the same for one block of addresses
  std::uint64_t link_bytes_per_second = 0;      ///< that one link may bring
  std::size_t circuits = 10'000;                ///< in all roles, all shards together
  std::size_t circuits_building = 256;
  std::size_t circuits_per_link = 4'096;    ///< that one link may open
  std::uint64_t builds_per_second = 2'000;  ///< that others begin; 0: no bound; bursts of 2 s
  std::uint64_t builds_per_link = 500;      ///< the same for one link
  std::size_t queue_high = 10'000;          ///< messages waiting to be sent, per priority
  std::size_t queue_normal = 50'000;
  std::size_t queue_low = 100'000;
  /// The same in bytes; a shard has its part, but always room for one message of 64 MiB.
  std::uint64_t queue_high_bytes = std::uint64_t{64} << 20;
  std::uint64_t queue_normal_bytes = std::uint64_t{128} << 20;
  std::uint64_t queue_low_bytes = std::uint64_t{256} << 20;
  /// How long a message may wait to be sent, of what its destination drains: senders of a flow that
  /// has more waiting are refused, or wait. Of normal priority; high has a quarter of it, low four
  /// times as much. 0: only the bounds above.
  unsigned queue_delay_ms = 100;
  /// Windows of links and streams beyond their first size, for long paths, may have one in so many
  /// of the memory that is free, and buffers of sockets grow on need; 0: they all keep their size.
  unsigned windows_one_in = 8;
  std::size_t pipes = 2'048;  ///< both those that were opened here and those that others opened
  /// What pipes hold and may be sent, of `memory`; a shard has its part.
  std::uint64_t pipe_bytes = std::uint64_t{64} << 20;
  /// Of a keeper, on its disk (in `state_dir`): letters for receivers that are away. 0: none.
  std::uint64_t letters_bytes = std::uint64_t{1} << 30;
  // What a relay gives to others; what this node sends and receives itself is apart from it.
  // Node::set_quota changes them while it runs.
  std::uint64_t bandwidth = 0;        ///< bytes a second that it passes on; 0: no bound
  std::uint64_t bandwidth_burst = 0;  ///< after a rest, at once; 0: a second's worth
  /// Bytes of a month (UTC), both those that come in and those that go out; 0: no bound. Counted in
  /// `state_dir`, or for this run only.
  std::uint64_t month = 0;
};

/// Messages for which no program is there, kept on the disk until one takes them.
struct InboxOptions {
  /// A directory of its own, mode 0700, made if it is not there. One process at a time. Empty: no
  /// inbox.
  std::filesystem::path dir;
  /// Keep what comes, and tell its sender `delivered` when it is on the disk. False: what was kept
  /// before is handed out, and nothing new is kept.
  bool accept = false;
  std::size_t messages = 100'000;                  ///< then it is full
  std::uint64_t bytes = std::uint64_t{256} << 20;  ///< the same; a message counts 320 more
  std::chrono::seconds keep{7 * 24 * 3600};        ///< what nobody took by then is removed
};

/// How fast a link may send.
enum class Congestion : std::uint8_t {
  /// CUBIC (RFC 9438) that keeps its rate when packets are lost while no queue shows in the round
  /// trip, as on radio and long cables; one in twenty at most. Where ngtcp2 was not built by
  /// `./dev setup` it is plain CUBIC.
  automatic,
  cubic,  ///< Takes every loss for a full queue.
  bbr,    ///< BBR, which follows a model of the path, and needs more of the machine.
};
/// "auto", "cubic", "bbr"
[[nodiscard]] QUDAG_API std::string_view name_of(Congestion congestion) noexcept;

/// What encrypts links and this node's own circuits: see Options::cipher.
enum class Cipher : std::uint8_t {
  automatic,  ///< AES if the CPU has instructions for it
  aes_256_gcm,
  chacha20_poly1305,
};
/// "auto", "aes-256-gcm", "chacha20-poly1305"
[[nodiscard]] QUDAG_API std::string_view name_of(Cipher cipher) noexcept;

struct Options {
  /// The identity file (made by `qudag keygen`, mode 0600). Empty: a new identity for this run.
  std::filesystem::path identity;
  /// What such a file contains, for programs that keep it elsewhere; not together with `identity`.
  /// The copy that start() was given is overwritten with zeros; the caller's own is the caller's.
  std::vector<std::byte> identity_key;
  /// Where the node keeps its guards and what it knows of the network, so that a restart draws no
  /// new ones: a directory of its own, mode 0700, made if it is not there. One process at a time.
  /// Empty: nothing is kept.
  std::filesystem::path state_dir;
  /// Where to listen for QUIC over UDP. Port 0: the kernel chooses. Not given: a port that the
  /// kernel chooses, on all addresses of this machine if a bootstrap entry may be on another one
  /// (a name, or an address that is not of loopback), otherwise on 127.0.0.1, where only programs
  /// of this machine reach it. The log says which.
  std::optional<SocketAddress> listen;
  /// Addresses to publish in the descriptor; empty: `listen` as bound. Of a wildcard address that
  /// is one of each family, from which the system would send to the bootstrap entries.
  std::vector<SocketAddress> publish;
  /// Where nodes that dialed another address of this one go on, once the link is ready (RFC 9000,
  /// 9.6): its own, if what it publishes is a balancer's or several machines'. At most one IPv4 and
  /// one IPv6; port 0: as bound. What arrives there must reach the socket of `listen`. Who cannot
  /// reach it stays.
  std::vector<SocketAddress> preferred_address;
  /// Relays to join through: a node that is none tells others of nothing but itself. Three or more,
  /// so that none of them alone decides which relays this node knows.
  std::vector<PeerAddress> bootstrap;
  /// Take circuits that go on to other nodes.
  bool relay = true;
  /// A relay that is also a keeper: receivers wait here for their callers. Relays only.
  bool keeper = true;
  /// Prove our identity to nodes that we dial, and publish a descriptor. A node that only sends and
  /// gets replies may say false; then nobody can address it.
  bool known = true;
  /// Threads with their own sockets, links and circuits; 0: one per core.
  unsigned shards = 0;
  /// The largest UDP payload to try on each path, 1,200 to 8,952 bytes. Paths that take no more
  /// than 1,500 bytes a packet, as most of the internet, are found out; 1,452 never asks for more.
  std::size_t packet_bytes_max = 8'952;
  /// Microseconds that a shard looks for work before it sleeps, while its rests are shorter than
  /// that: between a question and its answer sleeping and waking take longer than the work. An idle
  /// node sleeps. 0: it always does. At most 1,000.
  unsigned awake_us = 100;
  /// Of links and of this node's own circuits. Circuits tell every hop which; see
  /// docs/threat-model.md.
  Cipher cipher = Cipher::automatic;
  /// Two hops of a route never lie in one /16 (IPv4) or /32 (IPv6); loopback is exempt.
  bool distinct_networks = true;
  /// How many first hops a node keeps to, all its shards together; 0: any relay. New circuits go to
  /// the least loaded of them.
  std::size_t guards = 2;
  /// How many second hops a node that is no relay keeps to, each for days: whoever makes it build
  /// many circuits then sees these, and not its guards. 0: any relay. Relays always use any.
  std::size_t second_guards = 4;
  /// Renewed at half of it; a descriptor does not outlive the newest onion key in it.
  std::chrono::seconds descriptor_lifetime{2 * 3600};
  /// Rotated at half of it, and then accepted for the other half. Who seizes a node's keys learns
  /// the next hops of builds that it recorded in that time, and no more.
  std::chrono::seconds onion_key_lifetime{4 * 3600};
  std::chrono::seconds gossip_interval{60};
  /// How old a link gets that this node dialed, give or take an eighth; then a new one takes its
  /// place, with new keys from a new handshake, while the circuits on it end in their own time.
  std::chrono::seconds link_lifetime{24 * 3600};
  Congestion congestion = Congestion::automatic;
  InboxOptions inbox;
  Limits limits;
  /// The process is this node's alone, so all that it holds counts under limits.memory: code,
  /// stacks, the local API. A program that embeds a node among other things leaves it false.
  bool whole_process = false;
  LogLevel log_level = LogLevel::info;
  /// Where lines of the log go: one line, without its end, valid during the call. Runs on any
  /// thread of the node or of a caller, one at a time; must not block, throw, or call the node.
  /// Empty: standard error.
  std::function<void(LogLevel level, std::string_view line)> log_sink;
  /// Show addresses and ids in logs.
  bool log_sensitive = false;
};

/// Checks every bound; config_invalid with the field's name and what would be right.
[[nodiscard]] QUDAG_API Status validate(const Options& options);

}  // namespace qudag
