#include "settings/numbers.h"

#include <algorithm>

#include "base/limits.h"

#include <type_traits>

namespace qudag::settings {
namespace {

constexpr std::uint64_t kMany = 10'000'000;
constexpr std::uint64_t kRateMax = 1'000'000;
constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 42;
constexpr std::uint64_t kHour = 3'600;
constexpr std::uint64_t kDay = 24 * kHour;

#define QUDAG_FIELD(field)                                              \
  [](const Options& o) { return static_cast<std::uint64_t>(o.field); }, \
      [](Options& o, std::uint64_t value) {                             \
        o.field = static_cast<std::decay_t<decltype(o.field)>>(value);  \
      }
#define QUDAG_TIME(field)                                                       \
  [](const Options& o) { return static_cast<std::uint64_t>(o.field.count()); }, \
      [](Options& o, std::uint64_t value) {                                     \
        o.field = std::chrono::seconds(static_cast<std::int64_t>(value));       \
      }

constexpr Number kNumbers[] = {
    {"shards", Form::count, 0, limits::kShardsMax,
     "Threads with their own sockets and links; 0: one per core.", QUDAG_FIELD(shards)},
    {"packet_bytes_max", Form::count, limits::kPacketBytesLeast, limits::kPacketBytesMax,
     "The largest UDP payload to try on each path; 1452: never more than the internet takes.",
     QUDAG_FIELD(packet_bytes_max)},
    {"awake_us", Form::count, 0, 1'000,
     "Microseconds to look for work before sleeping, while rests are that short; 0: none.",
     QUDAG_FIELD(awake_us)},
    {"guards", Form::count, 0, 16,
     "How many first hops to keep to; 0: any relay. New circuits go to the least loaded of them.",
     QUDAG_FIELD(guards)},
    {"second_guards", Form::count, 0, 16,
     "How many second hops a node that is no relay keeps to, each for days; 0: any relay.",
     QUDAG_FIELD(second_guards)},
    {"descriptor_lifetime", Form::seconds, 60, 7 * kDay,
     "Renewed at half of it; it does not outlive the newest onion key.",
     QUDAG_TIME(descriptor_lifetime)},
    {"onion_key_lifetime", Form::seconds, 120, 90 * kDay,
     "Rotated at half of it; then still accepted for the other half, and wiped.",
     QUDAG_TIME(onion_key_lifetime)},
    {"gossip_interval", Form::seconds, 1, kHour, "How often neighbours compare their netmaps.",
     QUDAG_TIME(gossip_interval)},
    {"link_lifetime", Form::seconds, 60, 90 * kDay,
     "A link dialed by this node is replaced by then.", QUDAG_TIME(link_lifetime)},
    {"inbox.messages", Form::count, 1, kMany, "Messages that the inbox keeps.",
     QUDAG_FIELD(inbox.messages)},
    {"inbox.bytes", Form::size, std::uint64_t{1} << 20, std::uint64_t{1} << 40,
     "Bytes that the inbox keeps; each message counts 320 more than its payload.",
     QUDAG_FIELD(inbox.bytes)},
    {"inbox.keep", Form::seconds, 60, 90 * kDay,
     "What no program has taken by then is removed; it counts from the arrival.",
     QUDAG_TIME(inbox.keep)},
    {"limits.memory", Form::size, std::uint64_t{32} << 20, kBytesMax,
     "The memory bound of the whole process: QUIC, TLS, code and stacks included.",
     QUDAG_FIELD(limits.memory)},
    {"limits.links", Form::count, 4, 1'000'000, "QUIC connections.", QUDAG_FIELD(limits.links)},
    {"limits.warm_links", Form::count, 0, 10'000,
     "Of them, kept or opened ahead of need while circuits ask for any; 0: none.",
     QUDAG_FIELD(limits.warm_links)},
    {"limits.half_open", Form::count, 2, 100'000, "Links still in the handshake.",
     QUDAG_FIELD(limits.half_open)},
    {"limits.links_per_prefix", Form::count, 0, 1'000'000,
     "QUIC connections from one block of addresses (/24 or /48); 0: no bound.",
     QUDAG_FIELD(limits.links_per_prefix)},
    {"limits.half_open_per_prefix", Form::count, 0, 100'000,
     "The same for links still in the handshake.", QUDAG_FIELD(limits.half_open_per_prefix)},
    {"limits.handshakes_per_second", Form::count, 0, kRateMax,
     "Handshakes that others begin, in bursts of twice as many; 0: no bound.",
     QUDAG_FIELD(limits.handshakes_per_second)},
    {"limits.handshakes_per_prefix", Form::count, 0, kRateMax,
     "The same for one block of addresses.", QUDAG_FIELD(limits.handshakes_per_prefix)},
    {"limits.link_bytes_per_second", Form::size, 0, std::uint64_t{1} << 32,
     "Bytes that one link may bring; 0: no bound.", QUDAG_FIELD(limits.link_bytes_per_second)},
    {"limits.circuits_per_link", Form::count, 1, 1'000'000, "Circuits that one link may open.",
     QUDAG_FIELD(limits.circuits_per_link)},
    {"limits.builds_per_second", Form::count, 0, kRateMax,
     "Circuits that others begin, in bursts of twice as many; 0: no bound.",
     QUDAG_FIELD(limits.builds_per_second)},
    {"limits.builds_per_link", Form::count, 0, kRateMax, "The same for one link.",
     QUDAG_FIELD(limits.builds_per_link)},
    {"limits.circuits", Form::count, 4, kMany, "Circuits, in all roles.",
     QUDAG_FIELD(limits.circuits)},
    {"limits.circuits_building", Form::count, 2, 1'000'000, "Circuits being built.",
     QUDAG_FIELD(limits.circuits_building)},
    {"limits.queue_high", Form::count, 1, kMany, "Messages of high priority waiting to be sent.",
     QUDAG_FIELD(limits.queue_high)},
    {"limits.queue_normal", Form::count, 1, kMany, "The same for normal priority.",
     QUDAG_FIELD(limits.queue_normal)},
    {"limits.queue_low", Form::count, 1, kMany, "The same for low priority.",
     QUDAG_FIELD(limits.queue_low)},
    {"limits.queue_high_bytes", Form::size, limits::kMessageBytesMax, kBytesMax,
     "Bytes of messages of high priority waiting to be sent.",
     QUDAG_FIELD(limits.queue_high_bytes)},
    {"limits.queue_normal_bytes", Form::size, limits::kMessageBytesMax, kBytesMax,
     "The same for normal priority.", QUDAG_FIELD(limits.queue_normal_bytes)},
    {"limits.queue_low_bytes", Form::size, limits::kMessageBytesMax, kBytesMax,
     "The same for low priority.", QUDAG_FIELD(limits.queue_low_bytes)},
    {"limits.queue_delay_ms", Form::count, 0, 60'000,
     "Milliseconds that messages of normal priority may wait to be sent; high a quarter, low four "
     "times as long. 0: only the bounds above.",
     QUDAG_FIELD(limits.queue_delay_ms)},
    {"limits.windows_one_in", Form::count, 0, 1'000,
     "Windows that grow for long paths may have one in so many of the free memory; 0: windows and "
     "buffers of sockets keep their first size.",
     QUDAG_FIELD(limits.windows_one_in)},
    {"limits.pipes", Form::count, 1, 1'000'000, "Pipes, opened here and by others.",
     QUDAG_FIELD(limits.pipes)},
    {"limits.pipe_bytes", Form::size, std::uint64_t{1} << 20, kBytesMax,
     "Bytes that pipes hold, and that their peers may send.", QUDAG_FIELD(limits.pipe_bytes)},
    {"limits.bandwidth", Form::size, 0, std::uint64_t{1} << 32,
     "Bytes a second that a relay passes on for others; 0: no bound.",
     QUDAG_FIELD(limits.bandwidth)},
    {"limits.bandwidth_burst", Form::size, 0, std::uint64_t{1} << 32,
     "Of them, at once after a rest; 0: a second's worth. At least 16 KiB and a fiftieth of a "
     "second's.",
     QUDAG_FIELD(limits.bandwidth_burst)},
    {"limits.month", Form::size, 0, std::uint64_t{1} << 50,
     "Bytes of a month (UTC) for others, those that come in and those that go out; 0: no bound.",
     QUDAG_FIELD(limits.month)},
    {"limits.letters_bytes", Form::size, 0, std::uint64_t{1} << 40,
     "Of a keeper, in its state directory: letters for receivers that are away; 0: none.",
     QUDAG_FIELD(limits.letters_bytes)},
};

consteval const Number& number(std::string_view name) {
  for (const Number& one : kNumbers) {
    if (one.name == name) return one;
  }
  throw "no such number";
}

constexpr Pair kPairs[] = {
    {number("limits.half_open"), number("limits.links")},
    {number("limits.warm_links"), number("limits.links")},
    {number("limits.circuits_building"), number("limits.circuits")},
};

#undef QUDAG_FIELD
#undef QUDAG_TIME

}  // namespace

std::span<const Number> numbers() { return kNumbers; }
std::span<const Pair> pairs() { return kPairs; }

void follow(Options& options) {
  const Options defaults;
  for (const Pair& pair : kPairs) {
    if (pair.part.get(options) != pair.part.get(defaults)) continue;
    pair.part.set(options, std::min(pair.part.get(options), pair.whole.get(options)));
  }
}

}  // namespace qudag::settings
