#include "limit.h"

#include "machine.h"

#include "crypto/aead.h"
#include "runtime/udp_socket.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

namespace qudag::app::bench {
namespace {

using Clock = std::chrono::steady_clock;
using runtime::UdpSocket;
constexpr std::size_t kTrainBytes = 44 * kPacketBytes;  // below 64 KiB
constexpr std::uint64_t kUnderWay = std::uint64_t{1} << 20;

struct Costs {
  double source, relay, destination;  // ns per byte
  double all(unsigned relays) const { return source + relays * relay + destination; }
};

Costs costs(const Limit& limit, unsigned relays, std::size_t message_bytes) {
  const double cell = message_bytes >= 16'384 ? limit.bulk_cell : limit.small_cell;
  return {.source = (relays + 1) * cell + limit.packet + limit.udp_send,
          .relay = cell + 2 * limit.packet + limit.udp_receive + limit.udp_send,
          .destination = cell + limit.packet + limit.udp_receive};
}

}  // namespace

double cores() { return std::max(1u, std::thread::hardware_concurrency()); }

double Limit::mb_per_s(unsigned relays, std::size_t message_bytes) const {
  const Costs c = costs(*this, relays, message_bytes);
  double slowest = std::max(c.source, c.destination);
  if (relays > 0) slowest = std::max(slowest, c.relay);
  return 1e3 / std::max(slowest, c.all(relays) / cores());
}

double Limit::cpu_s_per_gb(unsigned relays, std::size_t message_bytes) const {
  return costs(*this, relays, message_bytes).all(relays);  // ns per byte is s per GB
}

double aead_ns_per_byte(std::size_t piece, double seconds, bool only_open) {
  crypto::Aead aead{Key256()};
  constexpr std::size_t kPieces = 64;  // half a MiB at most: a window's worth
  std::vector<std::byte> text(piece * kPieces);
  std::vector<std::array<std::byte, crypto::kTagSize>> tags(kPieces);
  std::uint64_t bytes = 0;
  double spent = 0;
  for (std::uint64_t round = 0; spent < seconds; ++round) {
    const double begin = cpu_of_this_thread();
    for (std::size_t i = 0; i < kPieces; ++i) {
      aead.seal(crypto::counter_nonce(round * kPieces + i), {},
                MutableBytes(text).subspan(i * piece, piece), tags[i]);
    }
    const double middle = cpu_of_this_thread();
    for (std::size_t i = 0; i < kPieces; ++i) {
      if (!aead.open(crypto::counter_nonce(round * kPieces + i), {},
                     MutableBytes(text).subspan(i * piece, piece), tags[i])) {
        return 0;
      }
    }
    const double end = cpu_of_this_thread();
    spent += end - (only_open ? middle : begin);
    bytes += (only_open ? 1 : 2) * piece * kPieces;
  }
  return spent * 1e9 / static_cast<double>(bytes);
}

Result<UdpRate> udp_rate(bool merge, double seconds) {
  auto from = UdpSocket::open({.bind = SocketAddress::v4(127, 0, 0, 1, 0), .merge = merge});
  if (!from) return std::unexpected(from.error());
  auto to = UdpSocket::open({.bind = SocketAddress::v4(127, 0, 0, 1, 0), .merge = merge});
  if (!to) return std::unexpected(to.error());
  const SocketAddress target = (*to)->local();
  std::atomic<std::uint64_t> received{0};
  std::atomic<bool> over{false};
  double receive_cpu = 0;
  std::thread receiver([&] {
    const double begin = cpu_of_this_thread();
    while (!over.load(std::memory_order_relaxed)) {
      const auto batch = (*to)->receive();
      std::uint64_t bytes = 0;
      for (const runtime::Received& one : batch) bytes += one.data.size();
      if (bytes > 0) received.fetch_add(bytes, std::memory_order_relaxed);
      pollfd wait{(*to)->native_handle(), POLLIN, 0};
      if (batch.empty()) ::poll(&wait, 1, 10);
    }
    receive_cpu = cpu_of_this_thread() - begin;
  });
  const std::vector<std::byte> data(kTrainBytes);
  const runtime::Train train{.to = target, .from = {}, .data = data, .segment = kPacketBytes};
  const std::array<runtime::Train, 4> trains{train, train, train, train};
  std::uint64_t sent = 0;
  const double cpu = cpu_of_this_thread();
  const auto begin = Clock::now();
  auto progress = begin;
  std::uint64_t lost = 0, seen = 0;
  const auto enough = begin + std::chrono::duration<double>(seconds);
  // A machine with other work may not have run the receiver by then.
  const auto patience = enough + std::chrono::seconds(2);
  for (auto now = begin; now < enough || (seen == 0 && now < patience); now = Clock::now()) {
    const std::uint64_t got = received.load(std::memory_order_relaxed);
    if (got != seen) progress = now, seen = got;
    if (now - progress > std::chrono::milliseconds(50)) lost = sent - got, progress = now;
    if (sent - lost > got + kUnderWay) {
      std::this_thread::sleep_for(std::chrono::microseconds(20));  // waiting is not sending
      continue;
    }
    sent += (*from)->send(trains) * kTrainBytes;
  }
  const double send_cpu = cpu_of_this_thread() - cpu;
  const double took = std::chrono::duration<double>(Clock::now() - begin).count();
  const double got = static_cast<double>(received.load());
  over.store(true);
  receiver.join();
  if (got <= 0) return fail(Errc::io_error, "no datagram came over loopback");
  return UdpRate{.mb_per_s = got / 1e6 / took,
                 .send_ns_per_byte = send_cpu * 1e9 / static_cast<double>(sent),
                 .receive_ns_per_byte = receive_cpu * 1e9 / got};
}

Result<Limit> measure_limit(double seconds) {
  Limit out;
  out.small_cell = aead_ns_per_byte(1'008, seconds / 4);
  out.bulk_cell = aead_ns_per_byte(8'176, seconds / 4);
  out.packet = aead_ns_per_byte(1'400, seconds / 4);
  const auto udp = udp_rate(true, seconds / 4);
  if (!udp) return std::unexpected(udp.error());
  out.udp_send = udp->send_ns_per_byte;
  out.udp_receive = udp->receive_ns_per_byte;
  return out;
}

Status limit_scenario(const BenchArgs& args, Results& out, Limit& limit) {
  const double seconds = std::min(args.seconds, 1.0);
  std::vector<double> aead[3], udp[3];
  static constexpr std::size_t kPieces[] = {1'008, 8'176, 1'400};
  for (unsigned i = 0; i <= args.runs; ++i) {  // the first is the warm-up
    for (std::size_t k = 0; k < 3; ++k) {
      const double cost = aead_ns_per_byte(kPieces[k], seconds / 3);
      if (i > 0) aead[k].push_back(cost);
    }
    const auto rate = udp_rate(true, seconds);
    if (!rate) return std::unexpected(rate.error());
    if (i == 0) continue;
    udp[0].push_back(rate->mb_per_s);
    udp[1].push_back(rate->send_ns_per_byte);
    udp[2].push_back(rate->receive_ns_per_byte);
  }
  limit = {.small_cell = median_of(aead[0]),
           .bulk_cell = median_of(aead[1]),
           .packet = median_of(aead[2]),
           .udp_send = median_of(udp[1]),
           .udp_receive = median_of(udp[2])};
  const auto rates = [](std::vector<double> costs) {
    for (double& cost : costs) cost = 1e3 / cost;
    return costs;
  };
  out.add("limit/aead/1008", "MB/s", true).runs = rates(aead[0]);
  out.add("limit/aead/8176", "MB/s", true).runs = rates(aead[1]);
  out.add("limit/aead/1400", "MB/s", true).runs = rates(aead[2]);
  out.add("limit/udp", "MB/s", true).runs = udp[0];
  out.add("limit/udp_send", "ns/byte", false).runs = udp[1];
  out.add("limit/udp_receive", "ns/byte", false).runs = udp[2];
  out.add("limit/direct/bulk", "MB/s", true).runs = {limit.mb_per_s(0, 1 << 20)};
  out.add("limit/onion/bulk", "MB/s", true).runs = {limit.mb_per_s(3, 1 << 20)};
  out.add("limit/onion/cpu_s_per_gb", "s/GB", false).runs = {limit.cpu_s_per_gb(3, 1 << 20)};
  const Costs c = costs(limit, 3, 1 << 20);
  out.note(fmt::format(
      "limit over h relays = 1 / max(source, relay, destination, (source + h relay + destination) "
      "/ cores); source = (h+1) cell + packet + send, relay = cell + 2 packet + receive + send, "
      "destination = cell + packet + receive; here in ns per byte: cell {:.3f} (bulk) or {:.3f}, "
      "packet {:.3f}, send {:.3f}, receive {:.3f}: source {:.2f}, relay {:.2f}, destination "
      "{:.2f}, "
      "{:.0f} cores",
      limit.bulk_cell, limit.small_cell, limit.packet, limit.udp_send, limit.udp_receive, c.source,
      c.relay, c.destination, cores()));
  return {};
}

}  // namespace qudag::app::bench
