// Cells for a node itself are handled by work, and links take turns (circuit/cell_turns.h).
#include "circuit/cell_turns.h"

#include "circuit/net.h"

#include "memory/block.h"

#include <gtest/gtest.h>

namespace qudag::circuit::test {
namespace {

constexpr std::size_t kCostly = 784;  // of a cell
constexpr std::size_t kInATurn = CellTurns::kTurnWork / (kCostly + CellTurns::kCellWork) + 1;

/// Node 0 is the destination of circuits of the others; its cells cost much.
struct Busy {
  explicit Busy(std::size_t others) {
    net.add({});
    net.add_many(others);
    net.node(0).payload_work = kCostly;
  }
  CircuitId from(std::size_t node) {
    const auto id =
        net.node(node).circuits.build(std::vector{net.node(0).hop()}, Priority::normal, net.now());
    EXPECT_TRUE(id.has_value());
    net.run();
    return id.value_or(CircuitId{});
  }
  void send(std::size_t node, CircuitId circuit, int cells) {
    for (int i = 0; i < cells; ++i) EXPECT_TRUE(net.node(node).send(circuit, Priority::normal));
  }
  std::size_t came(std::size_t i) { return net.node(0).payloads[net.node(0).incoming[i]].size(); }
  void turn() { net.pass(100us); }

