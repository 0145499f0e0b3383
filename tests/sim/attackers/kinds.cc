// The twelve kinds of attackers. Each does one thing; what it sees goes to the Ring.
#include "sim/attackers/ring.h"

#include "base/limits.h"
#include "circuit/wire.h"
#include "netmap/map/descriptor.h"
#include "wire/control.h"

#include <algorithm>
#include <deque>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kLie = UINT32_MAX;   // KiB/s
constexpr std::uint32_t kProbeTtl = 32'768;  // ms
constexpr std::size_t kVictims = 6;          // relays that floods go to
constexpr std::size_t kInvented = 40;        // identities
constexpr Duration kReplyOnTheWay = 300ms;   // until the sender has our reply

/// What all of them have: the Ring, and eyes.
class Attacker : public Hostile {
 public:
  Attacker(World& world, const SocketAddress& at, const HostileOptions& options, Ring& ring)
      : Hostile(world, at, options), ring_(ring) {}

 protected:
  void heard(const Arrival& arrival) override {
    ring_.arrived(*this, arrival);
    acknowledge(arrival);
  }
  void relayed(const Sighting& sighting, circuit::CircuitId) override { ring_.saw(sighting); }
  void linked(const SocketAddress& from) override { ring_.dialed(from); }

  /// The same few honest relays every time, so that a flood is one.
  std::vector<NodeId> victims() const {
    std::vector<NodeId> all = ring_.honest(*view(), true);
    if (all.size() > kVictims) all.resize(kVictims);
    return all;
  }
  std::size_t below(std::size_t bound) { return world_.rng().below(bound); }

  Ring& ring_;
};

// ---- who sent this? (destinations) --------------------------------------------------------------

/// Keeps a direct circuit to every honest node that can be addressed.
class Prober : public Attacker {
 public:
  using Attacker::Attacker;

 protected:
  void tick(Now) override {
    constexpr std::size_t kAtOnce = 3;
    std::set<NodeId> have;
    for (const auto& [circuit, to] : destination_) have.insert(to);
    std::size_t built = 0;
    for (const NodeId& id : ring_.honest(*view(), false)) {
      if (have.contains(id)) continue;
      static_cast<void>(build({id}, Priority::normal));
      if (++built == kAtOnce) return;
    }
  }
  std::vector<std::pair<circuit::CircuitId, NodeId>> probes() const {
    std::vector<std::pair<circuit::CircuitId, NodeId>> out;
    for (const circuit::CircuitId circuit : ready_) {
      const auto at = destination_.find(circuit);
      if (at != destination_.end()) out.emplace_back(circuit, at->second);
    }
    return out;
  }
};

/// Replies with an id of its choice, and asks everybody whether they have seen it.
class Ids final : public Prober {
 public:
  using Prober::Prober;

 private:
  struct Asked {
    std::uint64_t number;
    NodeId who;
  };
  void heard(const Arrival& arrival) override {
    Prober::heard(arrival);
    const auto number = Ring::number_of(arrival);
    if (!number) return;
    const wire::MessageId reply = draw_id();
    if (!begin(arrival.circuit,
               {.id = reply,
                .size = 32,
                .ttl_ms = kProbeTtl,
                .priority = arrival.priority,
                .in_reply_to = arrival.ref},
               32)) {
      return;
    }
    later(kReplyOnTheWay, [this, reply, number] { ask(reply, *number); });
  }
  void ask(const wire::MessageId& id, std::uint64_t number) {
    for (const auto& [circuit, who] : probes()) {
      const auto ref = begin(circuit,
                             {.id = id,
                              .size = 32,
                              .ttl_ms = kProbeTtl,
                              .priority = Priority::normal,
                              .in_reply_to = {}},
                             32);
      if (ref) asked_[{circuit, *ref}] = {number, who};
    }
  }
  void answered(circuit::CircuitId circuit, std::uint32_t ref, wire::AckStatus status) override {
    const auto at = asked_.find({circuit, ref});
    if (at == asked_.end()) return;
    if (status == wire::AckStatus::duplicate)
      ring_.guess(Rule::ids, at->second.number, at->second.who);
    asked_.erase(at);
  }
  std::map<std::pair<circuit::CircuitId, std::uint32_t>, Asked> asked_;
};

