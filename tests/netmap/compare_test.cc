// Two netmaps that compare what they show: random pairs become equal, for so few bytes; and what a
// peer that lies in its summaries can make the other one do.
#include "netmap/gossip/fingerprint.h"
#include "netmap/gossip/gossip.h"

#include "netmap/fixture.h"

#include <deque>
#include <set>

namespace qudag::netmap {
namespace {

using namespace std::chrono_literals;
using namespace test;

constexpr NodeLink kLink = node_link(1);
constexpr std::size_t kMany = 100'000;

/// Descriptors that nobody signed; the body of each is its number here.
class Book {
 public:
  explicit Book(std::uint64_t seed) : rng(seed) {}
  EntryPtr fresh() {
    return add([&](DescriptorFacts& d) { rng.fill(d.id.bytes); }, {});
  }
  EntryPtr renewed(const EntryPtr& old) {
    return add([](DescriptorFacts& d) { d.rank += 1u << kRankHashBits; }, old);
  }
  EntryPtr at(Bytes body) const { return all_[load_be<std::uint64_t>(body.data())]; }

  SeededRng rng;

 private:
  template <class Change>
  EntryPtr add(Change&& change, const EntryPtr& from) {
    static const auto kFirst = entry_of(0);
    auto entry = std::make_shared<Entry>(from == nullptr ? *kFirst : *from);
    change(entry->descriptor);
    entry->keys.clear();
    entry->raw.resize(8);
    store_be<std::uint64_t>(entry->raw.data(), all_.size());
    all_.push_back(entry);
    return entry;
  }
  std::vector<EntryPtr> all_;
};

struct End final : GossipSink {
  explicit End(Rng& rng)
      : store({.descriptors_max = kMany}),
        belief(store),
        gossip(options, store, belief, rng, *this, stats) {}
  bool send(NodeLink, std::uint8_t type, Bytes body) override {
    out.push_back({kLink, type, {body.begin(), body.end()}});
    return true;
  }
  void put(const EntryPtr& entry, Now now, NodeLink from = kOwnSource) {
    const DescriptorFacts& d = entry->descriptor;
    const auto judgement = store.judge(d.id, d.rank, now.unix_seconds);
    if (judgement == Store::Judgement::old) {
      if (Record* held = store.find(d.id)) gossip.seen_from(from, *held, d.rank);
    } else {
      gossip.spread(from, *store.put(entry, now, from));
    }
  }
  EntryPtr any(Rng& rng) {
    NodeId from;
    rng.fill(from.bytes);
    EntryPtr found;
    for (std::uint8_t depth = 4; found == nullptr; --depth) {
      store.for_range(wire::IdRange::around(from, depth),
                      [&](const Record& one) { found = one.entry; });
    }
    return found;
  }
  /// It is on its way to the others, who do not hear of it before they compare.
  void renew_silently(const EntryPtr& entry, Now now) { store.put(entry, now); }
  std::set<wire::DigestEntry> all() {
    std::set<wire::DigestEntry> held;
    store.for_all([&](const Record& one) { held.insert({one.entry->descriptor.id, one.rank()}); });
    return held;
  }

  NetmapOptions options{.descriptors_max = kMany};
  NetmapStats stats;
  Store store;
  Belief belief;
  Gossip gossip;
  std::deque<Frame> out;
};

/// Both ends of one link.
class Pair {
 public:
  explicit Pair(std::uint64_t seed) : book(seed), a(book.rng), b(book.rng) {}

  void connect() {
    for (End* end : {&a, &b}) end->gossip.on_link_ready(kLink, now, {.reach = Reach::world});
    settle();
  }
  /// Until nothing is due and nothing is on its way.
  void settle() {
    for (bool idle = false; !idle; now.mono += 2ms) {
      idle = true;
      for (End* end : {&a, &b}) {
        if (end->gossip.next_deadline(now.mono) <= now.mono + 2ms) {
          end->gossip.on_time(now);
          idle = false;
        }
      }
      for (const auto& [from, to] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
        for (; !from->out.empty(); from->out.pop_front(), idle = false) {
          deliver(*to, from->out.front());
        }
      }
    }
  }
  void pass(Duration time) {
    for (const TimePoint end = now.mono + time; now.mono < end; settle()) {
      const TimePoint next =
          std::min(a.gossip.next_deadline(now.mono), b.gossip.next_deadline(now.mono));
      now.mono = std::max(now.mono, std::min(end, next));
    }
  }
  std::uint64_t compared() const { return a.stats.bytes_compared + b.stats.bytes_compared; }

