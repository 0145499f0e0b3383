// An honest peer that needs a new circuit all the time: over the victim to the honest destination,
// at a steady pace, with one message on it, and then the circuit is closed.
//
//   asked -> ready (how long it took) -> a message -> its acknowledgement (how long it took in all)
//
// It tries nothing twice, so that what an attack does to a build is seen: a node would take another
// route and say nothing. Threads: one of its own; figures from any.
#pragma once

#include "attack/rogue.h"

#include "base/histogram.h"

#include <fmt/format.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>

namespace qudag::attack {

class Builder {
 public:
  Builder(const PeerAddress& relay, const NodeId& to);
  ~Builder();

  struct Figures {
    std::uint64_t asked = 0, built = 0, answered = 0;
    std::map<std::string, std::uint64_t> otherwise;  // builds and messages, by what was said
    Histogram build_ns, message_ns;
    std::string reasons() const {
      std::string out;
      for (const auto& [why, count] : otherwise) out += fmt::format(" {} x {};", count, why);
      return out;
    }
    double built_share() const {
      return asked == 0 ? 0 : static_cast<double>(built) / static_cast<double>(asked);
    }
  };
  /// Whether circuits come; false after half a minute.
  bool wait_ready() const;
  /// What was asked so far, once all of it has ended; counts from zero afterwards.
  Figures mark();
  /// Stops, and then the same.
  Figures finish();

 private:
  struct Asked {
    TimePoint at{};
    bool ready = false;
  };
  void run();
  void ask();
  bool join();
  void say(circuit::CircuitId circuit);
  void give_up_late();
  void ended(circuit::CircuitId circuit, const std::string& otherwise);

  const PeerAddress relay_;
  const NodeId to_;
  std::atomic<bool> stop_{false}, pause_{false};
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;  // an answer came, or nothing is open any more
  std::uint64_t answered_ = 0;
  Figures figures_;
  std::map<circuit::CircuitId, Asked> under_way_;
  std::size_t open_ = 0;  // of them, for other threads
  crypto::SystemRng rng_;
  std::unique_ptr<Rogue> peer_;
  std::optional<link::LinkId> link_;
  std::thread thread_;
};

}  // namespace qudag::attack
