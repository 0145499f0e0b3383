// Cells both ways: content, order, flow control, and what happens to a changed one.
#include "circuit/cell_assembly.h"
#include "circuit/net.h"

#include <gtest/gtest.h>

namespace qudag::circuit::test {
namespace {

constexpr std::size_t kForwardStart = 2 + limits::kBuildMessageBytes;  // of cells, on a stream
constexpr std::size_t kBackwardStart = limits::kReplyMessageBytes;

TEST(CellAssembly, AnyCutGivesTheSameCells) {
  memory::BlockPool pool;
  std::mt19937_64 chance(9);
  for (const Priority priority : {Priority::normal, Priority::low}) {
    Data data(onion::cell_bytes(priority) * 20 + 77);
    for (std::byte& b : data) b = static_cast<std::byte>(chance());
    CellAssembly assembly;
    Data got;
    for (std::size_t at = 0; at < data.size();) {
      const std::size_t part =
          std::min<std::size_t>(1 + chance() % (2 * onion::cell_bytes(priority)), data.size() - at);
      Bytes piece = Bytes(data).subspan(at, part);
      at += part;
      while (!piece.empty()) {
        memory::Block cell;
        if (assembly.take(pool, priority, piece, cell) == CellAssembly::Step::cell) {
          EXPECT_EQ(cell.size(), onion::cell_bytes(priority));
          EXPECT_EQ(cell.headroom(), memory::kHeadroomBytes);
          got.insert(got.end(), cell.bytes().begin(), cell.bytes().end());
        }
      }
    }
    data.resize(data.size() - 77);
    EXPECT_EQ(got, data);
    EXPECT_EQ(pool.stats().in_use[static_cast<std::size_t>(onion::block_size(priority))], 1u)
        << "the 77 bytes that are not a cell yet";
  }
  EXPECT_EQ(pool.stats().in_use[0] + pool.stats().in_use[1], 0u);
}

TEST(CellAssembly, ExhaustedPoolTakesNothing) {
  memory::BlockPool pool({.blocks_max = {0, 0}});
  CellAssembly assembly;
  const Data data(10);
  Bytes piece(data);
  memory::Block cell;
  EXPECT_EQ(assembly.take(pool, Priority::normal, piece, cell), CellAssembly::Step::exhausted);
  EXPECT_EQ(piece.size(), 10u);
}

TEST(UnitAssembly, LeavesTheRest) {
  UnitAssembly<100> assembly;
  const Data data(130, std::byte{7});
  Bytes piece = Bytes(data).first(40);
  EXPECT_FALSE(assembly.take(piece));
  EXPECT_TRUE(piece.empty());
  piece = Bytes(data).subspan(40);
  EXPECT_TRUE(assembly.take(piece));
  EXPECT_EQ(piece.size(), 30u);
  EXPECT_TRUE(std::ranges::equal(*assembly.release(), Bytes(data).first(100)));
}

// ---- content ------------------------------------------------------------------------------------

class Traffic : public ::testing::TestWithParam<std::tuple<int, Priority>> {};

TEST_P(Traffic, ThousandsOfPayloadsBothWaysByteForByte) {
  const auto [relays, priority] = GetParam();
  const std::size_t hops = static_cast<std::size_t>(relays) + 1;
  const std::size_t count = priority == Priority::low ? 400 : 2000;
  Net net({.seed = 200 + hops, .chunk_max = priority == Priority::low ? 20'000u : 5'000u});
  net.add_many(hops + 1);
  const auto [out, in] = net.build(hops, priority);
  Node& source = net.node(0);
  Node& destination = net.node(hops);
  source.stream(out, priority, count);
  destination.stream(in, priority, count / 2);
  net.run();

  ASSERT_EQ(source.sent[out].size(), count);
  EXPECT_TRUE(destination.payloads[in] == source.sent[out]);
  ASSERT_EQ(destination.sent[in].size(), count / 2);
  EXPECT_TRUE(source.payloads[out] == destination.sent[in]);
  EXPECT_GT(source.times_sendable, 0u) << "the test must be long enough to fill the queue";

  net.expect_drained();
  const std::size_t cell = onion::cell_bytes(priority);
  for (Stream* stream : net.streams()) {
    EXPECT_EQ(stream->end[0].sent, kForwardStart + count * cell);
    EXPECT_EQ(stream->end[1].sent, kBackwardStart + count / 2 * cell);
  }
  for (std::size_t i = 0; i <= hops; ++i) {
    const CircuitsStats stats = net.node(i).circuits.stats();
    const bool end = i == 0 || i == hops;
    EXPECT_EQ(stats.cells_relayed, end ? 0 : count + count / 2);
    EXPECT_EQ(stats.cells_sent, i == 0 ? count : i == hops ? count / 2 : 0);
    EXPECT_EQ(stats.cells_received, i == 0 ? count / 2 : i == hops ? count : 0);
    EXPECT_EQ(stats.bytes_copied, cell * (end ? stats.cells_received : stats.cells_relayed))
        << "one copy per cell and node";
    EXPECT_EQ(stats.cells_bad, 0u);
    const CircuitInfo info = net.node(i).circuits.list().at(0);
    EXPECT_EQ(info.cells_forward, count);
    EXPECT_EQ(info.cells_backward, count / 2);
  }
  destination.circuits.close(in, net.now());
  net.run();
  net.expect_empty();
}

INSTANTIATE_TEST_SUITE_P(All, Traffic,
                         ::testing::Combine(::testing::Range(0, 6),
                                            ::testing::Values(Priority::normal, Priority::low)));

TEST(Cells, BlocksAreReusedInSteadyState) {
  Net net({.seed = 4});
  net.add_many(4);
  const auto [out, in] = net.build(3, Priority::normal);
  net.node(0).stream(out, Priority::normal, 500);
  net.run();
  std::vector<std::uint64_t> before;
  for (std::size_t i = 0; i < 4; ++i) before.push_back(net.node(i).pool.stats().allocated);
  net.node(0).stream(out, Priority::normal, 1000);
  net.run();
  // A relay may hold a few more at once than before, by chance; not one per cell.
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_LE(net.node(i).pool.stats().allocated, before[i] + 100) << "node " << i;
  }
  net.node(0).circuits.close(out, net.now());
  net.run();
  net.expect_empty();
}

// ---- changed cells ------------------------------------------------------------------------------

struct Change {
  std::size_t link;  // 0: between source and hop 1
  bool forward;
  std::size_t cell;      // number on that stream
  std::size_t position;  // in the cell
};

void change_one(Net& net, const Change& change, Priority priority) {
  const std::size_t at = (change.forward ? kForwardStart : kBackwardStart) +
                         change.cell * onion::cell_bytes(priority) + change.position;
  net.tamper = [change, at](std::size_t from, std::size_t to, std::size_t offset, Data& data) {
    const std::size_t sender = change.forward ? change.link : change.link + 1;
    const std::size_t receiver = change.forward ? change.link + 1 : change.link;
    if (from == sender && to == receiver && offset <= at && offset + data.size() > at) {
      data[at - offset] ^= std::byte{0x04};
    }
  };
}

class ChangedCell : public ::testing::TestWithParam<std::tuple<std::size_t, bool, Priority>> {};

TEST_P(ChangedCell, EndsTheCircuitEverywhere) {
  const auto [link, forward, priority] = GetParam();
  constexpr std::size_t kHops = 4;
  const std::size_t cell = onion::cell_bytes(priority);
  for (const std::size_t position : {std::size_t{0}, std::size_t{15}, std::size_t{16}, cell / 2,
                                     cell - 81, cell - 80, cell - 16, cell - 1}) {
    Net net({.seed = 300 + link + position});
    net.add_many(kHops + 1);
    const auto [out, in] = net.build(kHops, priority);
    change_one(net, {link, forward, 5, position}, priority);
    Node& source = net.node(0);
    Node& destination = net.node(kHops);
    if (forward) {
      source.stream(out, priority, 20);
    } else {
      destination.stream(in, priority, 20);
    }
    net.run();

    // Backward, a relay drops the last 16 bytes of what comes: a change of them reaches nobody.
    if (!forward && link > 0 && position >= cell - limits::kTagBytes) {
      EXPECT_TRUE(source.payloads[out] == destination.sent[in]);
      EXPECT_EQ(source.payloads[out].size(), 20u);
      source.circuits.close(out, net.now());
      net.run();
      net.expect_empty();
      continue;
    }

    // Forward the next hop sees it; backward the source, which also sees where it was.
    const std::size_t finder = forward ? link + 1 : 0;
    for (std::size_t i = 0; i <= kHops; ++i) {
      EXPECT_EQ(net.node(i).circuits.stats().cells_bad, i == finder ? 1u : 0u)
          << "node " << i << " position " << position;
    }
    ASSERT_EQ(source.ended.size(), 1u);
    ASSERT_EQ(destination.ended.size(), 1u);
    EXPECT_EQ(source.ended[0].why, forward ? Errc::circuit_failed : Errc::authentication_failed);
    EXPECT_EQ(destination.ended[0].why,
              forward && link + 1 == kHops ? Errc::authentication_failed : Errc::circuit_failed);
    if (!forward) {
      EXPECT_EQ(source.ended[0].failed_hop, link);
    }
    // Nothing behind the change was delivered, and nothing before it was altered.
    const auto& got = forward ? destination.payloads[in] : source.payloads[out];
    const auto& sent = forward ? source.sent[out] : destination.sent[in];
    ASSERT_LE(got.size(), 5u);
    EXPECT_TRUE(std::equal(got.begin(), got.end(), sent.begin()));
    net.expect_empty();
  }
}

INSTANTIATE_TEST_SUITE_P(All, ChangedCell,
                         ::testing::Combine(::testing::Range<std::size_t>(0, 4), ::testing::Bool(),
                                            ::testing::Values(Priority::normal, Priority::low)));

TEST(Cells, RepeatedAndDroppedCellsAreNoticed) {
  for (const bool drop : {false, true}) {
    Net net({.seed = 8, .chunk_max = 1024});
    net.add_many(4);
    const auto [out, in] = net.build(3, Priority::normal);
    // Hop 1 is hostile towards hop 2: its third cell is the second one again, or is missing.
    Data whole;
    net.tamper = [&, drop](std::size_t from, std::size_t to, std::size_t, Data& data) {
      if (from != 1 || to != 2) return;
      whole.insert(whole.end(), data.begin(), data.end());
      const std::size_t before = whole.size() - data.size();
      for (std::size_t i = 0; i < data.size(); ++i) {
        const std::size_t at = before + i;
        if (at < 2048) continue;
        data[i] = drop ? std::byte{0} : whole[at - 1024];
      }
    };
    net.node(0).stream(out, Priority::normal, 10);
    net.run();
    EXPECT_EQ(net.node(2).circuits.stats().cells_bad, 1u);
    EXPECT_LE(net.node(3).payloads[in].size(), 2u);
    net.expect_empty();
  }
}

// ---- flow ---------------------------------------------------------------------------------------

TEST(Flow, SlowReceiverStopsTheSourceAndRelaysHoldOneWindow) {
  constexpr std::size_t kWindow = 20'000;
  Net net({.seed = 6, .window_bytes = kWindow});
  net.add_many(5);
  const auto [out, in] = net.build(4, Priority::normal);
  net.node(4).window_shut = true;
  net.node(0).stream(out, Priority::normal, 5000);
  net.run();
  const std::size_t stopped = net.node(0).sent[out].size();
  EXPECT_LT(stopped, 5000u);
  EXPECT_EQ(net.node(0).circuits.sendable(out), 0u);
  for (std::size_t i = 1; i < 4; ++i) {
    const memory::PoolStats pool = net.node(i).pool.stats();
    EXPECT_LE(pool.in_use[0] * 1024, kWindow + 2 * 1024) << "relay " << i;
    EXPECT_EQ(pool.in_use[1], 0u);
  }
  // The receiver goes on, and everything arrives.
  net.node(4).window_shut = false;
  net.wake_all();
  net.run();
  EXPECT_TRUE(net.node(4).payloads[in] == net.node(0).sent[out]);
  EXPECT_EQ(net.node(4).payloads[in].size(), 5000u);
  net.expect_drained();
  net.node(0).circuits.close(out, net.now());
  net.run();
  net.expect_empty();
}

TEST(Flow, RoomIsWhatFitsAhead) {
  Net net;
  net.add({.circuits = {.ahead_bytes = 10 * 1024 + 5}});
  net.add({.circuits = {.ahead_bytes = 10}});
  const auto id = net.node(0).circuits.build(net.route(1), Priority::normal, net.now());
  EXPECT_EQ(net.node(0).circuits.sendable(*id), 0u) << "not ready";
  net.run();
  const CircuitId in = net.node(1).incoming.at(0);
  EXPECT_EQ(net.node(0).circuits.sendable(*id), 10u);
  EXPECT_EQ(net.node(1).circuits.sendable(in), 1u) << "one cell, whatever the setting";
  for (std::size_t left = 10; left-- > 0;) {
    ASSERT_TRUE(net.node(0).send(*id, Priority::normal));
    EXPECT_EQ(net.node(0).circuits.sendable(*id), left);
  }
  EXPECT_EQ(net.node(0).times_sendable, 0u);
  net.run();
  EXPECT_EQ(net.node(0).times_sendable, 1u) << "once, when it grew from zero";
  EXPECT_EQ(net.node(0).circuits.sendable(*id), 10u);
  net.node(0).circuits.close(*id, net.now());
  EXPECT_EQ(net.node(0).circuits.sendable(*id), 0u) << "gone";
  net.run();
  net.expect_empty();
}

TEST(Flow, ExhaustedPoolEndsTheCircuit) {
  for (const std::size_t starved : {std::size_t{0}, std::size_t{1}, std::size_t{2}}) {
    Net net({.seed = starved});
    for (std::size_t i = 0; i < 3; ++i) {
      NodeOptions options;
      if (i == starved) options.pool.blocks_max = {0, 16};
      net.add(options);
    }
    const auto [out, in] = net.build(2, Priority::normal);
    if (starved == 0) {
      EXPECT_FALSE(net.node(0).send(out, Priority::normal));
      EXPECT_EQ(net.node(0).circuits.stats().blocks_exhausted, 1u);
      ASSERT_TRUE(net.node(2).send(in, Priority::normal));
    } else {
      ASSERT_TRUE(net.node(0).send(out, Priority::normal));
    }
    net.run();
    EXPECT_EQ(net.node(starved).circuits.stats().blocks_exhausted, starved == 0 ? 2u : 1u);
    ASSERT_EQ(net.node(0).ended.size(), 1u);
    EXPECT_EQ(net.node(0).ended[0].why, starved == 0 ? Errc::refused_memory : Errc::circuit_failed);
    net.expect_empty();
  }
}

}  // namespace
}  // namespace qudag::circuit::test