  Book book;
  Now now = at(1s);
  End a, b;
  unsigned loss_percent = 0;

 private:
  void deliver(End& to, const Frame& frame) {
    if (loss_percent > 0 && book.rng.below(100) < loss_percent) return;
    bool well_formed = true;
    if (frame.type == kSummary) well_formed = to.gossip.on_summary(kLink, frame.body, now);
    if (frame.type == kAsk) well_formed = to.gossip.on_ask(kLink, frame.body, now);
    if (frame.type == kDigest) well_formed = to.gossip.on_digest(kLink, frame.body, now);
    if (frame.type == kWant) well_formed = to.gossip.on_want(kLink, frame.body, now);
    if (frame.type == kDescriptor) to.put(book.at(frame.body), now, kLink);
    EXPECT_TRUE(well_formed);
  }
};

/// So many of each kind: what both hold, one alone, and one in an older version.
struct Shape {
  std::size_t both, only_a, only_b, older_a, older_b;
};

void fill(Pair& pair, const Shape& shape) {
  for (std::size_t i = 0; i < shape.both; ++i) {
    const EntryPtr entry = pair.book.fresh();
    pair.a.put(entry, pair.now);
    pair.b.put(entry, pair.now);
  }
  for (std::size_t i = 0; i < shape.only_a; ++i) pair.a.put(pair.book.fresh(), pair.now);
  for (std::size_t i = 0; i < shape.only_b; ++i) pair.b.put(pair.book.fresh(), pair.now);
  for (std::size_t i = 0; i < shape.older_a + shape.older_b; ++i) {
    const EntryPtr entry = pair.book.fresh();
    (i < shape.older_a ? pair.a : pair.b).put(entry, pair.now);
    (i < shape.older_a ? pair.b : pair.a).put(pair.book.renewed(entry), pair.now);
  }
}

TEST(Compare, RandomPairsBecomeEqual) {
  SeededRng rng(1);
  std::vector<Shape> shapes{{0, 0, 0, 0, 0},    {0, 1, 0, 0, 0},    {0, 0, 500, 0, 0},
                            {9, 1, 1, 1, 1},    {1000, 1, 0, 0, 0}, {1000, 0, 0, 0, 1},
                            {500, 500, 0, 0, 0}};
  for (int i = 0; i < 40; ++i) {
    const auto up_to = [&](std::uint64_t most) { return rng.below(rng.below(most) + 1); };
    shapes.push_back({up_to(800), up_to(50), up_to(50), up_to(50), up_to(50)});
  }
  std::uint64_t seed = 100;
  for (const Shape& shape : shapes) {
    SCOPED_TRACE(testing::Message() << shape.both << " " << shape.only_a << " " << shape.only_b
                                    << " " << shape.older_a << " " << shape.older_b);
    Pair pair(++seed);
    fill(pair, shape);
    pair.connect();
    const auto held = pair.a.all();
    EXPECT_EQ(held.size(),
              shape.both + shape.only_a + shape.only_b + shape.older_a + shape.older_b);
    EXPECT_EQ(held, pair.b.all());
    // What each knows the other one to show is what it shows: nothing is asked for any more.
    const auto frames = [&] { return pair.a.stats.frames_out + pair.b.stats.frames_out; };
    pair.pass(3min);  // those that crossed
    const std::uint64_t before = frames();
    pair.pass(10min);
    EXPECT_GE(frames() - before, 14u);
    EXPECT_LE(frames() - before, 28u) << "one summary a minute each";
  }
}

TEST(Compare, FramesThatAreLostAreMadeUpFor) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Pair pair(seed);
    fill(pair, {300, 40, 40, 20, 20});
    pair.loss_percent = 30;
    pair.connect();
    pair.pass(2min);
    pair.loss_percent = 0;
    pair.pass(4min);
    EXPECT_EQ(pair.a.all(), pair.b.all()) << seed;
    EXPECT_EQ(pair.a.all().size(), 420u) << seed;
  }
}

