// What figures belong to (machine, commit, date), and what the kernel says about processes.
#pragma once

#include <sys/types.h>
#include <boost/json.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace qudag::app::bench {

/// Of the tree that this program was built in, "-dirty" if files that git knows were changed.
std::string commit();
/// The day, in UTC: 2026-01-31.
std::string date();
boost::json::object machine();
/// The program `qudag` whose nodes are measured.
std::filesystem::path node_program();
/// Of the build directory that this program lies in: programs beside it.
std::filesystem::path build_directory();

/// User and system time of a process of ours so far, to the nanosecond; 0: this process.
double cpu_of(pid_t pid);
double cpu_of_this_thread();
std::uint64_t rss_of(pid_t pid);
/// Of it, what is no file's: what the process has for itself.
std::uint64_t anonymous_of(pid_t pid);
/// The most that was resident since the last forget_peak_rss (proc(5), VmHWM and clear_refs).
std::uint64_t peak_rss_of(pid_t pid);
void forget_peak_rss(pid_t pid);

}  // namespace qudag::app::bench