/// Leaves a reply unfinished, and begins a message of the same id at one node after the other.
class Partial final : public Prober {
 public:
  using Prober::Prober;

 private:
  static constexpr Duration kPace = 100ms;
  static constexpr std::uint32_t kWhole = 600, kPiece = 100;

  void heard(const Arrival& arrival) override {
    Prober::heard(arrival);
    if (Ring::number_of(arrival) && waiting_.size() < 4) waiting_.push_back(arrival);
  }
  void tick(Now now) override {
    Prober::tick(now);
    if (now.mono < next_) return;
    next_ = now.mono + kPace;
    if (!target_) return start();
    while (!left_.empty()) {
      const auto [circuit, who] = left_.back();
      left_.pop_back();
      const auto ref = begin(circuit,
                             {.id = id_,
                              .size = kWhole,
                              .ttl_ms = kProbeTtl,
                              .priority = Priority::normal,
                              .in_reply_to = {}},
                             kPiece);
      if (!ref) continue;
      asked_last_ = who;
      open_.emplace_back(circuit, *ref);
      return;
    }
    finish();
  }
  void start() {
    if (waiting_.empty()) return;
    target_ = waiting_.front();
    waiting_.pop_front();
    id_ = draw_id();
    asked_last_.reset();
    left_ = probes();
    ref_ = begin(target_->circuit,
                 {.id = id_,
                  .size = kWhole,
                  .ttl_ms = kProbeTtl,
                  .priority = target_->priority,
                  .in_reply_to = target_->ref},
                 kPiece);
    if (!ref_) return finish();
    next_ = world_.now().mono + kReplyOnTheWay;
  }
  void answered(circuit::CircuitId circuit, std::uint32_t ref, wire::AckStatus status) override {
    if (!target_ || circuit != target_->circuit || ref != ref_) return;
    if (status == wire::AckStatus::cancelled && asked_last_) {
      ring_.guess(Rule::partial, *Ring::number_of(*target_), *asked_last_);
    }
    finish();
  }
  void finish() {
    for (const auto& [circuit, ref] : open_)
      static_cast<void>(say(circuit, wire::CancelFrame{ref}));
    open_.clear();
    target_.reset();
  }

  std::deque<Arrival> waiting_;
  std::optional<Arrival> target_;
  wire::MessageId id_{};
  std::optional<std::uint32_t> ref_;
  std::vector<std::pair<circuit::CircuitId, NodeId>> left_;
  std::vector<std::pair<circuit::CircuitId, std::uint32_t>> open_;
  std::optional<NodeId> asked_last_;
  TimePoint next_{};
};

/// Gets signed and unsigned messages, and looks which came on one circuit.
class Signing final : public Attacker {
 public:
  using Attacker::Attacker;

 private:
  void heard(const Arrival& arrival) override {
    Attacker::heard(arrival);
    if (arrival.signer) {
      owner_[arrival.circuit] = *arrival.signer;
    } else if (const auto number = Ring::number_of(arrival)) {
      unsigned_[arrival.circuit].push_back(*number);
    }
    const auto owner = owner_.find(arrival.circuit);
    if (owner == owner_.end()) return;
    for (const std::uint64_t number : unsigned_[arrival.circuit]) {
      ring_.guess(Rule::signing, number, owner->second);
    }
  }
  std::map<circuit::CircuitId, NodeId> owner_;
  std::map<circuit::CircuitId, std::vector<std::uint64_t>> unsigned_;
};

/// Acknowledges late, so that messages are sent again when a relay of ours ends their circuit; and
/// claims addresses in the networks of three honest relays at a time, so that those may not be
/// first hops of circuits to it.
class Claimer final : public Attacker {
 public:
  using Attacker::Attacker;

 private:
  static constexpr Duration kHeld = 4s;
  static constexpr Duration kClaimEvery = 10s;

