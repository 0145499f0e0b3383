#include "common/child.h"

#include "common/interrupt.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

namespace qudag::app {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kReadyFd = 3;

[[noreturn]] void become(const char* program, char* const* argv, int ready_fd, int log_fd,
                         int net_fd, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // it died before the line above
  reset_signals();
  ::dup2(log_fd, STDOUT_FILENO);
  ::dup2(log_fd, STDERR_FILENO);
  if (net_fd >= 0 && ::setns(net_fd, CLONE_NEWNET) != 0) {
    ::dprintf(STDERR_FILENO, "the network namespace: %s\n", std::strerror(errno));
    ::_exit(127);
  }
  if (ready_fd == kReadyFd) {
    ::fcntl(kReadyFd, F_SETFD, 0);
  } else {
    ::dup2(ready_fd, kReadyFd);
  }
  ::execv(program, argv);
  ::_exit(127);
}

}  // namespace

Result<Child> Child::start(const std::filesystem::path& program,
                           const std::vector<std::string>& arguments,
                           const std::filesystem::path& log, const std::filesystem::path& net) {
  std::vector<std::string> words{"qudag"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  words.push_back("--ready-fd");
  words.push_back(std::to_string(kReadyFd));
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  const Fd log_fd(::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  const Fd net_fd(net.empty() ? -1 : ::open(net.c_str(), O_RDONLY | O_CLOEXEC));
  if (!net.empty() && !net_fd) return system_failure(net.string());
  int ends[2] = {-1, -1};
  if (!log_fd || ::pipe2(ends, O_CLOEXEC) != 0) return system_failure(log.string());
  Fd ready(ends[0]);
  const Fd tells(ends[1]);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) {
    become(program.c_str(), argv.data(), tells.get(), log_fd.get(), net_fd.get(), parent);
  }
  if (pid < 0) return system_failure("fork");
  return Child(pid, std::move(ready), log);
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      ready_(std::move(other.ready_)),
      status_(other.status_),
      log_(std::move(other.log_)) {}

Child::~Child() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    reap(std::chrono::milliseconds(0));
  }
}

Result<std::string> Child::ready(std::chrono::milliseconds patience, Interrupt& interrupt) {
  const auto deadline = Clock::now() + patience;
  std::string line;
  while (!line.ends_with('\n')) {
    if (interrupt.raised()) return fail(Errc::shutting_down, "interrupted");
    if (Clock::now() > deadline) {
      return fail(Errc::timed_out, "a node did not become ready\n" + log_tail());
    }
    pollfd wanted{ready_.get(), POLLIN, 0};
    if (::poll(&wanted, 1, 100) <= 0) continue;
    char text[512];
    const ssize_t n = ::read(ready_.get(), text, sizeof text);
    if (n <= 0) return fail(Errc::io_error, "a node ended before it was ready\n" + log_tail());
    line.append(text, static_cast<std::size_t>(n));
  }
  return line;
}

void Child::kill() noexcept {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
  if (pid_ > 0) ::waitpid(std::exchange(pid_, -1), &status_, 0);
}

void Child::ask_to_end() const noexcept {
  if (pid_ > 0) ::kill(pid_, SIGTERM);
}

bool Child::alive() noexcept {
  if (pid_ <= 0) return false;
  if (::waitpid(pid_, &status_, WNOHANG) != pid_) return true;
  pid_ = -1;
  return false;
}

bool Child::reap(std::chrono::milliseconds patience) noexcept {
  const auto deadline = Clock::now() + patience;
  while (alive()) {
    if (Clock::now() >= deadline) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, &status_, 0);
      pid_ = -1;
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return WIFEXITED(status_) && WEXITSTATUS(status_) == 0;
}

double Child::cpu_seconds() const {
  std::ifstream in(fmt::format("/proc/{}/stat", pid_));
  std::string text{std::istreambuf_iterator<char>(in), {}};
  const std::size_t after_name = text.rfind(')');
  if (after_name == std::string::npos) return 0;
  std::istringstream fields(text.substr(after_name + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;  // state to cmajflt
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

std::string Child::log_tail() const {
  std::ifstream in(log_);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  constexpr std::size_t kTail = 1'000;
  return text.size() > kTail ? text.substr(text.size() - kTail) : text;
}

}  // namespace qudag::app