/// The figure of docs/internals/performance.md: bytes of both directions in a minute.
TEST(Compare, WhatItCosts) {
  for (const std::size_t nodes : {1'000, 10'000}) {
    Pair pair(nodes);
    fill(pair, {nodes, 0, 0, 0, 0});
    pair.connect();
    const auto cost = [&](std::size_t differences) {
      const std::uint64_t before = pair.compared();
      constexpr int kMinutes = 20;
      for (int minute = 0; minute < kMinutes; ++minute) {
        // Renewed somewhere, and on their way while this minute's summaries leave.
        for (std::size_t i = 0; i < differences; ++i) {
          pair.a.renew_silently(pair.book.renewed(pair.a.any(pair.book.rng)), pair.now);
        }
        pair.pass(1min);
      }
      return static_cast<double>(pair.compared() - before) / 2 / kMinutes;
    };
    const double idle = cost(0), one = cost(1) - idle, four = (cost(4) - idle) / 4;
    const double full = 40.0 * static_cast<double>(nodes);
    std::printf(
        "%zu nodes: %.0f bytes a minute and direction, of %.0f: %.2f %%; for each that is on its "
        "way %.0f, of four %.0f\n",
        nodes, idle, full, 100 * idle / full, one, four);
    EXPECT_LE(four, 600);
    EXPECT_LE(idle, 240) << "one summary";
    if (nodes >= 10'000) {
      EXPECT_LE(idle, full / 100);
    }
  }
}

// ---- peers that lie -----------------------------------------------------------------------------

wire::Summary lie(SeededRng& rng, const wire::IdRange& range) {
  wire::Summary out{.range = range, .nonce = rng.u64()};
  for (auto& part : out.parts) {
    part = {.count = static_cast<std::uint16_t>(rng.below(3) * 40), .fingerprint = rng.u64()};
  }
  return out;
}

