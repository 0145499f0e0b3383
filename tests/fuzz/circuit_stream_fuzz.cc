// Bytes and events of hostile streams into Circuits: garbage, valid builds, replies, cells, resets,
// closed links and time, in any order. Each input byte pair (operation, argument) is one event; see
// step(). The one check at the end: everything is given back.
//
// modules: circuit onion memory crypto base
#include "circuit/circuits.h"
#include "circuit/quota/quota.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "crypto/kem.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <vector>

namespace {

using namespace qudag;
using circuit::CircuitId;

class FuzzRng final : public Rng {
 public:
  void fill(std::span<std::byte> out) override {
    for (std::byte& b : out) b = static_cast<std::byte>(engine_());
  }

 private:
  std::mt19937 engine_{1};
};

constexpr UnixSeconds kUnix = 1'700'000'000;

NodeId node_id(int n) {
  NodeId id;
  id.bytes[0] = static_cast<std::byte>(n);
  return id;
}

/// Made once: key pairs, and builds of each priority for a destination, in every second priority
/// with a rider, and for a relay.
struct Fixed {
  std::shared_ptr<const crypto::KemKeyPair> pair;
  std::shared_ptr<const crypto::KemPublicKey> key;
  std::array<std::vector<std::byte>, 6> builds;
  std::vector<onion::RouteHop> route;
  std::vector<std::byte> rider = std::vector<std::byte>(onion::kRiderBytes);

  Fixed() {
    const std::array<std::byte, crypto::kKemSeedSize> seed{std::byte{7}};
    pair = std::make_shared<crypto::KemKeyPair>(std::move(*crypto::KemKeyPair::from_seed(seed)));
    key = std::make_shared<crypto::KemPublicKey>(
        std::move(*crypto::KemPublicKey::import(pair->public_bytes())));
    route = {{node_id(1), key}, {node_id(2), key}};
    FuzzRng rng;
    rng.fill(rider);
    for (std::size_t i = 0; i < builds.size(); ++i) {
      const auto priority = static_cast<Priority>(i / 2);
      onion::BuildMessage message;
      const auto hops = std::span(route).first(1 + i % 2);
      const Bytes rides = i % 4 == 0 ? Bytes(rider) : Bytes();
      QUDAG_ASSERT(onion::start_build(hops, priority, kUnix, rng, message, nullptr, rides));
      builds[i] = {std::byte{1}, static_cast<std::byte>(priority)};
      builds[i].insert(builds[i].end(), message.begin(), message.end());
    }
  }
};

const Fixed& fixed() {
  static const Fixed instance;
  return instance;
}

class Harness final : public circuit::Sink, public circuit::CircuitEvents {
 public:
  Harness() : circuits_(options(quota_), pool_, rng_, *this) {
    circuits_.set_events(*this);
    circuits_.set_onion_keys({{fixed().pair, 0, UINT64_MAX}});
  }

  void run(Bytes input) {
    while (input.size() >= 2) {
      const auto op = std::to_integer<unsigned>(input[0]);
      const auto arg = std::to_integer<std::size_t>(input[1]);
      input = input.subspan(2);
      step(op, arg, input);
    }
    circuits_.shutdown(now());
    quota_.set({}, time_);  // what is owed is paid
    circuits_.on_time(now());
    QUDAG_ASSERT(circuits_.size() == 0);
    QUDAG_ASSERT(circuits_.next_deadline() == kNever);
    streams_.clear();
    QUDAG_ASSERT(pool_.stats().in_use[0] == 0 && pool_.stats().in_use[1] == 0);
  }

 private:
  struct Stream {
    std::uint64_t context = 0;
    bool open = true;
    std::size_t received = 0, consumed = 0;
    std::vector<memory::Block> queue;
    std::size_t queued = 0;
  };

  static circuit::CircuitsOptions options(circuit::Quota& quota) {
    circuit::CircuitsOptions out;
    out.quota = &quota;
    out.self = node_id(1);
    out.circuits_max = 6;
    out.building_max = 4;
    out.ahead_bytes = 4096;
    return out;
  }

