#include "machine.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <memory>
#include <string_view>
#include <thread>

namespace qudag::app::bench {
namespace {

std::filesystem::path own_directory() {
  std::error_code no_throw;
  return std::filesystem::read_symlink("/proc/self/exe", no_throw).parent_path();
}

std::string first_line(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  char text[128] = {};
  if (pipe == nullptr || std::fgets(text, sizeof text, pipe.get()) == nullptr) return "unknown";
  std::string line(text);
  while (line.ends_with('\n')) line.pop_back();
  return line.empty() ? "unknown" : line;
}

double seconds(clockid_t clock) {
  timespec now{};
  if (::clock_gettime(clock, &now) != 0) return 0;
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace

std::string commit() {
  // QUDAG_COMMIT: for a build outside its tree.
  if (const char* told = std::getenv("QUDAG_COMMIT")) return told;
  return first_line(
      fmt::format("git -C '{}' describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null",
                  own_directory().string()));
}

std::string date() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  return fmt::format("{:04}-{:02}-{:02}", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday);
}

boost::json::object machine() {
  std::ifstream in("/proc/cpuinfo");
  std::string cpu = "unknown";
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("model name")) {
      cpu = line.substr(line.find(':') + 2);
      break;
    }
  }
  utsname name{};
  ::uname(&name);
  double load[1] = {};
  ::getloadavg(load, 1);
  return {{"cpu", cpu},
          {"cores", std::thread::hardware_concurrency()},
          {"memory_bytes", static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                               static_cast<std::uint64_t>(::sysconf(_SC_PAGE_SIZE))},
          {"kernel", std::string(name.release)},
          {"load_at_end", load[0]}};
}

std::filesystem::path node_program() { return QUDAG_PROGRAM; }

std::filesystem::path build_directory() { return own_directory().parent_path().parent_path(); }

double cpu_of(pid_t pid) {
  clockid_t clock{};
  return ::clock_getcpuclockid(pid, &clock) == 0 ? seconds(clock) : 0;
}

double cpu_of_this_thread() { return seconds(CLOCK_THREAD_CPUTIME_ID); }

std::uint64_t rss_of(pid_t pid) {
  std::ifstream in(fmt::format("/proc/{}/statm", pid));
  std::uint64_t size = 0, pages = 0;
  in >> size >> pages;
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

namespace {

/// A row of /proc/PID/status, which counts in KiB.
std::uint64_t status_row(pid_t pid, std::string_view name) {
  std::ifstream in(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(name)) continue;
    return std::strtoull(line.c_str() + name.size(), nullptr, 10) * 1'024;
  }
  return 0;
}

}  // namespace

std::uint64_t anonymous_of(pid_t pid) { return status_row(pid, "RssAnon:"); }
std::uint64_t peak_rss_of(pid_t pid) { return status_row(pid, "VmHWM:"); }

void forget_peak_rss(pid_t pid) {
  std::ofstream(fmt::format("/proc/{}/clear_refs", pid)) << 5 << std::flush;
}

}  // namespace qudag::app::bench
