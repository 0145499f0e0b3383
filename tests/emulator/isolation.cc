#include "isolation.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

namespace qudag::emulator {
namespace {

std::unexpected<Error> denied(const char* what) {
  return fail(Errc::permission_denied, std::string(what) + ": " + std::strerror(errno));
}

/// Without privileges of our own: those of a user namespace, where the system lets us have one.
Status become_root_of_our_own() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (::unshare(CLONE_NEWUSER) != 0) return denied("a user namespace");
  std::ofstream("/proc/self/setgroups") << "deny";
  std::ofstream("/proc/self/uid_map") << "0 " << uid << " 1";
  std::ofstream("/proc/self/gid_map") << "0 " << gid << " 1";
  return {};
}

[[noreturn]] void be_inside(const std::function<int()>& inside, int lifeline) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The one outside may have died before that call: then nobody holds the other end.
  pollfd alive{lifeline, 0, 0};
  if (::poll(&alive, 1, 0) != 0) ::_exit(70);
  // Own /proc, so that process numbers in it are right. Without it only tools are confused.
  if (::unshare(CLONE_NEWNS) == 0 &&
      ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) {
    (void)::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
  }
  ::exit(inside());
}

int wait_for(pid_t child, const sigset_t& signals) {
  for (;;) {
    const int signal = ::sigwaitinfo(&signals, nullptr);
    if (signal == SIGINT || signal == SIGTERM) ::kill(child, SIGTERM);
    int status = 0;
    if (::waitpid(child, &status, WNOHANG) == child) {
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
  }
}

}  // namespace

Result<int> isolated(const std::function<int()>& inside) {
  if (::unshare(CLONE_NEWPID) != 0) {
    if (auto ok = become_root_of_our_own(); !ok) return std::unexpected(ok.error());
    if (::unshare(CLONE_NEWPID) != 0) return denied("a process namespace");
  }
  int lifeline[2];
  if (::pipe2(lifeline, O_CLOEXEC) != 0) return denied("a pipe");
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int each : {SIGCHLD, SIGINT, SIGTERM}) ::sigaddset(&signals, each);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  const pid_t child = ::fork();
  if (child < 0) return denied("fork");
  if (child == 0) {
    ::close(lifeline[1]);
    be_inside(inside, lifeline[0]);
  }
  ::close(lifeline[0]);
  return wait_for(child, signals);
}

}  // namespace qudag::emulator
