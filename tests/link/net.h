// Endpoints joined by an in-memory network with virtual time: loss, reordering and duplication by
// seed, and a record of what crossed it. One thread, no real time: a failing run repeats exactly.
#pragma once

#include "crypto/identity.h"
#include "link/endpoint.h"
#include "memory/block.h"
#include "runtime/driver.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <string>
#include <vector>

namespace qudag::link::testing {

using namespace std::chrono_literals;

class SeededRng final : public Rng {
 public:
  explicit SeededRng(std::uint64_t seed) : engine_(seed) {}
  void fill(std::span<std::byte> out) override {
    for (std::byte& byte : out) byte = static_cast<std::byte>(engine_() & 0xff);
  }

 private:
  std::mt19937_64 engine_;
};

/// LinkEvents that remember, and do what a test hangs onto them.
class Recorder : public LinkEvents {
 public:
  struct StreamLog {
    std::vector<std::byte> data;
    std::size_t sent = 0;
    std::size_t closed = 0;
    EndCode code = EndCode::none;
    std::uint64_t context = 0;
  };

  void on_link_ready(LinkId link, Now) override {
    ready.push_back(link);
    if (when_ready) when_ready(link);
  }
  void on_link_closed(LinkId link, const Error& why, Now) override {
    closed.push_back({link, why});
  }
  void on_control_frame(LinkId, std::uint8_t type, Bytes body, Now) override {
    control.push_back({type, {body.begin(), body.end()}});
  }
  void on_stream_opened(StreamId stream, Now) override {
    opened.push_back(stream);
    if (when_opened) when_opened(stream);
  }
  void on_stream_data(StreamId stream, std::uint64_t context, Bytes data, Now) override {
    StreamLog& log = streams[stream];
    EXPECT_EQ(log.closed, 0u) << "data after the end";
    log.context = context;
    if (keep_data) log.data.insert(log.data.end(), data.begin(), data.end());
    bytes_in += data.size();
    if (when_data) when_data(stream, data);
  }
  void on_stream_sent(StreamId stream, std::uint64_t, std::size_t bytes, Now) override {
    streams[stream].sent += bytes;
    if (when_sent) when_sent(stream, bytes);
  }
  void on_stream_closed(StreamId stream, std::uint64_t context, EndCode code, Now) override {
    StreamLog& log = streams[stream];
    ++log.closed;
    log.code = code;
    log.context = context;
    if (when_closed) when_closed(stream);
  }

  std::vector<LinkId> ready;
  std::vector<std::pair<LinkId, Error>> closed;
  std::vector<std::pair<std::uint8_t, std::vector<std::byte>>> control;
  std::vector<StreamId> opened;
  std::map<StreamId, StreamLog> streams;
  std::size_t bytes_in = 0;
  bool keep_data = true;
  std::function<void(LinkId)> when_ready;
  std::function<void(StreamId)> when_opened;
  std::function<void(StreamId, Bytes)> when_data;
  std::function<void(StreamId, std::size_t)> when_sent;
  std::function<void(StreamId)> when_closed;
};

class Net;

/// A worker pool in virtual time: work is done `delay` after it was given, or when a test lets it.
class Workers final : public runtime::WorkerPool, public runtime::Executor {
 public:
  explicit Workers(Net& net) : net_(net) {}

  bool submit(std::function<void()> work, runtime::Executor& shard,
              std::function<void(WorkEnd, Now)> done) override;
  bool post(std::function<void(Now)> task) override;
  TimePoint next() const { return jobs_.empty() || held ? kNever : jobs_.front().at; }
  void run();
  std::size_t waiting() const { return jobs_.size(); }

  Duration delay = 2ms;
  std::size_t waiting_max = SIZE_MAX;
  bool held = false;
  std::uint64_t refused = 0;
  std::size_t to_expire = 0;  // so many jobs wait for too long, and are never begun

 private:
  bool keep() override { return true; }
  void give_back() override {}
  void post_kept(std::function<void(Now)> task) override { post(std::move(task)); }

  struct Job {
    TimePoint at;
    std::function<void()> work;
    std::function<void(WorkEnd, Now)> done;
  };
  Net& net_;
  std::deque<Job> jobs_;
};

/// A node on the Net: an endpoint, its socket and everything that they need.
class Peer final : public runtime::DatagramSocket {
 public:
  Peer(Net& net, std::uint64_t seed, std::uint8_t host, EndpointOptions options);

  std::span<runtime::Received> receive() override { return {}; }
  std::size_t send(std::span<const runtime::Train> trains) override;
  SocketAddress local() const override { return address; }
  std::optional<SocketAddress> source_for(const SocketAddress&) const override { return address; }
  bool has(const SocketAddress& one) const override { return one.ip == address.ip; }
  bool is_at(const SocketAddress& one) const {
    return one == address || std::ranges::find(also, one) != also.end();
  }
  runtime::SocketStats stats() const override { return {}; }

