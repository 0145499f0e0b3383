// Seizing every onion key later must not open recorded cells.
//
// The thief has all traffic of all links, all onion private keys and all identities. It peels the
// build and the reply completely, which gives ss1, records, ephemeral public keys and ct2 of every
// hop, and then tries whatever it can derive. The control gives it the one thing that the nodes
// wiped, an ephemeral private key: then the cell opens, so the test can fail.
#include "crypto/kdf.h"
#include "onion/key_schedule.h"
#include "onion/layers.h"
#include "onion/record.h"
#include "onion/support.h"

namespace qudag::onion {
namespace {

using namespace test;
using limits::kKemCiphertextBytes;

constexpr std::size_t kHops = 3;

struct Loot {
  crypto::KemCiphertext kem_ct;
  Key256 ss1;
  BuildKeys build;
  std::vector<std::byte> record;
  crypto::KemCiphertext ct2;
};

// Opens hop's layers of the recorded build and reply with the seized onion key.
Loot loot(const TestNode& node, const BuildMessage& build, const ReplyMessage& reply) {
  Loot out;
  std::memcpy(out.kem_ct.data(), build.data(), kKemCiphertextBytes);
  out.ss1 = node.onion_key.pair->decapsulate(out.kem_ct).value();
  out.build = derive_build_keys(out.ss1);
  BuildMessage b = build;
  EXPECT_TRUE(crypto::Aead(out.build.build_key)
                  .open({}, {}, MutableBytes(b).subspan(kBuildShape.header),
                        std::span<const std::byte, 16>(b.data() + kKemCiphertextBytes, 16)));
  out.record = copy_of(Bytes(b).subspan(kBuildShape.header, limits::kBuildRecordBytes));
  ReplyMessage r = reply;
  EXPECT_TRUE(
      crypto::Aead(out.build.reply_key)
          .open({}, {}, MutableBytes(r).subspan(16), std::span<const std::byte, 16>(r.data(), 16)));
  std::memcpy(out.ct2.data(), r.data() + 16, kKemCiphertextBytes);
  return out;
}

bool opens(const Key256& key, const std::vector<std::byte>& recorded) {
  auto cell = recorded;
  return crypto::Aead(key).open({}, {}, MutableBytes(cell).subspan(16),
                                std::span<const std::byte, 16>(cell.data(), 16));
}

// A key, and everything that the key schedule makes of it.
bool opens_with_any(const Key256& secret, const std::vector<std::byte>& recorded) {
  if (opens(secret, recorded) || opens(cell_key(secret), recorded)) return true;
  for (const char* label : {"forward chain", "backward chain", "key", "next"}) {
    const Key256 chain = crypto::hkdf_expand_key(secret, label);
    if (opens(chain, recorded) || opens(cell_key(chain), recorded)) return true;
  }
  return false;
}

/// What the protocol says of riders (5.2): they are as secret as the destination's onion key, which
/// alone opens what the last relay saw, and of what earlier links showed only with those of all
/// hops behind them.
TEST(ForwardSecrecy, ARiderIsUnderTheOnionKeysBehindItsLink) {
  TestRoute route(kHops, 91);
  const auto rider = route.rng.bytes<kRiderBytes>();
  const Built built = build_circuit(route, Priority::normal, rider);
  const auto seized = [&](std::size_t link, std::size_t first_known) {
    BuildMessage message = built.build_on_link[link];
    for (std::size_t hop = link; hop < kHops; ++hop) {
      route.nodes[hop].window = std::make_unique<ReplayWindow>();
      const std::size_t key = std::max(hop, first_known);  // of those that were seized
      if (!accept_build(route.nodes[hop].id, {&route.nodes[key].onion_key, 1},
                        *route.nodes[hop].window, Priority::normal, kNow, message)) {
        return false;
      }
    }
    return same(Bytes(message).first(rider.size()), rider);
  };
  EXPECT_TRUE(seized(kHops - 1, kHops - 1));
  EXPECT_FALSE(seized(kHops - 2, kHops - 1)) << "not on the link before";
  EXPECT_TRUE(seized(kHops - 2, kHops - 2));
  EXPECT_FALSE(seized(0, 1));
}

TEST(ForwardSecrecy, OnionKeysAndIdentitiesOpenNoRecordedCell) {
  TestRoute route(kHops, 90);
  auto chance = route.chance();
  std::vector<crypto::KemKeyPair> ephemeral;  // kept for the control only
  for (auto& c : chance) {
    auto seed = c.ephemeral.seed();
    ephemeral.push_back(
        crypto::KemKeyPair::from_seed(std::span<const std::byte, crypto::kKemSeedSize>(
                                          seed.span().data(), crypto::kKemSeedSize))
            .value());
  }
  BuildMessage message;
  auto pending = detail::start_build_with(route.hops(), Priority::normal, route.rng,
                                          std::move(chance), message);
  std::vector<BuildMessage> build_on_link;
  std::vector<AcceptedBuild> accepted;
  for (std::size_t i = 0; i < kHops; ++i) {
    build_on_link.push_back(message);
    accepted.push_back(route.accept(i, message).value());
  }
  std::vector<ReplyMessage> reply_on_link(kHops);
  ReplyMessage reply;
  seal_reply(accepted.back(), BuildStatus::ready, reply);
  reply_on_link[kHops - 1] = reply;
  for (std::size_t i = kHops - 1; i-- > 0;) {
    relay_reply(accepted[i], reply);
    reply_on_link[i] = reply;
  }
  SourceCrypto source(std::move(finish_build(std::move(*pending), reply)->hops), Priority::normal,
                      route.rng);
  std::vector<HopCrypto> hops;
  for (auto& a : accepted) hops.emplace_back(std::move(a.secrets), Priority::normal);

  // The first cell of each direction, as every link showed it.
  memory::BlockPool pool;
  memory::Block cell = pool.take(memory::BlockSize::cell);
  cell.append(payload_bytes(Priority::normal));
  std::memset(cell.data(), 0x41, cell.size());
  source.seal(cell);
  std::vector<std::vector<std::byte>> forward, backward(kHops);
  for (std::size_t i = 0; i < kHops; ++i) {
    forward.push_back(copy_of(cell.bytes()));
    ASSERT_TRUE(i + 1 == kHops ? hops[i].open(cell) : hops[i].forward(cell));
  }
  hops[kHops - 1].seal(cell);
  backward[kHops - 1] = copy_of(cell.bytes());
  for (std::size_t i = kHops - 1; i-- > 0;) {
    hops[i].backward(cell);
    backward[i] = copy_of(cell.bytes());
  }

  std::vector<Loot> all;
  for (std::size_t i = 0; i < kHops; ++i) {
    all.push_back(loot(route.nodes[i], build_on_link[i], reply_on_link[i]));
  }
  for (std::size_t i = 0; i < kHops; ++i) {
    const Loot& l = all[i];
    const auto record = parse_build_record(
        std::span<const std::byte, limits::kBuildRecordBytes>(l.record.data(), l.record.size()));
    ASSERT_TRUE(record.has_value());
    EXPECT_TRUE(same(record->ephemeral, ephemeral[i].public_bytes()));
    const Transcript transcript{.id = route.nodes[i].id,
                                .onion_key = route.nodes[i].onion_public->bytes(),
                                .kem_ct = l.kem_ct,
                                .record = l.record,
                                .ct2 = l.ct2};
    // Guesses at ss2: zero, every ss1, and ct2 under every key that was seized.
    std::vector<Key256> guesses(1);
    for (std::size_t j = 0; j < kHops; ++j) {
      guesses.push_back(all[j].ss1.clone());
      guesses.push_back(route.nodes[j].onion_key.pair->decapsulate(l.ct2).value());
    }
    for (const auto* recorded : {&forward[i], &backward[i]}) {
      for (const Key256* key :
           {&l.ss1, &l.build.build_key, &l.build.build_filler, &l.build.reply_key}) {
        EXPECT_FALSE(opens_with_any(*key, *recorded));
      }
      EXPECT_FALSE(
          opens_with_any(crypto::hkdf_extract(as_bytes("qudag/1 build"), l.ss1.span()), *recorded));
      for (const Key256& guess : guesses) {
        const HopSecrets secrets = derive_hop_secrets(transcript, l.ss1, guess);
        EXPECT_FALSE(opens_with_any(secrets.forward_chain, *recorded));
        EXPECT_FALSE(opens_with_any(secrets.backward_chain, *recorded));
      }
    }
    // Control: with the ephemeral key, which source and hop do not have any more, they open.
    const HopSecrets right =
        derive_hop_secrets(transcript, l.ss1, ephemeral[i].decapsulate(l.ct2).value());
    EXPECT_TRUE(opens_with_any(right.forward_chain, forward[i]));
    EXPECT_TRUE(opens_with_any(right.backward_chain, backward[i]));
  }
}

TEST(ForwardSecrecy, ALaterEpochDoesNotOpenAnEarlierOne) {
  TestRng rng(91);
  Key256 chain = key_from(rng);
  const Key256 first = chain.clone();
  const Key256 first_key = cell_key(chain);
  advance_chain(chain);
  EXPECT_FALSE(same(chain.span(), first.span()));
  for (int epoch = 1; epoch < 50; ++epoch, advance_chain(chain)) {
    EXPECT_FALSE(same(cell_key(chain).span(), first_key.span()));
    EXPECT_FALSE(same(filler_key(chain).span(), first_key.span()));
  }
}

}  // namespace
}  // namespace qudag::onion