  void heard(const Arrival& arrival) override {
    ring_.arrived(*this, arrival);
    later(kHeld, [this, arrival] { acknowledge(arrival); });
  }
  void tick(Now now) override {
    if (now.mono < next_) return;
    next_ = now.mono + kClaimEvery;
    const std::vector<NodeId> relays = ring_.honest(*view(), true);
    std::vector<SocketAddress> claimed;
    for (std::size_t i = 0; i < 3 && !relays.empty(); ++i) {
      const netmap::Entry* entry = view()->find(relays[at_++ % relays.size()]);
      if (entry == nullptr) continue;
      SocketAddress beside = entry->descriptor.addresses.front();
      beside.ip[15] = 99;
      claimed.push_back(beside);
    }
    announce(claimed);
  }
  std::size_t at_ = 0;
  TimePoint next_{};
};

/// Answers every build with garbage, so that its source looks for another way.
class Churner final : public Attacker {
 public:
  using Attacker::Attacker;

 private:
  void writes(StreamId, memory::Block& block) override {
    if (block.size() != limits::kReplyMessageBytes) return;
    for (std::byte& one : block.bytes()) one ^= std::byte{0x5a};
  }
};

// ---- come to us (relays) ------------------------------------------------------------------------

/// Claims much and says that it is idle.
class Liar : public Attacker {
 public:
  using Attacker::Attacker;

 protected:
  void tick(Now now) override {
    if (now.mono < next_) return;
    next_ = now.mono + 2s;
    for (const link::LinkInfo& info : endpoint().links()) {
      if (info.state != link::LinkState::ready) continue;
      static_cast<void>(endpoint().send_control(
          info.id, static_cast<std::uint8_t>(wire::ControlType::load), wire::encode_load(0)));
    }
  }
  TimePoint next_{};
};

/// Ends half of the circuits that go through it, to see what is sent again.
class Killer final : public Liar {
 public:
  using Liar::Liar;

 private:
  static constexpr Duration kAge = 1500ms;

  void relayed(const Sighting& sighting, circuit::CircuitId circuit) override {
    Liar::relayed(sighting, circuit);
    if (below(2) == 0) return;
    later(kAge, [this, circuit, from = sighting.from] {
      if (!circuits().info(circuit)) return;
      kill(circuit);
      ring_.killed(from);
    });
  }
};

/// Sends every build that it passes on twice more.
class Replayer final : public Liar {
 public:
  using Liar::Liar;

 private:
  static constexpr std::size_t kKept = 16;

  void relayed(const Sighting& sighting, circuit::CircuitId circuit) override {
    Liar::relayed(sighting, circuit);
    next_hop_ = sighting.next;
  }
  void writes(StreamId stream, memory::Block& block) override {
    if (stream != stream_ || bytes_.size() >= kBuild) {
      stream_ = stream;
      bytes_.clear();
    }
    bytes_.insert(bytes_.end(), block.bytes().begin(), block.bytes().end());
    if (bytes_.size() != kBuild || kept_.size() >= kKept) return;
    kept_.emplace_back(next_hop_, bytes_);
  }
  void tick(Now now) override {
    Liar::tick(now);
    if (kept_.empty()) return;
    const auto [next, bytes] = kept_.front();
    kept_.pop_front();
    const auto link = link_to(next);
    if (!link) return;
    for (int again = 0; again < 2; ++again) write_raw(*link, Priority::normal, bytes);
  }
  static constexpr std::size_t kBuild = limits::kBuildMessageBytes + circuit::Preface{}.size();
  NodeId next_hop_;
  StreamId stream_;
  std::vector<std::byte> bytes_;
  std::deque<std::pair<NodeId, std::vector<std::byte>>> kept_;
};

/// Relays that are not there.
class Inventor final : public Attacker {
 public:
  using Attacker::Attacker;

