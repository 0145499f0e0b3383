// Arbitrary datagrams into an endpoint with one ready link. Input: records `kind u8, length u16,
// bytes`. Kind 0: the bytes as they are, from a stranger. Kind 1: the same from the peer's address.
// Kind 2: bytes XORed onto a datagram that really crossed the link. Kind 3: time passes.
// modules: link crypto
#include "crypto/identity.h"
#include "link/endpoint.h"

#include <cstdlib>
#include <vector>

using namespace qudag;
using namespace qudag::link;

namespace {

class CountingRng final : public Rng {
 public:
  void fill(std::span<std::byte> out) override {
    for (std::byte& byte : out) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;
      byte = static_cast<std::byte>(state_ >> 56);
    }
  }

 private:
  std::uint64_t state_ = 1;
};

class Quiet : public LinkEvents {
 public:
  void on_link_ready(LinkId, Now) override { ready = true; }
  void on_link_closed(LinkId, const Error&, Now) override { closed = true; }
  void on_control_frame(LinkId, std::uint8_t, Bytes, Now) override {}
  void on_stream_opened(StreamId, Now) override {}
  void on_stream_data(StreamId, std::uint64_t, Bytes, Now) override {}
  void on_stream_sent(StreamId, std::uint64_t, std::size_t, Now) override {}
  void on_stream_closed(StreamId, std::uint64_t, EndCode, Now) override {}
  bool ready = false;
  bool closed = false;
};

const SocketAddress kDialer = SocketAddress::v4(10, 0, 0, 1, 1);
const SocketAddress kTarget = SocketAddress::v4(10, 0, 0, 2, 2);
const SocketAddress kStranger = SocketAddress::v4(10, 0, 0, 3, 3);

/// Keeps what was sent, as single datagrams.
class Catcher final : public runtime::DatagramSocket {
 public:
  std::span<runtime::Received> receive() override { return {}; }
  std::size_t send(std::span<const runtime::Train> trains) override {
    for (const runtime::Train& train : trains) {
      for (Bytes rest = train.data; !rest.empty();) {
        const Bytes one = rest.first(std::min(train.segment, rest.size()));
        rest = rest.subspan(one.size());
        caught.emplace_back(one.begin(), one.end());
      }
    }
    return trains.size();
  }
  SocketAddress local() const override { return {}; }
  runtime::SocketStats stats() const override { return {}; }
  std::vector<std::vector<std::byte>> caught;
};

crypto::Identity identity(std::uint8_t n) {
  std::array<std::byte, crypto::kIdentitySeedSize> seed{};
  seed[0] = std::byte{n};
  return std::move(*crypto::Identity::from_seed(seed));
}

/// A dialer and a target with a link; the fuzzer speaks to the target.
struct World {
  World() {
    now.mono = TimePoint(std::chrono::seconds(1));
    EndpointOptions options;
    dialer = std::move(*Endpoint::create(options, dialer_identity, pool, rng, dialer_events, {}));
    target = std::move(*Endpoint::create(options, target_identity, pool, rng, target_events, {}));
    if (!dialer->dial(target_identity.id(), kTarget, kDialer, now)) std::abort();
    for (int i = 0; i < 50; ++i) turn();
    if (!target_events.ready) std::abort();
  }
  void turn() {
    now.mono += std::chrono::milliseconds(5);
    dialer->on_time(now);
    target->on_time(now);
    pass(*dialer, *target, kDialer, kTarget, crossed);
    std::vector<std::vector<std::byte>> unused;
    pass(*target, *dialer, kTarget, kDialer, unused);
  }
  void pass(Endpoint& from, Endpoint& to, const SocketAddress& source,
            const SocketAddress& destination, std::vector<std::vector<std::byte>>& keep) {
    Catcher socket;
    from.flush(socket, now);
    for (auto& datagram : socket.caught) {
      if (keep.size() < 256) keep.push_back(datagram);
      deliver(to, source, destination, datagram);
    }
  }
  void deliver(Endpoint& to, const SocketAddress& source, const SocketAddress& destination,
               std::vector<std::byte>& datagram) {
    if (datagram.empty()) return;
    runtime::Received one{source, destination, datagram, datagram.size(), 0};
    to.receive({&one, 1}, destination, now);
  }

  Now now;
  CountingRng rng;
  memory::BlockPool pool;
  crypto::Identity dialer_identity = identity(1);
  crypto::Identity target_identity = identity(2);
  Quiet dialer_events;
  Quiet target_events;
  std::unique_ptr<Endpoint> dialer;
  std::unique_ptr<Endpoint> target;
  std::vector<std::vector<std::byte>> crossed;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  World world;
  ByteReader in(Bytes(reinterpret_cast<const std::byte*>(data), size));
  for (int records = 0; records < 200 && in.remaining() >= 3; ++records) {
    const unsigned kind = in.u8() % 4u;
    const std::size_t length = std::min<std::size_t>(in.u16(), in.remaining());
    const Bytes bytes = in.take(length);
    std::vector<std::byte> datagram(bytes.begin(), bytes.end());
    if (kind == 2) {
      datagram = world.crossed[length % world.crossed.size()];
      for (std::size_t i = 0; i < bytes.size() && i < datagram.size(); ++i) datagram[i] ^= bytes[i];
    }
    if (kind == 3) {
      world.turn();
      continue;
    }
    const SocketAddress& from = kind == 0 ? kStranger : kDialer;
    world.deliver(*world.target, from, kTarget, datagram);
  }
  for (int i = 0; i < 5; ++i) world.turn();
  // Nobody without the keys may end a link that stands.
  if (world.target_events.closed || world.dialer_events.closed) std::abort();
  return 0;
}
