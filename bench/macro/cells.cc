#include "cells.h"

#include "limit.h"
#include "machine.h"
#include "scenarios.h"

#include <cstring>

namespace qudag::app::bench {

Cells::Cells(std::size_t hops, Priority priority, crypto::Cipher cipher) : cls_(priority) {
  std::vector<onion::HopSecrets> secrets;
  for (std::size_t i = 0; i < hops; ++i) {
    onion::HopSecrets s;
    s.cipher = cipher;
    rng_.fill(s.forward_chain.span());
    rng_.fill(s.backward_chain.span());
    hops_.emplace_back(onion::HopSecrets{s.forward_chain.clone(), s.backward_chain.clone(), cipher},
                       priority);
    secrets.push_back(std::move(s));
  }
  source_ = std::make_unique<onion::SourceCrypto>(std::move(secrets), priority, rng_);
}

void Cells::fill(std::size_t count) {
  while (blocks_.size() < count) blocks_.push_back(pool_.take(onion::block_size(cls_)));
  blocks_.resize(count);
  for (memory::Block& block : blocks_) {
    block.clear();
    block.append(onion::payload_bytes(cls_));
    std::memset(block.data(), 0, block.size());
  }
}

double relay_ns_per_cell(Priority priority, double seconds, crypto::Cipher cipher) {
  constexpr std::size_t kTurn = 64;
  Cells cells(2, priority, cipher);
  double spent = 0;
  std::uint64_t count = 0;
  while (spent < seconds) {
    cells.fill(kTurn);
    for (memory::Block& payload : cells.blocks()) cells.source().seal(payload);
    const double begin = cpu_of_this_thread();
    for (memory::Block& cell : cells.blocks()) {
      if (!cells.hop(0).forward(cell)) return 0;
    }
    spent += cpu_of_this_thread() - begin;
    count += kTurn;
  }
  return spent * 1e9 / static_cast<double>(count);
}

double source_ns_per_cell(std::size_t hops, double seconds) {
  Cells cells(hops, Priority::normal);
  double spent = 0;
  std::uint64_t count = 0;
  while (spent < seconds) {
    cells.fill(64);
    const double begin = cpu_of_this_thread();
    for (memory::Block& payload : cells.blocks()) cells.source().seal(payload);
    spent += cpu_of_this_thread() - begin;
    count += cells.blocks().size();
  }
  return spent * 1e9 / static_cast<double>(count);
}

Status relay_scenario(const BenchArgs& args, Results& out) {
  std::vector<double> small, bulk, ratio, bulk_ratio, rate;
  const double seconds = args.seconds / 4;
  for (unsigned i = 0; i <= args.runs; ++i) {
    const double bare = aead_ns_per_byte(1'008, seconds, true) * 1'008;
    const double cell = relay_ns_per_cell(Priority::normal, seconds);
    const double bare_bulk = aead_ns_per_byte(8'176, seconds, true) * 8'176;
    const double bulk_cell = relay_ns_per_cell(Priority::low, seconds);
    if (cell <= 0 || bulk_cell <= 0) return fail(Errc::internal, "a relay refused a cell");
    if (i == 0) continue;
    small.push_back(cell);
    bulk.push_back(bulk_cell);
    ratio.push_back(cell / bare);
    bulk_ratio.push_back(bulk_cell / bare_bulk);
    rate.push_back(1e9 / cell);
  }
  out.add("relay/ns_per_cell", "ns", false).runs = small;
  out.add("relay/cells", "cells/s", true).runs = rate;
  out.add("relay/aead_ratio", "x", false).runs = ratio;
  out.add("relay/8192/ns_per_cell", "ns", false).runs = bulk;
  out.add("relay/8192/aead_ratio", "x", false).runs = bulk_ratio;
  out.note(
      "relay: open, check and filler of a 1 KiB cell at one relay, QUIC apart, on one thread; "
      "instructions per cell: docs/internals/measuring.md");
  return {};
}

}  // namespace qudag::app::bench