/// One that says in ever deeper summaries that all is different gets fewer bytes than it sends, and
/// no more work than its allowance.
TEST(Compare, SummariesThatLieCostWhoSendsThem) {
  Pair pair(1);
  fill(pair, {2000, 0, 0, 0, 0});
  End& victim = pair.a;
  victim.options.descriptors_max = 2000;
  victim.gossip.on_link_ready(kLink, pair.now, {});
  victim.out.clear();
  const std::uint64_t before = victim.stats.bytes_compared;
  std::uint64_t sent = 0, taken = 0;
  std::deque<wire::IdRange> ranges{wire::IdRange{}};
  for (int i = 0; i < 20'000; ++i) {
    const wire::IdRange range = ranges.empty() ? wire::IdRange{} : ranges.front();
    if (!ranges.empty()) ranges.pop_front();
    ASSERT_TRUE(
        victim.gossip.on_summary(kLink, encode_summary(lie(pair.book.rng, range)), pair.now));
    sent += wire::kControlHeaderBytes + wire::kSummaryBytes;
    for (; !victim.out.empty(); victim.out.pop_front()) {
      ++taken;
      const auto asks = wire::parse_ask(victim.out.front().body);
      for (const wire::Ask& ask : *asks) {
        if (!ask.entries) ranges.push_back(ask.range);
      }
    }
  }
  EXPECT_LT(victim.stats.bytes_compared - before, sent);
  EXPECT_LT(taken, 2'000u) << "its allowance: 8 times the netmap";
  EXPECT_GT(victim.stats.frames_ignored, 18'000u);
  EXPECT_EQ(victim.gossip.owed(), 0u);
}

TEST(Compare, RangesAskedForAreBoundedAndWaitForTheSink) {
  Pair pair(1);
  fill(pair, {2000, 0, 0, 0, 0});
  End& victim = pair.a;
  victim.gossip.on_link_ready(kLink, pair.now, {});
  victim.out.clear();
  for (int i = 0; i < 2'000; ++i) {
    std::vector<wire::Ask> asks;
    for (std::size_t j = 0; j < wire::kAskRangesMax; ++j) {
      asks.push_back({.range = wire::IdRange::around(id_of(pair.book.rng.u64()), 3)});
    }
    ASSERT_TRUE(victim.gossip.on_ask(kLink, wire::encode_ask(asks), pair.now));
  }
  BoundedList rows;
  victim.gossip.report(rows);
  const auto row = std::ranges::find_if(
      rows, [](const Bounded& one) { return one.name == "ranges of ids asked for by links"; });
  ASSERT_NE(row, rows.end());
  EXPECT_EQ(row->items, 256u);
  EXPECT_TRUE(victim.out.empty()) << "answers wait for a turn";
  victim.gossip.on_time(pair.now);
  EXPECT_EQ(victim.out.size(), 16u) << "so many in each";
  pair.now.mono += 31s;
  victim.out.clear();
  while (victim.gossip.next_deadline(pair.now.mono) <= pair.now.mono)
    victim.gossip.on_time(pair.now);
  EXPECT_TRUE(victim.out.empty()) << "nobody waits for them any more";
}

/// It had been sent a moment before and was refused, or it got lost; or those that show it have not
/// got it.
TEST(Compare, WhatIsNotGivenIsAskedOfTheOthersThatShowIt) {
  SeededRng rng(7);
  RecordingSink sink;
  const NetmapOptions options{.descriptors_max = 100};
  NetmapStats stats;
  Store store({.descriptors_max = 100});
  Belief belief(store);
  Gossip gossip(options, store, belief, rng, sink, stats);
  Now now = at(1s);
  for (int i = 1; i <= 3; ++i) gossip.on_link_ready(node_link(i), now, {});
  const auto shown = digest_of({{id_of(9), entry_of(9)->descriptor.rank}});
  ASSERT_TRUE(gossip.on_digest(node_link(1), shown, now));
  ASSERT_TRUE(gossip.on_digest(node_link(3), shown, now));
  EXPECT_EQ(sink.count(node_link(1), wire::ControlType::want), 1u);
  std::vector<std::size_t> asked;
  for (const TimePoint end = now.mono + 59s; now.mono < end; now.mono += 1s) {
    gossip.on_time(now);
    std::size_t wants = 0;
    for (int i = 1; i <= 3; ++i) wants += sink.count(node_link(i), wire::ControlType::want);
    asked.push_back(wants);
  }
  EXPECT_EQ(asked[3], 1u);
  EXPECT_EQ(sink.count(node_link(1), wire::ControlType::want), 3u);
  EXPECT_EQ(sink.count(node_link(2), wire::ControlType::want), 0u) << "it does not show it";
  EXPECT_EQ(sink.count(node_link(3), wire::ControlType::want), 2u);
  EXPECT_EQ(asked[9], 2u) << "5 to 10 s later";
  EXPECT_EQ(asked.back(), 5u) << "then not before the next digest";
}

/// The same sets, and sets that differ in anything.
TEST(Compare, FingerprintsTellSetsApart) {
  Book book(3);
  std::vector<wire::DigestEntry> entries;
  for (int i = 0; i < 100; ++i) {
    const EntryPtr entry = book.fresh();
    entries.push_back({entry->descriptor.id, entry->descriptor.rank});
  }
  std::ranges::sort(entries);
  const auto of = [](const std::vector<wire::DigestEntry>& some, std::uint64_t nonce) {
    Fingerprints all({}, nonce);
    for (const auto& [id, rank] : some) all.add(id, rank);
    return all.finish();
  };
  const auto right = of(entries, 1);
  EXPECT_EQ(of(entries, 1), right);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    auto other = entries;
    const std::size_t part = std::to_integer<std::size_t>(entries[i].id.bytes[0]) >> 4;
    ++other[i].rank;
    EXPECT_NE(of(other, 1).parts[part].fingerprint, right.parts[part].fingerprint);
    other.erase(other.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_NE(of(other, 1).parts[part].fingerprint, right.parts[part].fingerprint);
    EXPECT_EQ(of(other, 1).parts[part].count + 1, right.parts[part].count);
  }
  // Who knows a collision for one nonce knows nothing for the next.
  const auto next = of(entries, 2);
  for (std::size_t i = 0; i < next.parts.size(); ++i) {
    EXPECT_NE(next.parts[i].fingerprint, right.parts[i].fingerprint);
  }
}

}  // namespace
}  // namespace qudag::netmap