  void step(unsigned op, std::size_t arg, Bytes& input) {
    // The high bits name the stream, newest first, the low ones what happens on it.
    const std::int64_t index = next_index_ - 1 - static_cast<std::int64_t>((op >> 4) & 7);
    Stream* stream = find(index);
    switch (op & 15) {
      case 0:
        return circuits_.on_stream_opened(open(), now());
      case 1:
        return deliver(index, take(input, arg));
      case 2:
        return deliver(index, take(input, arg * 64));
      case 3:
        return deliver(index, fixed().builds[arg % fixed().builds.size()]);
      case 4:
        return deliver(index, std::vector<std::byte>(arg * 64));
      case 5:
        return sent(index, arg * 64);
      case 6:
        if (stream == nullptr || !stream->open) return;
        stream->open = false;
        return circuits_.on_stream_closed(name(index), stream->context,
                                          static_cast<wire::EndCode>(arg % 8), now());
      case 7:
        time_ += std::chrono::milliseconds(arg * 100);
        return circuits_.on_time(now());
      case 8: {
        const auto hops = std::span(fixed().route).first(1 + arg % 2);
        const Bytes rides = arg >= 128 ? Bytes(fixed().rider) : Bytes();
        (void)circuits_.build(hops, static_cast<Priority>(arg / 2 % 3), now(), rides);
        return;
      }
      case 9:
        for (auto& [each_index, each] : streams_) {
          if (name(each_index).link == link_number(arg % 2)) each.open = false;
        }
        return circuits_.on_link_closed(link_number(arg % 2), now());
      case 10:
        extend_fails_ = arg % 2 == 1;
        return;
      case 11:
        close_inside_ = arg % 8 == 1;
        return;
      case 12:
        quota_.set({.bandwidth = arg % 16 * 1'000, .month = arg / 16 * 100'000}, time_);
        return circuits_.on_time(now());
      default:
        for (const circuit::CircuitInfo& info : circuits_.list()) {
          if (!info.ready || info.role == circuit::CircuitRole::relay) continue;
          if (memory::Block block = circuits_.payload_block(info.priority)) {
            circuits_.send(info.id, std::move(block), now());
          }
        }
    }
  }

  static Bytes take(Bytes& input, std::size_t bytes) {
    const Bytes out = input.first(std::min(bytes, input.size()));
    input = input.subspan(out.size());
    return out;
  }

  template <class Number>
  static LinkId link_number(Number number) {
    return {.slot = static_cast<std::uint32_t>(number), .generation = 1};
  }
  StreamId name(std::int64_t index) const { return {link_number(index % 2), index}; }
  StreamId open() {
    streams_[next_index_];
    return name(next_index_++);
  }
  Stream* find(std::int64_t index) {
    const auto at = streams_.find(index);
    return at == streams_.end() ? nullptr : &at->second;
  }

  void deliver(std::int64_t index, Bytes data) {
    Stream* stream = find(index);
    if (stream == nullptr || !stream->open) return;
    stream->received += data.size();
    circuits_.on_stream_data(name(index), stream->context, data, now());
  }

  void sent(std::int64_t index, std::size_t bytes) {
    Stream* stream = find(index);
    if (stream == nullptr || !stream->open) return;
    bytes = std::min(bytes, stream->queued);
    stream->queued -= bytes;
    if (stream->queued == 0) stream->queue.clear();
    if (bytes > 0) circuits_.on_stream_sent(name(index), stream->context, bytes, now());
  }

  Now now() const { return {time_, kUnix}; }

  // Sink
  void extend(std::uint64_t ticket, const NodeId&, Priority, Now at) override {
    if (extend_fails_) return circuits_.on_extended(ticket, fail(Errc::unreachable), at);
    circuits_.on_extended(ticket, open(), at);
  }
  void set_context(StreamId stream, std::uint64_t context) override {
    find(stream.index)->context = context;
  }
  void set_priority(StreamId, Priority) override {}
  void write(StreamId key, memory::Block block) override {
    Stream& stream = *find(key.index);
    if (!stream.open) return;
    stream.queued += block.size();
    stream.queue.push_back(std::move(block));
  }
  std::size_t queued_bytes(StreamId key) const override { return streams_.at(key.index).queued; }
  void consume(StreamId key, std::size_t bytes) override {
    Stream& stream = *find(key.index);
    stream.consumed += bytes;
    QUDAG_ASSERT(stream.consumed <= stream.received);
  }
  void reset(StreamId key, wire::EndCode) override {
    Stream& stream = *find(key.index);
    QUDAG_ASSERT(stream.open && stream.consumed == stream.received);
    stream.open = false;
    stream.queue.clear();
    stream.queued = 0;
  }

  // Events
  void on_built(CircuitId, Duration, Now) override {}
  void on_incoming(CircuitId circuit, Priority, Now at) override { maybe_close(circuit, at); }
  std::size_t on_rider(CircuitId circuit, Bytes rider, Now at) override {
    QUDAG_ASSERT(std::ranges::equal(rider, fixed().rider));
    maybe_close(circuit, at);
    return std::to_integer<std::size_t>(rider.front());
  }
  std::size_t on_payload(CircuitId circuit, memory::Block payload, Now at) override {
    const auto work = std::to_integer<std::size_t>(payload.bytes().front()) * 4;
    maybe_close(circuit, at);
    return work;
  }
  void on_sendable(CircuitId circuit, Now at) override { maybe_close(circuit, at); }
  void on_ended(CircuitId circuit, const Error&, Now) override {
    QUDAG_ASSERT(!circuits_.info(circuit).has_value());
  }
  void maybe_close(CircuitId circuit, Now at) {
    if (close_inside_) circuits_.close(circuit, at);
  }

  FuzzRng rng_;
  memory::BlockPool pool_{{.blocks_max = {64, 32}, .keep = {0, 0}}};
  std::map<std::int64_t, Stream> streams_;
  std::int64_t next_index_ = 0;
  TimePoint time_{};
  circuit::Quota quota_{{}, {}, {{}, kUnix}};
  bool extend_fails_ = false;
  bool close_inside_ = false;
  circuit::Circuits circuits_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Harness harness;
  harness.run({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