 private:
  void tick(Now now) override {
    if (made_ == kInvented || view()->entries().size() < 4) return;
    const auto identity = crypto::Identity::generate();
    const auto key = crypto::KemKeyPair::generate();
    if (!identity || !key) return;
    netmap::Descriptor lie;
    lie.identity = identity->public_bytes();
    lie.id = identity->id();
    lie.published = now.unix_seconds;
    lie.expires = lie.published + 3 * 3'600;
    lie.relay = true;
    lie.capacity_kib_s = kLie;
    lie.addresses = {SocketAddress::v4(10, static_cast<std::uint8_t>(100 + made_++), 0, 1, 4433)};
    lie.onion_keys = {{.not_before = lie.published - 60,
                       .not_after = lie.published + 2 * 3'600,
                       .key = key->public_bytes()}};
    const auto raw = netmap::encode_and_sign(lie, *identity);
    if (!raw) return;
    ring_.invented(lie.id);
    static_cast<void>(add_to_netmap(*raw));
  }
  std::size_t made_ = 0;
};

// ---- floods -------------------------------------------------------------------------------------

/// Builds that never end: more of them than a relay lets be under way.
class Slots final : public Attacker {
 public:
  using Attacker::Attacker;

 private:
  void tick(Now) override {
    std::vector<std::byte> half(limits::kBuildMessageBytes / 2);
    const circuit::Preface preface = circuit::preface(Priority::normal);
    std::ranges::copy(preface, half.begin());
    for (const NodeId& victim : victims()) {
      const auto link = link_to(victim);
      if (!link) continue;
      for (int i = 0; i < 2; ++i) write_raw(*link, Priority::normal, half);
    }
  }
};

/// Circuits that are built and never used.
class Idle final : public Attacker {
 public:
  using Attacker::Attacker;

 private:
  void tick(Now) override {
    const std::vector<NodeId> relays = victims();
    if (relays.size() < 2) return;
    const std::size_t first = below(relays.size());
    const std::size_t second = (first + 1 + below(relays.size() - 1)) % relays.size();
    static_cast<void>(build({relays[first], relays[second]}, Priority::normal));
  }
};

/// Makes relays dial who is not there.
class DeadHops final : public Attacker {
 public:
  using Attacker::Attacker;

 private:
  void tick(Now) override {
    const std::vector<NodeId> relays = victims();
    const std::set<NodeId>& dead = ring_.invented();
    if (relays.empty() || dead.empty()) return;
    const NodeId& one = *std::next(dead.begin(), static_cast<std::ptrdiff_t>(below(dead.size())));
    static_cast<void>(build({relays[below(relays.size())], one}, Priority::normal));
  }
};

template <class K>
std::unique_ptr<Hostile> make(World& world, const SocketAddress& at, const HostileOptions& options,
                              Ring& ring) {
  return std::make_unique<K>(world, at, options, ring);
}

struct Made {
  std::string_view name;
  std::unique_ptr<Hostile> (*make)(World&, const SocketAddress&, const HostileOptions&, Ring&);
  bool relay = false;
  bool destination = false;
};
constexpr std::array<Made, kKinds> kMade{{
    {.name = "ids", .make = make<Ids>, .destination = true},
    {.name = "partial", .make = make<Partial>, .destination = true},
    {.name = "signing", .make = make<Signing>, .destination = true},
    {.name = "liar", .make = make<Liar>, .relay = true},
    {.name = "churner", .make = make<Churner>, .destination = true},
    {.name = "claimer", .make = make<Claimer>, .destination = true},
    {.name = "inventor", .make = make<Inventor>},
    {.name = "slots", .make = make<Slots>},
    {.name = "idle", .make = make<Idle>},
    {.name = "dead hops", .make = make<DeadHops>},
    {.name = "replayer", .make = make<Replayer>, .relay = true},
    {.name = "killer", .make = make<Killer>, .relay = true},
}};

}  // namespace

std::string_view name_of(Kind kind) { return kMade[static_cast<std::size_t>(kind)].name; }
bool is_destination(Kind kind) { return kMade[static_cast<std::size_t>(kind)].destination; }

std::unique_ptr<Hostile> make_attacker(Kind kind, World& world, const SocketAddress& at,
                                       const PeerAddress& bootstrap, Ring& ring) {
  const Made& made = kMade[static_cast<std::size_t>(kind)];
  const HostileOptions options{
      .relay = made.relay, .capacity_kib_s = made.relay ? kLie : 0, .bootstrap = bootstrap};
  auto node = made.make(world, at, options, ring);
  ring.join(*node);
  return node;
}

}  // namespace qudag::testing