  Net net{{.seed = 61, .chunk_max = 20'000, .delay_max = 0ns}};
};

TEST(CellTurns, ATurnEndsWithItsWorkAndTheRestWaitsInItsWindow) {
  Busy f(1);
  const CircuitId circuit = f.from(1);
  f.send(1, circuit, 40);
  f.net.run();
  EXPECT_EQ(f.came(0), kInATurn);
  EXPECT_EQ(f.net.node(0).circuits.next_deadline(), TimePoint::min()) << "others wait";
  EXPECT_EQ(f.net.node(0).circuits.stats().cells_put_off, 40 - kInATurn);
  const StreamEnd& end = f.net.streams().front()->end[1];
  const std::size_t waiting = (40 - kInATurn) * onion::cell_bytes(Priority::normal);
  EXPECT_LE(end.received - end.consumed, waiting);
  EXPECT_GT(end.received - end.consumed, waiting - onion::cell_bytes(Priority::normal))
      << "but for a part of a cell, which is given back when it comes";
  f.turn();
  EXPECT_EQ(f.came(0), 2 * kInATurn);
  for (int i = 0; i < 3; ++i) f.turn();
  EXPECT_EQ(f.came(0), 40u);
  EXPECT_EQ(f.net.node(0).payloads.begin()->second, f.net.node(1).sent[circuit]) << "in order";
  EXPECT_EQ(end.received, end.consumed);
  EXPECT_NE(f.net.node(0).circuits.next_deadline(), TimePoint::min());
}

TEST(CellTurns, LinksTakeTurnsAndCircuitsOfALink) {
  Busy f(2);
  const CircuitId flood = f.from(1), beside = f.from(1), other = f.from(2);
  f.send(1, flood, 60);
  f.net.run();
  f.send(1, beside, 2);
  f.send(2, other, 6);
  f.net.run();
  EXPECT_EQ(f.came(1) + f.came(2), 0u) << "behind what waits";
  f.turn();
  EXPECT_GE(f.came(2), kInATurn / 2) << "not behind the link that floods";
  EXPECT_GE(f.came(1), 1u) << "nor behind the other circuit of its own";
  f.turn();
  EXPECT_EQ(f.came(2), 6u);
  EXPECT_EQ(f.came(1), 2u);
  EXPECT_LT(f.came(0), 30u);
  for (int i = 0; i < 6; ++i) f.turn();
  EXPECT_EQ(f.came(0), 60u);
}

TEST(CellTurns, WhatWaitsEndsWithItsCircuit) {
  Busy f(2);
  const CircuitId first = f.from(1), second = f.from(1);
  f.send(1, first, 40);
  f.send(1, second, 40);
  f.net.run();
  const CircuitId at_us = f.net.node(0).incoming[0];
  EXPECT_GE(f.net.node(0).circuits.held(at_us), 30 * onion::cell_bytes(Priority::normal));
  f.net.node(0).circuits.close(at_us, f.net.now());
  f.net.run();
  const std::size_t before = f.came(0);
  for (int i = 0; i < 8; ++i) f.turn();
  EXPECT_EQ(f.came(0), before);
  EXPECT_EQ(f.came(1), 40u);
  f.send(1, second, 40);
  f.net.run();
  EXPECT_GT(f.net.node(0).circuits.reclaim(Priority::normal, 1, f.net.now()), 0u)
      << "cells that wait are memory that can be had back";
  f.net.run();
  EXPECT_NE(f.net.node(0).circuits.next_deadline(), TimePoint::min());
}

TEST(CellTurns, ASourceTakesItsTurnsToo) {
  Busy f(1);
  (void)f.from(1);
  f.net.node(1).payload_work = kCostly;
  const CircuitId at_us = f.net.node(0).incoming[0];
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(f.net.node(0).send(at_us, Priority::normal));
  f.net.run();
  EXPECT_EQ(f.net.node(1).payloads.begin()->second.size(), kInATurn);
  for (int i = 0; i < 2; ++i) f.turn();
  EXPECT_EQ(f.net.node(1).payloads.begin()->second, f.net.node(0).sent[at_us]);
}

constexpr std::size_t kDear = 1'619;  // frames of a byte or few in a cell of 8 KiB

LinkId link(std::uint32_t n) { return LinkId{n}; }

/// A line that has become empty is forgotten, and what it owes with it: who has one cell there at a
/// time would never pay for more than that.
TEST(CellTurns, WhoHasOneCellAtATimeOwesNothing) {
  memory::BlockPool pool;
  CellTurns turns;
  const auto cell = [&] { return pool.take(memory::BlockSize::cell); };
  Now now{};
  constexpr std::uint32_t kHostile = 16;
  const auto refill = [&] {
    for (std::uint32_t i = 1; i <= kHostile; ++i) {
      if (turns.cells({i}) == 0) turns.put(link(i), {i}, Priority::normal, cell(), now);
    }
    while (turns.cells({99}) < 2'000) turns.put(link(99), {99}, Priority::normal, cell(), now);
  };
  std::uint64_t honest = 0, hostile = 0;
  for (int turn = 0; turn < 10'000; ++turn) {
    now.mono += 1ms;
    refill();
    while (auto next = turns.next(now)) {
      const std::size_t work = next->circuit.value == 99 ? 1 : kDear;
      (next->circuit.value == 99 ? honest : hostile) +=
          work + static_cast<std::size_t>(CellTurns::kCellWork);
      turns.charge(work);
    }
  }
  const double share = static_cast<double>(honest) / static_cast<double>(honest + hostile);
  EXPECT_GT(share, 0.5 / (kHostile + 1));
}

/// A cell of high priority behind those of 400 bulk circuits that came over the same link.
TEST(CellTurns, HighPriorityIsNotBehindBulkOfItsLink) {
  memory::BlockPool pool;
  CellTurns turns;
  Now now{};
  for (std::uint32_t i = 1; i <= 400; ++i) {
    for (int n = 0; n < 4; ++n)
      turns.put(link(1), {i}, Priority::low, pool.take(memory::BlockSize::cell), now);
  }
  turns.put(link(1), {999}, Priority::high, pool.take(memory::BlockSize::cell), now);
  int waited = 0;
  for (bool handled = false; !handled; ++waited) {
    now.mono += 1ms;
    while (auto next = turns.next(now)) {
      handled = handled || next->circuit.value == 999;
      turns.charge(kDear);
    }
  }
  EXPECT_LE(waited, 2);
}

TEST(CellTurns, TheCircuitsOfALinkAreForgottenInAnyOrder) {
  memory::BlockPool pool;
  CellTurns turns;
  Now now{};
  constexpr std::uint32_t kCircuits = 4'096;
  for (std::uint32_t i = 1; i <= kCircuits; ++i) {
    turns.put(link(1), {i}, Priority::low, pool.take(memory::BlockSize::cell), now);
  }
  for (std::uint32_t i = kCircuits; i > 0; --i) turns.forget({i});
  EXPECT_TRUE(turns.empty());
}

}  // namespace
TEST(CellTurns, WhenMemoryIsShortTheHeaviestCircuitOfTheLinkWithMostEnds) {
  Busy f(2);
  const CircuitId heavy = f.from(1), beside = f.from(1), other = f.from(2);
  f.send(1, heavy, 60);
  f.net.run();
  f.send(1, beside, 20);
  f.send(2, other, 30);
  f.net.run();
  Circuits& circuits = f.net.node(0).circuits;
  const std::size_t block = memory::capacity_of(memory::BlockSize::cell);
  EXPECT_EQ(circuits.reclaim_waiting(200 * block, f.net.now()), 0u) << "less waits";
  EXPECT_EQ(circuits.reclaim_waiting(60 * block, f.net.now()), (60 - kInATurn) * block);
  f.net.run();
  EXPECT_FALSE(f.net.node(1).circuits.info(heavy));
  EXPECT_TRUE(f.net.node(1).circuits.info(beside));
  EXPECT_TRUE(f.net.node(2).circuits.info(other)) << "of a link with less, though with more of it";
  EXPECT_EQ(circuits.reclaim_waiting(0, f.net.now()), 50 * block);
  EXPECT_EQ(circuits.stats().ended_reclaimed, 3u);
  EXPECT_EQ(circuits.next_deadline() == TimePoint::min(), false) << "nothing waits";
}

TEST(CellTurns, WhatWaitsCountsWhenMemoryIsShortAndBuildsDoNot) {
  Busy f(3);
  const CircuitId flood = f.from(1);
  for (int i = 0; i < 3; ++i) f.from(2);
  f.send(1, flood, 60);
  f.net.run();
  f.net.node(0).circuits.set_refusal({1, 0});
  const auto is_taken = [&f](std::size_t node) {
    const std::size_t before = f.net.node(0).circuits.size();
    f.from(node);
    return f.net.node(0).circuits.size() > before;
  };
  EXPECT_FALSE(is_taken(1)) << "one circuit, and most of what waits";
  EXPECT_TRUE(is_taken(2)) << "three circuits of four";
  EXPECT_TRUE(is_taken(3));
}

}  // namespace qudag::circuit::test
