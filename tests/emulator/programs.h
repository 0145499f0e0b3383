// The programs of a run: started in their namespaces, watched, ended.
#pragma once

#include "fabric.h"
#include "space.h"

#include <sys/types.h>

#include <filesystem>

namespace qudag::emulator {

class Programs {
 public:
  /// Where output goes: DIR/<number>-<node>.log, or, without one, to ours.
  explicit Programs(std::filesystem::path logs) : logs_(std::move(logs)) {}

  /// The nice value of programs; the emulator's own is not for them.
  void keep_priority(int nice) { nice_ = nice; }
  /// `net`: the namespace, -1 for that of the caller; `environment`: NAME=value for all.
  Status start(const Program& program, int net, const std::vector<std::string>& environment);
  /// Takes note of those that have ended. Also of orphans: process 1 inherits them.
  void reap();
  /// Whether every `run` has ended.
  bool done() const;
  bool all_ended() const;
  void signal_all(int signal) const;
  /// 0 if every `run` ended with 0, else the first other exit code (128 + signal for a signal). A
  /// `serve` counts too if it ended before it was told to.
  int exit_code() const { return exit_code_; }
  void told_to_end() { told_to_end_ = true; }

 private:
  struct One {
    pid_t pid;
    bool serves;
    bool ended = false;
  };
  std::filesystem::path logs_;
  std::vector<One> all_;
  int nice_ = 0;
  int exit_code_ = 0;
  bool told_to_end_ = false;
};

}  // namespace qudag::emulator
