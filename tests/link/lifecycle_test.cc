// The life of a link as a table and as rules of time, without a packet; and two nodes that dial
// each other at the same time, over the network in virtual time.
#include "link/lifecycle.h"

#include "link/net.h"

#include <set>
#include <utility>

namespace qudag::link::testing {
namespace {

constexpr TimePoint kStart{1000s};
constexpr Duration kProbe = 100ms;
using Rule = Lifecycle::Rule;
using enum LinkState;

constexpr std::array kStates = {dialing, handshaking, ready, draining, closed};
constexpr std::array kEvents = {LifeEvent::answered,     LifeEvent::completed,
                                LifeEvent::said_goodbye, LifeEvent::heard_goodbye,
                                LifeEvent::ended,        LifeEvent::gone};

LifeRules rules() {
  return {.handshake_max = 5s,
          .unanswered_max = 2s,
          .silence_max = 1'500ms,
          .keepalive = 10s,
          .stopping_max = 60s,
          .replaced_max = 1200s,
          .age_max = 800s};
}

/// A link in that state, by the shortest way.
Lifecycle in(LinkState state, const LifeRules& rules) {
  Lifecycle out(rules, true, kStart, 0.5);
  if (state >= handshaking) (void)out.on(LifeEvent::answered, kStart);
  if (state >= ready) (void)out.on(LifeEvent::completed, kStart);
  if (state == draining) (void)out.on(LifeEvent::said_goodbye, kStart, Drain::replaced);
  if (state == closed) (void)out.on(LifeEvent::gone, kStart);
  EXPECT_EQ(out.state(), state);
  return out;
}

TEST(Lifecycle, EveryTransitionIsAsTheTableSays) {
  const std::map<std::pair<LinkState, LifeEvent>, LinkState> allowed = {
      {{dialing, LifeEvent::answered}, handshaking},
      {{handshaking, LifeEvent::completed}, ready},
      {{ready, LifeEvent::said_goodbye}, draining},
      {{ready, LifeEvent::heard_goodbye}, draining},
      {{draining, LifeEvent::said_goodbye}, draining},
      {{draining, LifeEvent::heard_goodbye}, draining},
      {{dialing, LifeEvent::ended}, draining},
      {{handshaking, LifeEvent::ended}, draining},
      {{ready, LifeEvent::ended}, draining},
      {{draining, LifeEvent::ended}, draining},
      {{dialing, LifeEvent::gone}, closed},
      {{handshaking, LifeEvent::gone}, closed},
      {{ready, LifeEvent::gone}, closed},
      {{draining, LifeEvent::gone}, closed},
  };
  const LifeRules r = rules();
  for (const LinkState state : kStates) {
    for (const LifeEvent event : kEvents) {
      SCOPED_TRACE(::testing::Message() << name_of(state) << " " << static_cast<int>(event));
      Lifecycle life = in(state, r);
      const auto expected = allowed.find({state, event});
      const bool may = expected != allowed.end();
      EXPECT_EQ(after(state, event), may ? std::optional(expected->second) : std::nullopt);
      EXPECT_EQ(life.on(event, kStart), may);
      EXPECT_EQ(life.state(), may ? expected->second : state) << "refused: nothing changes";
    }
  }
}

TEST(Lifecycle, NothingButItsEndFollowsAnEnd) {
  const LifeRules r = rules();
  Lifecycle life = in(ready, r);
  ASSERT_TRUE(life.on(LifeEvent::ended, kStart));
  EXPECT_FALSE(life.on(LifeEvent::heard_goodbye, kStart));
  EXPECT_FALSE(life.opens_streams());
  EXPECT_FALSE(life.takes_streams());
  EXPECT_EQ(life.due(kStart + 10'000s, kProbe), Rule::none);
  EXPECT_EQ(life.deadline(kProbe), kNever);
  EXPECT_TRUE(life.on(LifeEvent::gone, kStart));
}

/// The rule is due at that time and not a moment earlier, and the deadline says so.
void expect_due(const Lifecycle& life, TimePoint at, Rule rule) {
  EXPECT_EQ(life.due(at - Duration(1), kProbe), Rule::none);
  EXPECT_EQ(life.due(at, kProbe), rule);
  EXPECT_EQ(life.deadline(kProbe), at);
}

TEST(Lifecycle, HandshakesHaveATime) {
  const LifeRules r = rules();
  expect_due(in(dialing, r), kStart + 2s, Rule::handshake);
  expect_due(in(handshaking, r), kStart + 5s, Rule::handshake);
}

TEST(Lifecycle, OnlyALinkInUseIsDeadByItsSilence) {
  LifeRules r = rules();
  r.age_max = {};
  Lifecycle life = in(ready, r);
  EXPECT_EQ(life.deadline(kProbe), kNever);
  life.note_streams(1, kStart);
  EXPECT_EQ(life.keepalive(), r.keepalive);
  EXPECT_TRUE(life.note_used(kStart)) << "from now on it is asked more often";
  EXPECT_EQ(life.keepalive(), r.silence_max / 3);
  expect_due(life, kStart + 1'500ms, Rule::silent);
  EXPECT_EQ(life.deadline(1s), kStart + 4s) << "a long path takes longer to answer";
  EXPECT_FALSE(life.note_heard(kStart + 1s));
  expect_due(life, kStart + 2'500ms, Rule::silent);
  life.forgive(kStart + 2s);
  expect_due(life, kStart + 3'500ms, Rule::silent);
  EXPECT_TRUE(life.note_heard(kStart + 3s)) << "heard long after it was used";
  EXPECT_EQ(life.deadline(kProbe), kNever);
}

TEST(Lifecycle, WhoIsToldSomethingMustAcknowledgeIt) {
  LifeRules r = rules();
  r.age_max = {};
  Lifecycle life = in(ready, r);
  life.note_told(kStart);
  life.note_told(kStart + 1s);
  expect_due(life, kStart + 3s, Rule::silent);
  EXPECT_EQ(life.keepalive(), Duration{}) << "nobody uses it";
  EXPECT_FALSE(life.is_asked()) << "and who wants to, may";
  life.forgive(kStart + 1s);
  expect_due(life, kStart + 4s, Rule::silent);
  EXPECT_EQ(life.deadline(1s), kStart + 9s) << "a longer path has longer, after a sleep as well";
  EXPECT_TRUE(life.note_used(kStart + 1s));
  expect_due(life, kStart + 2'500ms, Rule::silent);
  (void)life.note_heard(kStart + 2s);
  expect_due(life, kStart + 3'500ms, Rule::silent);
}

TEST(Lifecycle, WhoIsAskedMustAnswer) {
  LifeRules r = rules();
  r.age_max = {};
  Lifecycle life = in(ready, r);
  life.ask_until(kStart + 300ms);
  life.ask_until(kStart + 600ms);
  expect_due(life, kStart + 300ms, Rule::silent);
  life.forgive(kStart + 250ms);
  expect_due(life, kStart + 350ms, Rule::silent);
  (void)life.note_heard(kStart + 300ms);
  EXPECT_EQ(life.deadline(kProbe), kNever);
}

TEST(Lifecycle, ALinkThatIsMuteHasThreeProbeTimes) {
  LifeRules r = rules();
  r.age_max = {};
  Lifecycle life = in(ready, r);
  life.note_stuck(false, kStart);
  EXPECT_EQ(life.deadline(kProbe), kNever);
  life.note_stuck(true, kStart + 100ms);
  life.note_stuck(true, kStart + 100ms + kProbe);
  expect_due(life, kStart + 100ms + 3 * kProbe, Rule::stuck);
  life.note_stuck(false, kStart + 100ms + 2 * kProbe);  // an answer came after all
  EXPECT_EQ(life.deadline(kProbe), kNever);
}

TEST(Lifecycle, AgeReplacesALinkAtItsDialer) {
  const LifeRules r = rules();
  expect_due(in(ready, r), kStart + 800s, Rule::old);
  for (const auto& [spread, at] : {std::pair{0.0, 700s}, std::pair{1.0, 900s}}) {
    Lifecycle life(r, true, kStart, spread);
    ASSERT_TRUE(life.on(LifeEvent::answered, kStart));
    ASSERT_TRUE(life.on(LifeEvent::completed, kStart));
    expect_due(life, kStart + at, Rule::old);
  }
  Lifecycle accepted(r, false, kStart, 0.5);
  ASSERT_TRUE(accepted.on(LifeEvent::completed, kStart));
  EXPECT_EQ(accepted.deadline(kProbe), kNever);
}

TEST(Lifecycle, AReplacedLinkTakesWhatIsUnderWayAndGoesWhenBothSaidSo) {
  const LifeRules r = rules();
  Lifecycle life = in(draining, r);
  EXPECT_FALSE(life.opens_streams());
  EXPECT_TRUE(life.takes_streams());
  expect_due(life, kStart + 1200s, Rule::drain_too_long);
  life.note_streams(2, kStart);
  ASSERT_TRUE(life.on(LifeEvent::heard_goodbye, kStart + 1s, Drain::replaced));
  expect_due(life, kStart + 1200s, Rule::drain_too_long);
  life.note_streams(0, kStart + 2s);
  expect_due(life, kStart + 2s + 3 * kProbe, Rule::drained);
}

TEST(Lifecycle, ANodeThatStopsTakesNothingAndWaitsForAWhile) {
  const LifeRules r = rules();
  Lifecycle life = in(ready, r);
  life.note_streams(1, kStart);
  ASSERT_TRUE(life.on(LifeEvent::said_goodbye, kStart, Drain::stopping));
  EXPECT_FALSE(life.takes_streams());
  expect_due(life, kStart + 60s, Rule::drain_too_long);
  life.note_streams(0, kStart + 1s);
  EXPECT_EQ(life.due(kStart + 1s, kProbe), Rule::drained);
  // The other side may still open: it has not said anything.
  Lifecycle other = in(ready, r);
  ASSERT_TRUE(other.on(LifeEvent::heard_goodbye, kStart, Drain::stopping));
  EXPECT_FALSE(other.opens_streams());
  EXPECT_TRUE(other.takes_streams());
}

TEST(Lifecycle, AStopOutdoesAReplacement) {
  const LifeRules r = rules();
  Lifecycle life = in(draining, r);
  life.note_streams(1, kStart);
  ASSERT_TRUE(life.on(LifeEvent::heard_goodbye, kStart + 1s, Drain::stopping));
  EXPECT_EQ(life.drain(), Drain::stopping);
  expect_due(life, kStart + 61s, Rule::drain_too_long);
}

TEST(Lifecycle, UnusedAndWarm) {
  const LifeRules r = rules();
  Lifecycle life = in(ready, r);
  EXPECT_FALSE(life.unused_for(5s, kStart + 4s));
  EXPECT_TRUE(life.unused_for(5s, kStart + 5s));
  EXPECT_EQ(life.keepalive(), Duration{});
  life.keep_warm(true);
  EXPECT_EQ(life.keepalive(), r.keepalive);
  EXPECT_TRUE(life.leave_behind());
  EXPECT_FALSE(life.leave_behind());
  EXPECT_FALSE(life.opens_streams());
  EXPECT_TRUE(life.takes_streams());
}

// ---- Twins

TEST(Twin, BothSidesKeepTheSameOne) {
  SeededRng rng(1);
  for (int i = 0; i < 20; ++i) {
    const crypto::Identity one = crypto::Identity::generate().value();
    const crypto::Identity two = crypto::Identity::generate().value();
    for (const bool later : {false, true}) {  // as each of them sees it
      const bool mine = stays({true, later}, {false, !later}, one.id(), two.id());
      EXPECT_EQ(stays({false, !later}, {true, later}, two.id(), one.id()), mine);
      EXPECT_NE(stays({false, !later}, {true, later}, one.id(), two.id()), mine);
    }
    EXPECT_TRUE(stays({true, true}, {true, false}, one.id(), two.id()));
    EXPECT_FALSE(stays({false, false}, {false, true}, one.id(), two.id()));
  }
}

EndpointOptions known() { return {.silence_max = 1'500ms, .known = true}; }

std::size_t usable(Peer& peer) {
  std::size_t out = 0;
  for (const LinkInfo& info : peer->links()) out += info.state == LinkState::ready;
  return out;
}

/// Both dial at once, and open and fill a stream on every link that becomes ready, as circuits do
/// that wait for it.
void dial_both(std::uint64_t seed, double loss, Duration apart) {
  SCOPED_TRACE(::testing::Message() << "seed " << seed << " loss " << loss);
  Pair pair(seed, known(), known());
  pair.net.faults.loss = loss;
  constexpr std::size_t kBytes = 20'000;
  std::map<Peer*, std::vector<StreamId>> own;
  for (Peer* peer : {&pair.a, &pair.b}) {
    peer->events.when_data = [peer](StreamId id, Bytes data) { (*peer)->consume(id, data.size()); };
    peer->events.when_ready = [&, peer](LinkId link) {
      const auto stream = (*peer)->open(link, Priority::normal, 0);
      ASSERT_TRUE(stream);
      for (std::size_t i = 0; i < kBytes; i += 1'000) {
        (*peer)->write(*stream, peer->block(pattern(1'000, i)));
      }
      own[peer].push_back(*stream);
    };
  }
  ASSERT_TRUE(pair.a->dial(pair.b.id(), pair.b.address, pair.a.address, pair.net.now()));
  pair.net.run_for(apart);
  ASSERT_TRUE(pair.b->dial(pair.a.id(), pair.a.address, pair.b.address, pair.net.now()));
  ASSERT_TRUE(pair.net.run(20s,
                           [&] {
                             return usable(pair.a) == 1 && usable(pair.b) == 1 &&
                                    pair.a.events.bytes_in == 2 * kBytes &&
                                    pair.b.events.bytes_in == 2 * kBytes;
                           }))
      << usable(pair.a) << usable(pair.b) << " " << pair.a.events.bytes_in;

  // Nothing new begins on the one that drains, and it waits for its circuits.
  EXPECT_EQ(pair.a->links().size(), 2u);
  EXPECT_TRUE(pair.a.events.closed.empty());
  for (Peer* peer : {&pair.a, &pair.b}) {
    const NodeId& other = peer == &pair.a ? pair.b.id() : pair.a.id();
    const auto found = (*peer)->find(other);
    ASSERT_TRUE(found);
    for (const LinkInfo& info : (*peer)->links()) {
      const bool smaller_dialed = info.dialer == (peer->id() < other);
      EXPECT_EQ(info.state, smaller_dialed ? LinkState::ready : LinkState::draining);
      EXPECT_EQ((*peer)->open(info.id, Priority::normal, 0).has_value(), smaller_dialed);
      EXPECT_EQ(*found == info.id, smaller_dialed);
    }
    EXPECT_GE((*peer)->stats().replaced_twin, loss == 0 ? 1u : 0u);
  }
  for (const auto& [peer, streams] : own) {
    for (const StreamId& stream : streams) (*peer)->reset(stream, EndCode::none);
  }
  EXPECT_TRUE(pair.net.run(
      20s, [&] { return pair.a->links().size() == 1 && pair.b->links().size() == 1; }));
  EXPECT_EQ(usable(pair.a), 1u);
  EXPECT_EQ(usable(pair.b), 1u);
}

TEST(Twin, SimultaneousDialsEndWithOneLinkAndLoseNothing) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) dial_both(seed, 0, Duration{});
  for (const Duration apart : {1ms, 4ms}) dial_both(9, 0, apart);
  for (std::uint64_t seed = 1; seed <= 8; ++seed) dial_both(seed, 0.1, Duration{});
}

TEST(Twin, WhoStaysUnknownHasNone) {
  EndpointOptions unknown;
  unknown.known = false;
  Pair pair(1, unknown, known());
  ASSERT_TRUE(pair.a->dial(pair.b.id(), pair.b.address, pair.a.address, pair.net.now()));
  ASSERT_TRUE(pair.b->dial(pair.a.id(), pair.a.address, pair.b.address, pair.net.now()));
  pair.net.run_for(5s);
  EXPECT_EQ(usable(pair.a), 2u) << "b must not learn whose link it is";
  EXPECT_EQ(usable(pair.b), 2u);
}

}  // namespace
}  // namespace qudag::link::testing
