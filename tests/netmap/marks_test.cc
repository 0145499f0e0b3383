// A mark that a client cannot feel: which of two descriptors of each of eight relays its guard gave
// it. What it asks for over a later link reads the mark.
#include "netmap/fixture.h"
#include "netmap/netmap.h"

namespace qudag::netmap {
namespace {

using namespace std::chrono_literals;
using namespace test;

constexpr std::uint64_t kGuard = 2, kFirst = 3, kBits = 8;

std::vector<std::byte> version(std::uint64_t number, bool newer) {
  Descriptor d = descriptor_of(number);
  d.published += newer ? 1 : 0;
  d.expires = d.published + 7 * kDay;
  d.onion_keys = {{kToday - kDay, kToday + 7 * kDay, d.onion_keys[0].key}};
  d.addresses = {SocketAddress::v4(8, static_cast<std::uint8_t>(number), 0, 1, 4433)};
  return signed_by(identity_of(number), d);
}

struct Marked {
  explicit Marked(std::uint64_t seed) : rng(seed) { make(at(1s)); }
  void make(Now when) {
    now = when;
    netmap = std::make_unique<Netmap>(
        NetmapOptions{.self = identity_of(1).id(), .passes_on = false, .only_reached = true}, rng,
        sink);
    netmap->believe({identity_of(kGuard).id()}, now);
  }
  /// Given by the guard, and shown by it, so that they count.
  void mark(std::uint64_t bits, const std::vector<std::vector<std::byte>>& newer) {
    link(22, kGuard);
    EXPECT_TRUE(netmap->on_frame(node_link(22), kDescriptor, version(kGuard, false), now));
    for (std::uint64_t bit = 0; bit < kBits; ++bit) {
      const bool is_newer = (bits >> bit & 1) != 0;
      const auto raw = is_newer ? newer[bit] : version(kFirst + bit, false);
      EXPECT_TRUE(netmap->on_frame(node_link(22), kDescriptor, raw, now));
    }
    settle();
    std::vector<wire::DigestEntry> shown;
    for (std::uint64_t number = kGuard; number < kFirst + kBits; ++number) {
      const Entry* held = netmap->view()->find(identity_of(number).id());
      if (held != nullptr) shown.push_back({held->descriptor.id, held->descriptor.rank});
    }
    std::ranges::sort(shown, {}, &wire::DigestEntry::id);
    EXPECT_TRUE(netmap->on_frame(node_link(22), kDigest, digest_of(shown), now));
    settle();
  }
  /// Started anew from its state directory, so much later.
  void restart(std::int64_t seconds) {
    const auto kept = netmap->worth_keeping(512);
    EXPECT_EQ(kept.size(), kBits + 1);
    make(at(std::chrono::seconds(seconds)));
    netmap->restore(kept, now);
    settle();
  }
  void settle() {
    for (int i = 0; i < 1000 && netmap->next_deadline() <= now.mono; ++i) netmap->on_time(now);
  }
  void link(std::uint64_t key, std::uint64_t to) {
    netmap->on_link_ready(
        node_link(key), now,
        {.reach = Reach::world,
         .dialed = identity_of(to).id(),
         .remote = SocketAddress::v4(8, static_cast<std::uint8_t>(to), 0, 1, 4433)});
  }
  SeededRng rng;
  RecordingSink sink;
  std::unique_ptr<Netmap> netmap;
  Now now;
};

std::vector<std::vector<std::byte>> newer_ones() {
  std::vector<std::vector<std::byte>> out;
  for (std::uint64_t bit = 0; bit < kBits; ++bit) out.push_back(version(kFirst + bit, true));
  return out;
}

/// What a relay reads that shows the newer ones in one DIGEST.
std::uint64_t read(Marked& client, std::uint64_t key,
                   const std::vector<std::vector<std::byte>>& newer) {
  std::vector<wire::DigestEntry> entries;
  for (std::uint64_t bit = 0; bit < kBits; ++bit) {
    entries.push_back({identity_of(kFirst + bit).id(), rank_in(newer[bit])});
  }
  std::ranges::sort(entries, {}, &wire::DigestEntry::id);
  client.sink.take();
  EXPECT_TRUE(client.netmap->on_frame(node_link(key), kDigest, digest_of(entries), client.now));
  std::uint64_t mark = (1u << kBits) - 1;
  for (const Frame& frame : client.sink.frames) {
    if (frame.type != kWant) continue;
    const auto want = wire::WantView::parse(frame.body);
    for (std::size_t i = 0; i < want->size(); ++i) {
      for (std::uint64_t bit = 0; bit < kBits; ++bit) {
        if (want->at(i) == identity_of(kFirst + bit).id()) mark &= ~(std::uint64_t{1} << bit);
      }
    }
  }
  return mark;
}

TEST(Marks, AClientThatWasAwayForDaysShowsNone) {
  const auto newer = newer_ones();
  Marked fresh(9);
  fresh.link(44, 12);
  const std::uint64_t nothing = read(fresh, 44, newer);
  for (const std::uint64_t mark : {0xa5, 0x3c, 0x01, 0xf0}) {
    Marked client(mark);
    client.mark(mark, newer);
    client.restart(5 * 86'400);
    client.link(44, 12);
    EXPECT_EQ(read(client, 44, newer), nothing) << "it asks as one that was never marked";
    EXPECT_NE(client.netmap->view()->find(identity_of(kGuard).id()), nullptr)
        << "its guards it knows however long it was away";
  }
}

TEST(Marks, AClientThatWasAwayForAnHourKeepsWhatItKnew) {
  const auto newer = newer_ones();
  Marked client(1);
  client.mark(0xa5, newer);
  client.restart(3'600);
  EXPECT_EQ(client.netmap->stats().held, kBits + 1);
}

}  // namespace
}  // namespace qudag::netmap