  const NodeId& id() const { return identity.id(); }
  Endpoint& operator*() { return *endpoint; }
  Endpoint* operator->() { return endpoint.get(); }
  memory::Block block(Bytes data);

  Net& net;
  SeededRng rng;
  crypto::Identity identity;
  memory::BlockPool pool;
  Recorder events;
  SocketAddress address;
  std::vector<SocketAddress> also = {};    // of a machine with several: what it is reached at too
  std::size_t trains_accepted = SIZE_MAX;  // per send(); fewer: the socket is "full"
  std::unique_ptr<Endpoint> endpoint;
};

struct Faults {
  double loss = 0;
  double duplicate = 0;
  double reorder = 0;  // share of datagrams that take up to `jitter` longer
  Duration latency = 5ms;
  std::size_t datagram_bytes_max = SIZE_MAX;  // larger ones vanish, and nobody is told
  Duration jitter = 10ms;
  double bytes_per_second = 0;     // of each sender; 0: no limit
  Duration queue_time_max = 20ms;  // what waits longer at the bottleneck is dropped
  bool one_line = false;           // all senders share that rate and its queue
};

class Net {
 public:
  explicit Net(std::uint64_t seed = 1) : chance_(seed) {}

  Peer& add(EndpointOptions options = {}) {
    const auto host = static_cast<std::uint8_t>(peers_.size() + 1);
    peers_.push_back(std::make_unique<Peer>(*this, chance_.u64(), host, std::move(options)));
    return *peers_.back();
  }

  /// Another endpoint with the same identity, as of another shard; at an address of its own.
  Peer& add_twin(const Peer& of, EndpointOptions options);

  Now now() const { return {time_, 1'000'000}; }
  SeededRng& chance() { return chance_; }

  void carry(const SocketAddress& from, const SocketAddress& to, Bytes datagram, std::uint8_t ecn);
  void inject(TimePoint at, const SocketAddress& from, const SocketAddress& to, Bytes datagram,
              std::uint8_t ecn = 0);

  /// Runs until `done` or until `limit` of virtual time passed; true if done.
  bool run(Duration limit, const std::function<bool()>& done);
  void run_for(Duration limit) {
    run(limit, [] { return false; });
  }

  Faults faults;
  std::function<void(const SocketAddress& from, const SocketAddress& to, Bytes)> tap;
  /// Which datagrams are lost beside those by chance.
  std::function<bool(const SocketAddress& from, const SocketAddress& to, Bytes)> lose;
  Workers workers{*this};  // for who is given them
  /// So many of the first peers are shards of one node, at one address: the kernel gives each its
  /// datagrams by the first byte of the connection id.
  std::size_t shards = 0;
  std::uint64_t carried = 0;
  std::uint64_t carried_bytes = 0;

 private:
  struct Flying {
    TimePoint at;
    std::uint64_t order;
    SocketAddress from;
    SocketAddress to;
    std::vector<std::byte> data;
    std::uint8_t ecn;
    bool operator<(const Flying& other) const {
      return std::tie(at, order) > std::tie(other.at, other.order);
    }
  };

  /// To the next moment at which something happens; false if that is after `end`.
  bool step(TimePoint end);
  void deliver(Flying& datagram);
  std::size_t shard_of(Bytes datagram) const;

  SeededRng chance_;
  TimePoint time_{1s};
  std::vector<std::unique_ptr<Peer>> peers_;
  std::priority_queue<Flying> flying_;
  std::uint64_t order_ = 0;
  std::map<SocketAddress, TimePoint> bottleneck_free_;
};

/// Bytes that differ by position and by `salt`.
inline std::vector<std::byte> pattern(std::size_t size, std::uint64_t salt) {
  std::vector<std::byte> out(size);
  std::mt19937_64 engine(salt);
  for (std::byte& byte : out) byte = static_cast<std::byte>(engine() & 0xff);
  return out;
}

/// Two endpoints with a ready link between them.
struct Pair {
  explicit Pair(std::uint64_t seed = 1, EndpointOptions a_options = {},
                EndpointOptions b_options = {})
      : net(seed), a(net.add(std::move(a_options))), b(net.add(std::move(b_options))) {}

  /// a dials b; both are ready afterwards.
  void connect() {
    auto dialed = a->dial(b.id(), b.address, a.address, net.now());
    ASSERT_TRUE(dialed) << dialed.error().message();
    link = *dialed;
    ASSERT_TRUE(net.run(10s, [&] { return !a.events.ready.empty() && !b.events.ready.empty(); }));
    remote_link = b.events.ready.back();
  }

  StreamId open(Priority priority = Priority::normal, std::uint64_t context = 0) {
    auto stream = a->open(link, priority, context);
    EXPECT_TRUE(stream) << stream.error().message();
    return stream ? *stream : StreamId{};
  }

  /// The same stream as the other endpoint names it.
  StreamId at_b(StreamId stream) const { return {remote_link, stream.index}; }

  Net net;
  Peer& a;
  Peer& b;
  LinkId link;
  LinkId remote_link;
};

}  // namespace qudag::link::testing
