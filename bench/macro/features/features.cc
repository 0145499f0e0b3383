// Each feature at its setting beside the off end of the same knob, or the plain way where there is
// no knob. Timed parts are in turns, on and off, and medians are compared.
#include "cells.h"
#include "machine.h"
#include "net.h"
#include "scenarios.h"
#include "turns.h"

#include "crypto/aead.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <utility>

namespace qudag::app::bench {
namespace {

constexpr std::size_t kBurst = 512;  // a window of cells, taken and given back

double pooled(double seconds) {
  memory::BlockPool pool;
  std::vector<memory::Block> blocks(kBurst);
  return ns_per(seconds, kBurst, [&] {
    for (memory::Block& block : blocks) block = pool.take(memory::BlockSize::cell);
    for (memory::Block& block : blocks) block.reset();
  });
}

double from_malloc(double seconds) {
  std::vector<void*> pieces(kBurst);
  return ns_per(seconds, kBurst, [&] {
    for (void*& piece : pieces) {
      piece = std::malloc(1'024 + memory::kHeadroomBytes + memory::kTailroomBytes);
      asm volatile("" : : "g"(piece) : "memory");
    }
    for (void* piece : pieces) std::free(piece);
  });
}

/// Sealing a run of cells where they lie, or into fresh buffers: a copy first, as OpenSSL's own
/// out-of-place form would write.
double sealed(double seconds, bool in_place) {
  constexpr std::size_t kCells = 64, kBytes = 1'008;
  crypto::Aead aead{Key256()};
  std::vector<std::byte> from(kCells * kBytes), to(kCells * kBytes);
  std::array<std::byte, crypto::kTagSize> tag{};
  std::uint64_t counter = 0;
  return ns_per(seconds, kCells, [&] {
    for (std::size_t i = 0; i < kCells; ++i) {
      MutableBytes cell = MutableBytes(from).subspan(i * kBytes, kBytes);
      if (!in_place) {
        const MutableBytes out = MutableBytes(to).subspan(i * kBytes, kBytes);
        std::memcpy(out.data(), cell.data(), kBytes);
        cell = out;
      }
      aead.seal(crypto::counter_nonce(counter++), {}, cell, tag);
    }
  });
}

/// A window of cells on their way through one queue: moved by handle, or copied.
double passed_on(double seconds, bool by_handle) {
  memory::BlockPool pool;
  std::vector<memory::Block> from(kBurst), to(kBurst);
  for (memory::Block& block : from) {
    block = pool.take(memory::BlockSize::cell);
    block.append(1'024);
  }
  return ns_per(seconds, kBurst, [&] {
    for (std::size_t i = 0; i < kBurst; ++i) {
      if (by_handle) {
        to[i] = std::move(from[i]);
        continue;
      }
      to[i] = pool.take(memory::BlockSize::cell);
      to[i].append(1'024);
      std::memcpy(to[i].data(), from[i].data(), 1'024);
    }
    if (by_handle) from.swap(to);
  });
}

/// The copies of a byte at a relay, without what happens between them.
double copied(double seconds, int times) {
  std::vector<std::vector<std::byte>> stages(4, std::vector<std::byte>(kBurst * 1'024));
  return ns_per(seconds, kBurst, [&] {
    for (std::size_t at = 0; at < stages[0].size(); at += 1'024) {
      for (std::size_t i = 0; i < static_cast<std::size_t>(times); ++i) {
        std::memcpy(stages[i + 1].data() + at, stages[i].data() + at, 1'024);
        asm volatile("" : : "r"(stages[i + 1].data()) : "memory");
      }
    }
  });
}

/// The one that a node would not choose here.
crypto::Cipher slowest_cipher() {
  return crypto::fastest_cipher() == crypto::Cipher::aes_256_gcm ? crypto::Cipher::chacha20_poly1305
                                                                 : crypto::Cipher::aes_256_gcm;
}

Status in_process(const BenchArgs& args, Results& out) {
  const double seconds = args.quick ? 0.05 : 0.3;
  {
    const auto [on, off] = in_turns(
        args.runs, [&] { return pooled(seconds); }, [&] { return from_malloc(seconds); });
    out.feature("M2", "pool_against_malloc", "ns", false, on, off);
  }
  {
    const auto [on, off] = in_turns(
        args.runs, [&] { return sealed(seconds, true); }, [&] { return sealed(seconds, false); });
    out.feature("M4", "seal_in_place", "ns/cell", false, on, off);
  }
  {
    const auto [on, off] = in_turns(
        args.runs, [&] { return passed_on(seconds, true); },
        [&] { return passed_on(seconds, false); });
    out.feature("M5", "pass_by_handle", "ns/cell", false, on, off);
  }
  {
    const auto [on, off] = in_turns(
        args.runs, [&] { return copied(seconds, 1); }, [&] { return copied(seconds, 3); });
    out.feature("M6", "one_copy_against_three", "ns/cell", false, on, off);
  }
  for (const Priority priority : {Priority::normal, Priority::low}) {
    const auto [on, off] = in_turns(
        args.runs, [&] { return relay_ns_per_cell(priority, seconds, crypto::fastest_cipher()); },
        [&] { return relay_ns_per_cell(priority, seconds, slowest_cipher()); });
    out.feature("P5", fmt::format("cipher_by_cpu_{}", onion::cell_bytes(priority)), "ns/cell",
                false, on, off);
  }
  if (const crypto::GcmCode* const code = crypto::gcm_code()) {
    const auto by_code = [&](const char* name, const std::function<double()>& ns_per_cell) {
      const auto with = [&](const crypto::GcmCode* of) {
        crypto::choose_gcm_code(of);
        const double ns = ns_per_cell();
        crypto::choose_gcm_code(code);
        return ns;
      };
      const auto [on, off] = in_turns(
          args.runs, [&] { return with(code); }, [&] { return with(nullptr); });
      out.feature("P5", name, "ns/cell", false, on, off);
    };
    by_code("gcm_by_cpu_source_1024", [&] { return source_ns_per_cell(4, seconds); });
    by_code("gcm_by_cpu_1024", [&] { return relay_ns_per_cell(Priority::normal, seconds); });
    by_code("gcm_by_cpu_8192", [&] { return relay_ns_per_cell(Priority::low, seconds); });
    out.note(
        fmt::format("P5 gcm_by_cpu: a source's or relay's work for a cell with AES-256-GCM by the "
                    "code {} and by OpenSSL",
                    crypto::gcm_code_name(*code)));
  }
  out.note(
      "P5 cipher_by_cpu: a relay's work for a cell with the cipher that the node chose by its CPU, "
      "and with the other of AES-256-GCM and ChaCha20-Poly1305");
  Status failed{std::in_place};  // nothing has yet
  const auto udp = [&](bool merge) {
    const auto rate = udp_rate(merge, args.quick ? 0.2 : 1.0);
    if (!rate) failed = std::unexpected(rate.error());
    return rate ? rate->mb_per_s : 0;
  };
  const auto [on, off] = in_turns(
      args.runs, [&] { return udp(true); }, [&] { return udp(false); });
  out.feature("P6", "udp_gso_gro", "MB/s", true, on, off);
  return failed;
}

/// Copies and cells per message, from the relays' counters.
Status on_the_way(const BenchArgs& args, Net& net, Results& out) {
  const auto cells = [&] { return net.relay_metric("qudag_cells_total", "role=\"relay\""); };
  const auto copies_now = [&] { return net.relay_metric("qudag_bytes_copied_total"); };
  const auto per_message = [&](std::size_t window, double* copies) -> Result<double> {
    const auto cells_before = cells();
    const auto copied_before = copies_now();
    const auto load = net.load({.bytes = 256, .window = window, .seconds = args.seconds});
    if (!load) return std::unexpected(load.error());
    const auto cells_after = cells();
    const auto copied_after = copies_now();
    if (!cells_before || !copied_before || !cells_after || !copied_after) {
      return fail(Errc::io_error, "a relay's metrics");
    }
    const double passed = *cells_after - *cells_before;
    if (copies != nullptr) *copies = (*copied_after - *copied_before) / (passed * 1'024);
    return passed / 3 / static_cast<double>(load->delivered);
  };
  double copies = 0;
  const auto batched = per_message(4'096, &copies);
  if (!batched) return std::unexpected(batched.error());
  const auto single = per_message(1, nullptr);
  if (!single) return std::unexpected(single.error());
  out.add("features/copies_per_relayed_byte", "x", false).runs = {copies};
  out.feature("P4", "cells_per_256_byte_message", "cells", false, *batched, *single);
  out.note(
      "M5: a cell handed on by handle, or copied into a piece of its own; M6: a cell copied "
      "once, or once more into the cell and into the send queue, as a plain proxy does; "
      "P4: off is one message at a time, so each has its cell; acknowledgements included");
  return {};
}

Status reuse(const BenchArgs& args, Net& net, Results& out) {
  const std::uint64_t circuits = args.quick ? 50 : 1'000;
  const auto isolated = net.load({.bytes = 256, .window = 64, .count = circuits, .isolate = true});
  if (!isolated) return std::unexpected(isolated.error());
  const auto opened = static_cast<double>(net.source().status().get().links);
  out.feature("M7", "links_per_1000_circuits", "links", false,
              opened * 1'000 / static_cast<double>(circuits), 1'000);
  const auto shared = net.load({.bytes = 256, .window = 64, .count = circuits * 20});
  if (!shared) return std::unexpected(shared.error());
  out.feature("N5", "messages_on_one_circuit", "messages/s", true, shared->per_second(),
              isolated->per_second());
  out.note(
      "M7: on is the links that the source holds after them, off a link per circuit, not a "
      "measurement");
  return {};
}

}  // namespace

Status features_scenario(const BenchArgs& args, Results& out, Interrupt& interrupt) {
  if (Status done = in_process(args, out); !done) return done;
  features_of_records(args, out);
  {
    auto net = Net::start({.relays = 3, .shards = 1}, interrupt);
    if (!net) return std::unexpected(net.error());
    if (Status done = on_the_way(args, **net, out); !done) return done;
    if (Status done = reuse(args, **net, out); !done) return done;
  }
  if (Status done = features_of_priorities(args, out, interrupt); !done) return done;
  if (Status done = features_of_queues(args, out, interrupt); !done) return done;
  return features_of_shards(args, out, interrupt);
}

}  // namespace qudag::app::bench
