// Routes of one to six hops, and replies of hops that cannot go on, byte by byte as
// tests/vectors/reference.py has them (docs/reference/protocol.md, sections 5 and 6).
#include "crypto/kdf.h"
#include "onion/vector_route.h"

namespace qudag::onion {
namespace {

using namespace test;

std::string name_of(std::size_t hops, const std::string& what) {
  return "route_" + std::to_string(hops) + "_" + what;
}

void expect_unit(const Vectors& v, const std::string& name, std::size_t link, Bytes unit) {
  const std::string full = name + "_link_" + std::to_string(link) + "_sha256";
  EXPECT_TRUE(same(crypto::sha256(unit), v.bytes(full))) << full;
}

/// A build of that many hops, with every message compared on its way to the destination.
struct GoldenBuild {
  GoldenBuild(const Vectors& v, std::size_t hops) : given(v, hops) {
    StreamRng padding(key(v, "padding_key"));
    BuildMessage message;
    pending = detail::start_build_with(given.route, given.priority, padding,
                                       std::move(given.chance), message)
                  .value();
    ReplayWindow window;
    for (std::size_t i = 0; i < hops; ++i) {
      expect_unit(v, name_of(hops, "build"), i, message);
      accepted.push_back(detail::accept_build_with(given.route[i].id, {&given.onion_keys[i], 1},
                                                   window, given.priority, given.now,
                                                   &given.second[i], message)
                             .value());
    }
  }

  /// The reply that hop `last` seals, compared on every link.
  ReplyMessage reply(const Vectors& v, std::size_t last, BuildStatus status,
                     const std::string& name) const {
    ReplyMessage out;
    seal_reply(accepted[last], status, out, vector_times(last, last));
    expect_unit(v, name, last, out);
    for (std::size_t i = last; i-- > 0;) {
      relay_reply(accepted[i], out, vector_times(i, last));
      expect_unit(v, name, i, out);
    }
    return out;
  }

  VectorRoute given;
  PendingBuild pending;
  std::vector<AcceptedBuild> accepted;
};

class RouteVectors : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Hops, RouteVectors,
                         ::testing::Range<std::size_t>(1, limits::kHopsMax + 1));

TEST_P(RouteVectors, BuildReplyAndCells) {
  const std::size_t hops = GetParam();
  const Vectors v = load("onion_routes.txt");
  GoldenBuild built(v, hops);
  ReplyMessage reply = built.reply(v, hops - 1, BuildStatus::ready, name_of(hops, "reply"));
  auto result = finish_build(std::move(built.pending), reply);
  ASSERT_TRUE(result.has_value());
  ASSERT_EQ(result->status, BuildStatus::ready);

  const Priority priority = built.given.priority;
  std::vector<HopCrypto> relays;
  for (AcceptedBuild& one : built.accepted) relays.emplace_back(std::move(one.secrets), priority);
  BytesRng rng(v.bytes("reserve_key"));
  SourceCrypto source(std::move(result->hops), priority, rng);
  memory::BlockPool pool;
  const auto payload = [&](std::size_t first) {
    memory::Block block = pool.take(block_size(priority));
    block.append(payload_bytes(priority));
    for (std::size_t k = 0; k < block.size(); ++k) {
      block.data()[k] = static_cast<std::byte>((first + 7 * k) & 255);
    }
    return block;
  };

  memory::Block cell = payload(0);
  source.seal(cell);
  for (std::size_t i = 0; i < hops; ++i) {
    expect_unit(v, name_of(hops, "cell_forward"), i, cell.bytes());
    ASSERT_TRUE(i + 1 < hops ? relays[i].forward(cell) : relays[i].open(cell));
  }
  EXPECT_TRUE(same(cell.bytes(), payload(0).bytes()));
  cell = payload(100);
  relays.back().seal(cell);
  expect_unit(v, name_of(hops, "cell_backward"), hops - 1, cell.bytes());
  for (std::size_t i = hops - 1; i-- > 0;) {
    relays[i].backward(cell);
    expect_unit(v, name_of(hops, "cell_backward"), i, cell.bytes());
  }
  ASSERT_EQ(source.open(cell), std::nullopt);
  EXPECT_TRUE(same(cell.bytes(), payload(100).bytes()));
}

TEST_P(RouteVectors, ARiderBehindTheRecord) {
  const std::size_t hops = GetParam();
  const Vectors v = load("onion_routes.txt");
  VectorRoute given(v, hops);
  StreamRng padding(key(v, "padding_key"));
  std::array<std::byte, kRiderBytes> rider;
  for (std::size_t k = 0; k < rider.size(); ++k) {
    rider[k] = static_cast<std::byte>((hops + 7 * k) & 255);
  }
  BuildMessage message;
  const auto pending = detail::start_build_with(given.route, given.priority, padding,
                                                std::move(given.chance), message, rider);
  ASSERT_EQ(pending.has_value(), hops <= kRiderHopsMax);
  if (!pending) return;
  ReplayWindow window;
  for (std::size_t i = 0; i < hops; ++i) {
    const bool end = i + 1 == hops;
    expect_unit(v, name_of(hops, "rider_build"), i, message);
    const auto accepted =
        detail::accept_build_with(given.route[i].id, {&given.onion_keys[i], 1}, window,
                                  given.priority, given.now, &given.second[i], message);
    ASSERT_TRUE(accepted.has_value());
    EXPECT_EQ(accepted->rider, end);
    if (!end) continue;
    EXPECT_TRUE(same(Bytes(message).first(rider.size()), rider));
    const auto chains = v.bytes(name_of(hops, "rider_chains"));
    EXPECT_TRUE(same(accepted->secrets.forward_chain.span(), Bytes(chains).first(32)));
    EXPECT_TRUE(same(accepted->secrets.backward_chain.span(), Bytes(chains).last(32)));
  }
}

TEST_P(RouteVectors, EveryHopThatCannotGoOn) {
  const std::size_t hops = GetParam();
  const Vectors v = load("onion_routes.txt");
  for (std::size_t last = 0; last + 1 < hops; ++last) {
    const std::string name = name_of(hops, "fails_at_" + std::to_string(last));
    const auto status = static_cast<BuildStatus>(v.bytes(name + "_status")[0]);
    GoldenBuild built(v, hops);
    ReplyMessage reply = built.reply(v, last, status, name);
    const auto result = finish_build(std::move(built.pending), reply);
    ASSERT_TRUE(result.has_value()) << name;
    EXPECT_EQ(result->status, status) << name;
    EXPECT_EQ(result->failed_hop, last) << name;
  }
}

}  // namespace
}  // namespace qudag::onion
