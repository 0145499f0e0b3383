#include "programs.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace qudag::emulator {
namespace {

constexpr int kNotStarted = 127;  // as a shell says it

[[noreturn]] void become(const Program& program, int net, int output, int nice,
                         char* const* arguments) {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  (void)::setpriority(PRIO_PROCESS, 0, nice);
  if (net >= 0 && ::setns(net, CLONE_NEWNET) != 0) ::_exit(kNotStarted);
  const int nothing = ::open("/dev/null", O_RDONLY);
  ::dup2(nothing, STDIN_FILENO);
  if (output >= 0) {
    ::dup2(output, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
  }
  ::execvp(arguments[0], arguments);
  ::dprintf(STDERR_FILENO, "%s: %s\n", program.arguments[0].c_str(), std::strerror(errno));
  ::_exit(kNotStarted);
}

}  // namespace

Status Programs::start(const Program& program, int net,
                       const std::vector<std::string>& environment) {
  Fd output;
  if (!logs_.empty()) {
    const auto path = logs_ / (std::to_string(all_.size() + 1) + "-" + program.node + ".log");
    output = Fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!output) return fail(Errc::io_error, path.string() + ": " + std::strerror(errno));
  }
  std::vector<std::string> words = program.arguments;
  std::vector<char*> arguments;
  for (std::string& each : words) arguments.push_back(each.data());
  arguments.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) return fail(Errc::io_error, std::string("fork: ") + std::strerror(errno));
  if (pid == 0) {
    for (const std::string& each : environment) {
      const std::size_t equals = each.find('=');
      ::setenv(each.substr(0, equals).c_str(), each.c_str() + equals + 1, 1);
    }
    become(program, net, output.get(), nice_, arguments.data());
  }
  all_.push_back({pid, program.serves});
  return {};
}

void Programs::reap() {
  int status = 0;
  for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    const auto one = std::ranges::find(all_, pid, &One::pid);
    if (one == all_.end()) continue;
    one->ended = true;
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (exit_code_ == 0 && !told_to_end_) exit_code_ = code;
  }
}

bool Programs::done() const {
  return std::ranges::all_of(all_, [](const One& one) { return one.serves || one.ended; });
}

bool Programs::all_ended() const {
  return std::ranges::all_of(all_, [](const One& one) { return one.ended; });
}

void Programs::signal_all(int signal) const {
  for (const One& one : all_) {
    if (!one.ended) ::kill(one.pid, signal);
  }
}

}  // namespace qudag::emulator
