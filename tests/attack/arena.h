// The scene of every attack: one `qudag node` process (the victim, a relay) and two honest nodes in
// this process that exchange messages over it, before and during the attack; and an honest peer
// that needs a new circuit over it all the time (builder.h).
#pragma once

#include "app/run.h"
#include "attack/builder.h"

#include "base/histogram.h"

#include <qudag/node.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace qudag::attack {

/// Sizes are a tenth of the unless QUDAG_ATTACK_FULL is set; a fiftieth under sanitizers.
std::size_t scaled(std::size_t full);
bool sanitized();
/// 20 s in full size; in the suite at least so long, for a node to fall behind.
TimePoint end_of_attack(std::chrono::milliseconds least);

/// Messages at a steady pace over the victim; each must be delivered.
class Honest {
 public:
  Honest(Node& from, const NodeId& to);
  ~Honest();

  struct Figures {
    std::uint64_t sent = 0, delivered = 0;
    std::map<std::string, std::uint64_t> otherwise;
    Histogram latency_ns;
  };
  /// Stops and waits for every outcome; what happened since the start or the last mark().
  Figures finish();
  /// What happened so far; counts from zero afterwards.
  Figures mark();

 private:
  void run();
  void told(const Delivery& delivery);

  Node& from_;
  const NodeId to_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t under_way_ = 0;
  Figures figures_;
  std::thread thread_;
};

class Arena {
 public:
  static constexpr std::uint64_t kMemory = std::uint64_t{64} << 20;
  /// Of the new circuits that are asked for during an attack, so many are built.
  double built_share_least = 0.99;

  /// More arguments of the victim.
  explicit Arena(const std::vector<std::string>& more = {});
  ~Arena();

  const PeerAddress& victim() const { return victim_; }
  const NodeId& honest_destination() const { return destination_->id(); }

  /// From here on the attack runs; before it, honest traffic had the victim for itself. In full
  /// size `besides` is done in that time: what honest nodes do beside it during the attack, which
  /// has its cost as well.
  void begin(const std::function<void()>& besides = {});
  /// Everybody honest was served, old traffic and new circuits; the victim lives, inside its bound;
  /// prints the figures.
  /// RSS may be `over` times the bound.
  void end(const std::string& attack, const std::string& told = {}, double over = 1.1);

  /// The victim's metric, summed over labels that contain `label`.
  double metric(const std::string& name, const std::string& label = "") const;
  double peak_rss() const;
  /// Of the victim's local API.
  const std::string& socket() const { return socket_; }

 private:
  static void step_back(bool attacks);
  void measure_beside_busy_thread();
  void judge_builds(const std::string& attack);

  app::test::Directory directory_;
  std::unique_ptr<app::test::Process> process_;
  PeerAddress victim_;
  std::string socket_;
  std::unique_ptr<Node> source_, destination_;
  std::unique_ptr<Honest> honest_;
  std::unique_ptr<Builder> builder_;
  double p99_before_ = 0;
  Builder::Figures builds_before_;
  Builder::Figures builds_beside_;  // in full size: beside a thread that is busy and attacks nobody
};

}  // namespace qudag::attack
