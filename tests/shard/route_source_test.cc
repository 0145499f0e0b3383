// Attack: a destination that answers builds with garbage, or a hostile relay behind the first hop,
// makes a source build again and again. The very code of a node that draws routes and hears how
// they did, in virtual time. A node used 41 first hops in five minutes; now its guards stay what
// they are.
#include "shard/route_source.h"

#include "netmap/fixture.h"

#include <gtest/gtest.h>

#include <set>

namespace qudag::shard {
namespace {

using namespace std::chrono_literals;
using namespace netmap::test;

constexpr std::uint64_t kTarget = 4'000;
constexpr std::size_t kRelays = 60;

class Source {
 public:
  explicit Source(std::size_t second_guards)
      : source_(id_of(5'000), crypto::Cipher::aes_256_gcm, {.second_guards = second_guards}, guards,
                rng_) {
    std::vector<netmap::EntryPtr> all;
    for (std::uint64_t i = 1; i <= kRelays; ++i) all.push_back(entry_of(i, 0));
    auto target = entry_of(kTarget, 0);
    target->descriptor.relay = false;
    all.push_back(target);
    source_.set_view(std::make_shared<netmap::View>(std::move(all)));
  }

  /// A build each tenth of a second, as long as that takes; `ends` says what becomes of each.
  template <class Ends>
  void build_for(Duration time, Ends ends) {
    for (const TimePoint end = now.mono + time; now.mono < end; now.mono += 100ms) {
      const auto route = source_.draw(id_of(kTarget), 3, now);
      ASSERT_TRUE(route);
      first.insert((*route)[0].id);
      second.insert((*route)[1].id);
      source_.circuit_began(*route, now);
      ends(source_, *route);
      source_.circuit_ended(*route, false, 0s, now);
      if (++builds % 10 == 0) now.unix_seconds += 1;
    }
  }

  std::shared_ptr<NodeGuards> guards = std::make_shared<NodeGuards>();
  std::set<NodeId> first, second;
  std::size_t builds = 0;
  Now now = at(1000s);

 private:
  SeededRng rng_{21};
  RouteSource source_;
};

using Route = std::vector<onion::RouteHop>;

TEST(Attack, ADestinationThatAnswersWithGarbageMovesNoGuard) {
  for (const std::size_t second_guards : {0, 4}) {
    Source source(second_guards);
    source.build_for(300s, [&](RouteSource& routes, const Route& route) {
      routes.report(route, false, SIZE_MAX, 200ms, source.now);
    });
    std::printf(
        "garbage for 5 minutes, %zu second guards: %zu builds, %zu first hops, %zu second\n",
        second_guards, source.builds, source.first.size(), source.second.size());
    EXPECT_EQ(source.first.size(), 2u);
    if (second_guards > 0) {
      EXPECT_EQ(source.second.size(), 4u);
    }
  }
}

/// At the second hop (1) it breaks by the word of the first hops, or by the second's own doing: of
/// those that both first hops miss others stand in, as many as are in use and no more.
TEST(Attack, RelaysBehindTheFirstMoveNoGuardWhateverTheySay) {
  for (const std::size_t hop : {1, 2, 3}) {
    Source source(4);
    source.build_for(300s, [&](RouteSource& routes, const Route& route) {
      routes.report(route, false, hop, 200ms, source.now);
      routes.refused(route, hop, source.now);
    });
    EXPECT_EQ(source.first.size(), 2u) << hop;
    EXPECT_EQ(source.second.size(), hop == 1 ? 8u : 4u) << hop;
  }
}

/// What does move it: its own link. Then others of the list are asked, a bounded number, and it is
/// asked again.
TEST(Attack, AGuardThatDoesNotAnswerIsPassedOverAndAskedAgain) {
  Source source(4);
  source.build_for(1s, [&](RouteSource& routes, const Route& route) {
    routes.report(route, true, SIZE_MAX, 50ms, source.now);
  });
  const NodeId dead = source.guards->with([](netmap::Guards& g) { return g.ids()[0]; });
  std::size_t asked = 0;
  source.build_for(300s, [&](RouteSource& routes, const Route& route) {
    const bool fails = route.front().id == dead;
    asked += fails;
    routes.report(route, !fails, fails ? 0 : SIZE_MAX, 50ms, source.now);
  });
  EXPECT_LE(source.first.size(), 4u);
  EXPECT_GE(source.first.size(), 3u);
  EXPECT_LT(asked, source.builds / 50);
  EXPECT_GT(asked, 5u);
  EXPECT_TRUE(source.guards->with(
      [&](netmap::Guards& g) { return g.contains(netmap::Layer::first, dead); }));
}

/// Everything fails at our own link: an outage of ours. No more than the list, and back to it.
TEST(Attack, AnOutageOfOursShowsUsToNobodyNew) {
  Source source(4);
  source.build_for(1s, [&](RouteSource& routes, const Route& route) {
    routes.report(route, true, SIZE_MAX, 50ms, source.now);
  });
  const auto before = source.first;
  source.build_for(600s, [&](RouteSource& routes, const Route& route) {
    routes.report(route, false, 0, 50ms, source.now);
  });
  EXPECT_LE(source.first.size(), 4u);
  source.now.mono += 600s;
  source.first.clear();
  source.build_for(60s, [&](RouteSource& routes, const Route& route) {
    routes.report(route, true, SIZE_MAX, 50ms, source.now);
  });
  EXPECT_EQ(source.first, before);
}

}  // namespace
}  // namespace qudag::shard
