// One node process of a test network: started, watched, ended.
//
// It dies with this process (PR_SET_PDEATHSIG), is in its own process group, so that Ctrl-C reaches
// only us and we end it in order, and writes its log to a file.
#pragma once

#include "base/posix.h"

#include <qudag/error.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace qudag::app {

class Interrupt;

inline constexpr const char* kThisProgram = "/proc/self/exe";

class Child {
 public:
  /// Starts `program` with `arguments` and `--ready-fd`. The caller has no other threads.
  /// `net`: a network namespace to start in; empty: the caller's.
  static Result<Child> start(const std::filesystem::path& program,
                             const std::vector<std::string>& arguments,
                             const std::filesystem::path& log,
                             const std::filesystem::path& net = {});
  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  ~Child();

  /// The line that the child writes when it is ready. Its last log lines are in the error's detail.
  Result<std::string> ready(std::chrono::milliseconds patience, Interrupt& interrupt);

  void ask_to_end() const noexcept;  ///< SIGTERM
  void kill() noexcept;              ///< SIGKILL; it has ended when this returns
  /// Waits for the end, then SIGKILL. True if it ended by itself with exit code 0.
  bool reap(std::chrono::milliseconds patience) noexcept;
  bool alive() noexcept;

  int pid() const noexcept { return pid_; }
  /// User and system time so far, from /proc (10 ms steps).
  double cpu_seconds() const;

 private:
  Child(int pid, Fd ready, std::filesystem::path log)
      : pid_(pid), ready_(std::move(ready)), log_(std::move(log)) {}
  std::string log_tail() const;

  int pid_ = -1;
  Fd ready_;
  int status_ = -1;  // of waitpid, once reaped
  std::filesystem::path log_;
};

}  // namespace qudag::app
