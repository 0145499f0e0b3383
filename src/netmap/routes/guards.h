// The guards of a node: the few relays that its circuits begin at, and the few that come second.
//
// In Tor's manner (guard-spec; for the second layer the vanguards specification):
//   sampled    relays are drawn once and then kept for months, each for a time of its own, in the
//              order in which they were drawn. A bounded number: whoever makes guards fail, or
//              hides them from the netmap, does not walk us through all relays.
//   confirmed  a circuit was built through it. Confirmed ones come first, the oldest before others.
//   in use     the first few that do not fail. One that fails, or is gone, keeps its place and is
//              asked again; what takes it out of the list is its age, or weeks without it.
// Second guards are drawn apart from the first ones and from any destination, and live for days.
// Of those in use, one that two first hops do not reach has another beside it while that lasts, as
// many as are wanted at the most; for one that is not confirmed, the word of one is enough.
//
// Pure state: `netmap/route` asks and draws, `node` keeps encode() in a file. Nothing that a
// destination, or a relay behind the first, does or says reaches these lists.
// Limits: four times as many for each layer as are wanted there, kKeptMax at most.
#pragma once

#include "base/bytes.h"
#include "base/rng.h"
#include "base/time.h"
#include "netmap/routes/first_hops.h"
#include "netmap/routes/thirds.h"

#include <qudag/address.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace qudag::netmap {

enum class Layer : std::uint8_t { first, second };
inline constexpr std::size_t kLayers = 2;

struct Guard {
  NodeId id;
  /// Where a link of ours to it was, so that it can be dialed after a restart when the netmap does
  /// not hold it; port 0: there was none. The network that it is in is this one's, not what it
  /// says.
  SocketAddress at{};
  UnixSeconds added = 0;
  UnixSeconds until = 0;      // it leaves the list then
  UnixSeconds confirmed = 0;  // 0: no circuit was built through it
  UnixSeconds gone = 0;       // since when the netmap lacks it; 0: it is there
};

class Guards {
 public:
  static constexpr std::size_t kKeptMax = 128;  // of a layer, with those that are gone for a while
  static constexpr std::size_t kKeptForEach = 4;  // of those, for each that is wanted
  static constexpr std::size_t kBreaksMax = 64;   // pairs of which the one does not reach the other
  static constexpr Duration kBreakMin = std::chrono::seconds(30), kBreakMax = std::chrono::hours(1);
  static constexpr std::size_t kEncodedBytesMax = 32 * 1024;

  // Lives of guards: drawn evenly between these; of second guards the longer of two draws.
  static constexpr std::chrono::days kFirstLifeMin{90}, kFirstLifeMax{150};
  static constexpr std::chrono::days kSecondLifeMin{1}, kSecondLifeMax{12};
  // How long the netmap may lack one before it leaves the list; and if there is no place, before
  // another may take its.
  static constexpr std::chrono::seconds kFirstGoneMax = std::chrono::days(20);
  static constexpr std::chrono::seconds kFirstGoneMin = std::chrono::days(1);
  static constexpr std::chrono::seconds kSecondGoneMax = std::chrono::hours(6);
  static constexpr std::chrono::seconds kSecondGoneMin = std::chrono::hours(1);
  /// No two guards of a layer leave by age within so long: a wall clock that jumps ahead does not
  /// exchange them all.
  static constexpr Duration kLeaveEvery = std::chrono::hours(1);
  /// After a start with guards from a file, so long nobody takes the places of those that the
  /// netmap does not show yet.
  static constexpr Duration kSettles = std::chrono::seconds(60);

  /// Those in the netmap, in the order in which they are used.
  std::vector<NodeId> ids(Layer layer = Layer::first) const;
  /// All, with those that are gone.
  std::span<const Guard> all(Layer layer) const { return layers_[static_cast<std::size_t>(layer)]; }
  const Guard* find(Layer layer, const NodeId& id) const;
  bool contains(Layer layer, const NodeId& id) const { return find(layer, id) != nullptr; }

  /// Notes who is in the netmap as a relay, and drops who has been there for too long or was gone
  /// for too long.
  void update(const std::function<bool(const NodeId&)>& listed, Now now);
  /// May another one be drawn, if `wanted` are to be in the netmap?
  bool has_place(Layer layer, std::size_t wanted, Now now) const;
  /// At the end of the list; draws how long it stays. Only if it has a place and is not there yet.
  void add(Layer layer, const NodeId& id, std::size_t wanted, Now now, Rng& rng);
  /// A circuit was built through this first hop.
  void confirmed(const NodeId& id, Now now);
  /// That first hop says that it does not reach that second one: its word counts for circuits
  /// through itself only, and for a while that grows.
  void not_reached(const NodeId& first, const NodeId& second, Now now);
  void reached(const NodeId& first, const NodeId& second, Now now);
  bool passed_over(const NodeId& first, const NodeId& second, Now now) const;
  /// Two first hops said so lately, neither of which is taken at its word alone; of one through
  /// which no circuit was built yet, one.
  bool out_of_reach(const NodeId& second, Now now) const;

  /// A link of ours to it was there.
  void linked(const NodeId& id, const SocketAddress& at);

  /// Grows whenever encode() would say something that is worth keeping.
  std::uint64_t version() const { return version_; }
  /// docs/reference/protocol.md has no part in this: the form is ours alone, and versioned.
  std::vector<std::byte> encode() const;
  /// malformed, with what is wrong. Times that cannot be (a clock was wrong when they were written,
  /// or is now) are held around each other, so that neither clock exchanges the guards.
  static Result<Guards> parse(Bytes raw, UnixSeconds now);

  FirstHops circuits;  // told by who builds them
  Thirds thirds;       // of circuits to keepers
  struct Choices {
    std::uint64_t least = 0;  // the least loaded of several
    std::uint64_t only = 0;   // one guard suited
    std::uint64_t other = 0;  // none in use did: another of the list
  } choices;

 private:
  std::vector<Guard>& layer(Layer which) { return layers_[static_cast<std::size_t>(which)]; }
  void drop_old(Layer which, Now now);
  bool clock_was_set(Now now);
  void remove(Layer which, const Guard& guard);
  /// Who may give its place to a newcomer when all are taken; null: nobody.
  const Guard* longest_gone(Layer which, Now now) const;

  std::array<std::vector<Guard>, kLayers> layers_;  // in the order of use
  struct Break {
    NodeId first, second;
    TimePoint until{};
    Duration lasts{};
    bool believed = true;
  };

  std::vector<Break> breaks_;  // kBreaksMax, then the one that ends first makes room
  std::array<TimePoint, kLayers> may_leave_{};  // by age
  bool from_file_ = false;                      // and nobody asked yet
  TimePoint settled_{};
  std::optional<Now> updated_;  // last
  std::uint64_t version_ = 0;
};

}  // namespace qudag::netmap
