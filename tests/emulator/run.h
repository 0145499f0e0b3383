// One run: namespaces, programs, the loop that carries packets, the end.
//
// The steps of a turn: wait (ppoll, to the nanosecond) for a packet, a signal, a command or the
// next time; do what was commanded and what the scenario says for this time; read what the nodes
// sent into the fabric; write what has arrived; see whether the run is over.
#pragma once

#include "fabric.h"
#include "programs.h"
#include "space.h"

#include <fstream>
#include <memory>

namespace qudag::emulator {

inline constexpr int kExitTimeout = 124;  // as timeout(1) says it
inline constexpr int kExitSkipped = 77;   // the system does not allow it

struct RunOptions {
  std::filesystem::path logs;
  Nanos interval{};  // of the series in the report; 0: none
  /// A line for each packet: ns, from, to, bytes, fate, and the first byte after its UDP header.
  std::filesystem::path trace;
};

class Run {
 public:
  static Result<std::unique_ptr<Run>> create(const Scenario& scenario, const RunOptions& options);
  /// Until every `run` program has ended, the time is over, or SIGTERM. The exit code.
  int go();
  std::string report() const;  // JSON

 private:
  explicit Run(const Scenario& scenario, const RunOptions& options);
  Status start_programs();
  std::vector<std::string> environment() const;
  void wait(Nanos now);
  void read_packets();
  void trace(std::size_t from, const Fabric::Sent& sent, std::span<const std::uint8_t> packet);
  void read_commands();
  void read_signals();
  void do_command(const Command& command);
  void write_packets();
  bool over(Nanos now);
  Nanos now() const;

  Scenario scenario_;
  Fabric fabric_;
  std::vector<Space> spaces_;
  Programs programs_;
  std::ofstream trace_;
  Fd signals_, commands_, command_writer_;
  std::string command_text_;  // what has come of a line
  std::chrono::steady_clock::time_point begin_;
  std::size_t timed_done_ = 0;
  bool stopping_ = false;
  Nanos kill_at_{};
  int exit_code_ = 0;
  bool timed_out_ = false;
  Histogram late_ns_;  // how long after its time a packet was written
  std::uint64_t not_taken_ = 0;
  Nanos lasted_{};
};

}  // namespace qudag::emulator
