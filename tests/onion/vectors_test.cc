// Golden bytes of docs/reference/protocol.md, sections 5 and 6, made by tests/vectors/reference.py,
// an implementation that shares nothing with this one.
#include "crypto/kdf.h"
#include "onion/key_schedule.h"
#include "onion/vector_route.h"

namespace qudag::onion {
namespace {

using namespace test;

TEST(Vectors, KeySchedule) {
  const Vectors v = load("onion_keys.txt");
  const Key256 ss1 = key(v, "ss1");
  const BuildKeys build = derive_build_keys(ss1);
  EXPECT_TRUE(same(build.build_key.span(), v.bytes("build_key")));
  EXPECT_TRUE(same(build.build_filler.span(), v.bytes("build_filler")));
  EXPECT_TRUE(same(build.reply_key.span(), v.bytes("reply_key")));
  const NodeId id{v.array<32>("id")};
  HopSecrets hop = derive_hop_secrets({.id = id,
                                       .onion_key = v.bytes("onion_public"),
                                       .kem_ct = v.bytes("kem_ct"),
                                       .record = v.bytes("record"),
                                       .ct2 = v.bytes("ct2")},
                                      ss1, key(v, "ss2"));
  EXPECT_TRUE(same(hop.forward_chain.span(), v.bytes("forward_chain")));
  EXPECT_TRUE(same(hop.backward_chain.span(), v.bytes("backward_chain")));
  for (const std::string epoch : {"0", "1", "2"}) {
    EXPECT_TRUE(same(cell_key(hop.forward_chain).span(), v.bytes("forward_key_" + epoch)));
    EXPECT_TRUE(same(filler_key(hop.forward_chain).span(), v.bytes("filler_key_" + epoch)));
    advance_chain(hop.forward_chain);
  }
}

TEST(Vectors, BuildAndReply) {
  const Vectors v = load("onion_build.txt");
  VectorRoute given(v, 3);
  const auto& [now, priority, route, onion_keys, chance, second] = given;

  StreamRng padding(key(v, "padding_key"));
  BuildMessage message;
  auto pending =
      detail::start_build_with(route, priority, padding, std::move(given.chance), message);
  ASSERT_TRUE(pending.has_value());
  EXPECT_TRUE(same(message, v.bytes("build_0")));

  std::vector<AcceptedBuild> accepted;
  ReplayWindow window;
  for (std::size_t i = 0; i < route.size(); ++i) {
    EXPECT_TRUE(same(crypto::sha256(message), v.bytes("build_" + std::to_string(i) + "_sha256")));
    accepted.push_back(detail::accept_build_with(route[i].id, {&onion_keys[i], 1}, window, priority,
                                                 now, &second[i], message)
                           .value());
  }
  ReplyMessage reply;
  seal_reply(accepted[2], BuildStatus::ready, reply, vector_times(2, 2));
  EXPECT_TRUE(same(crypto::sha256(reply), v.bytes("reply_2_sha256")));
  relay_reply(accepted[1], reply, vector_times(1, 2));
  EXPECT_TRUE(same(crypto::sha256(reply), v.bytes("reply_1_sha256")));
  relay_reply(accepted[0], reply, vector_times(0, 2));
  EXPECT_TRUE(same(reply, v.bytes("reply_0")));

  const auto result = finish_build(std::move(*pending), reply);
  ASSERT_TRUE(result.has_value());
  for (std::size_t i = 0; i < route.size(); ++i) {
    const std::string hop = "hop_" + std::to_string(i) + "_";
    EXPECT_TRUE(same(result->hops[i].forward_chain.span(), v.bytes(hop + "forward_chain")));
    EXPECT_TRUE(same(result->hops[i].backward_chain.span(), v.bytes(hop + "backward_chain")));
    EXPECT_TRUE(same(result->hops[i], accepted[i].secrets));
    EXPECT_EQ(result->times[i], vector_times(i, 2));
  }
}

constexpr auto kAes = crypto::Cipher::aes_256_gcm;
constexpr auto kChaCha = crypto::Cipher::chacha20_poly1305;

struct Route {
  const char* name;
  const char* file;
  std::array<crypto::Cipher, 3> ciphers;  // by hop
  std::uint64_t last_cell;                // of small ones
};
const Route kRoutes[] = {
    {"Aes", "onion_cells.txt", {kAes, kAes, kAes}, limits::kCellsPerKey},
    {"ChaCha20", "onion_cells_chacha20.txt", {kChaCha, kChaCha, kChaCha}, limits::kCellsPerKey},
    {"Mixed", "onion_cells_mixed.txt", {kChaCha, kAes, kChaCha}, 1},
};

class CellVectors : public ::testing::TestWithParam<std::tuple<Route, Priority>> {};
std::string name_of_cells(const ::testing::TestParamInfo<std::tuple<Route, Priority>>& info) {
  const bool low = std::get<Priority>(info.param) == Priority::low;
  return std::string(std::get<Route>(info.param).name) + (low ? "Low" : "Normal");
}
INSTANTIATE_TEST_SUITE_P(Routes, CellVectors,
                         ::testing::Combine(::testing::ValuesIn(kRoutes),
                                            ::testing::Values(Priority::normal, Priority::low)),
                         name_of_cells);

TEST_P(CellVectors, AllLinksBothWays) {
  const auto& [route, cls_of_route] = GetParam();
  const Priority priority = cls_of_route;
  const Vectors v = load(route.file);
  std::vector<HopSecrets> secrets;
  std::vector<HopCrypto> hops;
  for (const std::string hop : {"hop_0_", "hop_1_", "hop_2_"}) {
    HopSecrets s{key(v, hop + "forward_chain"), key(v, hop + "backward_chain"),
                 route.ciphers[secrets.size()]};
    hops.emplace_back(clone(s), priority);
    secrets.push_back(std::move(s));
  }
  BytesRng rng(v.bytes("reserve_key"));
  SourceCrypto source(std::move(secrets), priority, rng);

  memory::BlockPool pool;
  std::size_t compared = 0;
  const auto compare = [&](std::uint64_t c, const char* direction, std::size_t link, Bytes seen) {
    const std::string name = "cell_" + std::to_string(cell_bytes(priority)) + "_" +
                             std::to_string(c) + "_" + direction + "_link_" + std::to_string(link);
    if (c > 1 && c + 1 < limits::kCellsPerKey) return;
    EXPECT_TRUE(same(crypto::sha256(seen), v.bytes(name + "_sha256"))) << name;
    if (c == 0 && priority == Priority::normal) {
      EXPECT_TRUE(same(seen, v.bytes(name))) << name;
    }
    ++compared;
  };
  const auto payload = [&](std::uint64_t c) {
    memory::Block block = pool.take(block_size(priority));
    block.append(payload_bytes(priority));
    for (std::size_t k = 0; k < block.size(); ++k) block.data()[k] = std::byte((c + 7 * k) & 255);
    return block;
  };
  const std::uint64_t last = priority == Priority::low ? 1 : route.last_cell;
  for (std::uint64_t c = 0; c <= last; ++c) {
    memory::Block cell = payload(c);
    source.seal(cell);
    for (std::size_t i = 0; i < 3; ++i) {
      compare(c, "forward", i, cell.bytes());
      ASSERT_TRUE(i < 2 ? hops[i].forward(cell) : hops[i].open(cell));
    }
    cell = payload(c + 100);
    hops[2].seal(cell);
    compare(c, "backward", 2, cell.bytes());
    for (std::size_t i = 2; i-- > 0;) {
      hops[i].backward(cell);
      compare(c, "backward", i, cell.bytes());
    }
    ASSERT_EQ(source.open(cell), std::nullopt);
  }
  EXPECT_EQ(compared, last == 1 ? 12u : 24u);
}

}  // namespace
}  // namespace qudag::onion
