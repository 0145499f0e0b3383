// Runs the program and keeps what it said.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace qudag::app::test {

struct Ran {
  int exit = -1;  ///< exit code, or 128 + signal
  std::string out;
  std::string err;
};

/// A process that runs; killed at the end if it still does.
class Process {
 public:
  explicit Process(const std::vector<std::string>& arguments, const std::string& input = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  int pid() const { return pid_; }
  /// Nobody reads its standard error from now on.
  void close_err();
  void signal(int number) const;
  /// The next line of standard output, without its end; empty when there is none.
  std::string line();
  /// Reads both outputs to their end and waits; killed when that takes too long.
  Ran wait(std::chrono::milliseconds most = std::chrono::minutes(10));

 private:
  int pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  std::string ahead_;  // read from out_ beyond the last line
};

Ran run(const std::vector<std::string>& arguments, const std::string& input = {},
        std::chrono::milliseconds most = std::chrono::minutes(10));

class Directory {
 public:
  Directory();
  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  std::string operator/(const char* name) const { return (path_ / name).string(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace qudag::app::test
