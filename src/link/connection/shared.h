// What all links of one endpoint share: options, seams, tables and lists. Owned by Endpoint::Impl.
#pragma once

#include "base/deadline_heap.h"
#include "base/secret.h"
#include "link/admission/address_tokens.h"
#include "link/admission/admission.h"
#include "link/endpoint.h"
#include "link/lifecycle.h"
#include "link/path/cid.h"
#include "link/path/native_time.h"
#include "link/path/window.h"
#include "link/stream/stream.h"
#include "link/tls/tls.h"
#include "memory/scratch.h"
#include "memory/slab_heap.h"

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

namespace qudag::link {

/// Stateless reset tokens that peers announced, to know a reset when it comes (RFC 9000, 10.3.1).
using ResetToken = std::array<std::uint8_t, NGTCP2_STATELESS_RESET_TOKENLEN>;
struct ResetTokenHash {
  std::size_t operator()(const ResetToken& token) const {
    std::size_t value = 0;
    std::memcpy(&value, token.data(), sizeof value);  // random by construction
    return value;
  }
};
using ResetTokens = std::unordered_map<ResetToken, Connection*, ResetTokenHash>;

/// Sizes that path MTU discovery tries, the largest first.
struct MtuProbes {
  std::array<std::uint16_t, 5> sizes{};
  std::size_t count = 0;
};

inline AdmissionOptions admission_options(const EndpointOptions& o) {
  return {.links_max = o.links_max,
          .half_open_max = o.half_open_max,
          .handshakes_per_second = o.handshakes_per_second,
          .prefix_links_max = o.prefix_links_max,
          .prefix_half_open_max = o.prefix_half_open_max,
          .prefix_handshakes_per_second = o.prefix_handshakes_per_second};
}

/// Of a block's queued_at: 2^14 ns.
inline constexpr unsigned kTickBits = 14;

struct Shared {
  Shared(EndpointOptions endpoint_options, TlsContexts contexts, memory::BlockPool& block_pool,
         Rng& random, LinkEvents& owner)
      : heap(endpoint_options.memory),
        options(std::move(endpoint_options)),
        tls(std::move(contexts)),
        pool(block_pool),
        rng(random),
        events(owner),
        admission(admission_options(options), random),
        routes(random),
        life{.handshake_max = options.handshake_timeout,
             .unanswered_max = options.unanswered_max,
             .silence_max = options.silence_max,
             .keepalive = options.keepalive,
             .stopping_max = options.drain_max,
             .replaced_max = options.replaced_drain_max,
             .age_max = options.age_max},
        window_kib(static_cast<std::uint16_t>(options.stream_window_bytes / 1024)),
        grown(window_kib, options.long_windows_bytes / 1024),
        link_window_kib(options.link_window_bytes / 1024),
        grown_links(link_window_kib, options.long_windows_bytes / 1024),
        cells_waited{CrowdTimes(options.streams_shown_least),
                     CrowdTimes(options.streams_shown_least),
                     CrowdTimes(options.streams_shown_least)},
        round_trips(options.streams_shown_least) {}

  memory::SlabHeap heap;  // of ngtcp2 and of streams; ends after all that is in it
  EndpointOptions options;
  TlsContexts tls;
  memory::BlockPool& pool;
  Rng& rng;
  LinkEvents& events;

  Now now;  // of this turn
  Admission admission;
  std::optional<AddressKeys> address_keys;  // always there, once the endpoint is made
  AddressTokens address_tokens;
  Routes routes;
  const LifeRules life;
  ResetTokens reset_tokens;
  std::vector<Connection*> dirty;  // something to write, or timers changed
  DeadlineHeap<Connection> deadlines;
  std::vector<Connection*> closing_soon;  // to be ended by the next flush
  std::vector<LinkId> greeted;            // links whose peer just said hello
  std::deque<LinkId> steps_waiting;       // handshakes that a worker can take further; may be gone
  std::size_t steps_under_way = 0;        // of links that are still there
  memory::Scratch scratch{1'024, 64 * 1'024};  // for one turn
  EndpointStats stats;
  std::array<bool, kLevelCount> paused{};  // levels whose windows do not grow
  std::uint16_t window_kib = 0;            // the usual window of a stream
  WindowSum grown;                         // windows of streams beyond their first size
  std::size_t link_window_kib = 0;         // the usual window of a link
  WindowSum grown_links;                   // windows of links beyond their first size
  std::array<CrowdTimes, kPriorityCount> cells_waited;
  CrowdTimes round_trips;
  std::uint8_t levels_to_sample = 0;  // bits: whose wait is not yet measured in this turn
  std::size_t half_open = 0;          // accepted, handshake not complete
  std::size_t dials_for_others = 0;   // under way
  Key256 reset_secret;                // of stateless reset tokens; the same after a restart
  Key256 retry_secret;                // of Retry tokens; new with every endpoint
  MtuProbes probes;
  ngtcp2_mem memory{};  // the heap, as ngtcp2 wants it

  /// For ages of up to 19 hours.
  std::uint32_t ticks() const {
    return static_cast<std::uint32_t>(now.mono.time_since_epoch().count() >> kTickBits);
  }
  Duration since(std::uint32_t tick) const {
    return Duration(Duration::rep{ticks() - tick} << kTickBits);
  }
  ngtcp2_tstamp timestamp() const {
    return static_cast<ngtcp2_tstamp>(now.mono.time_since_epoch().count());
  }
};

inline std::uint8_t* native(Key256& key) { return u8(key.span()); }

}  // namespace qudag::link
