#include "common/interrupt.h"

#include <poll.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace qudag::app {
namespace {

/// What was ignored when the program started stays ignored, as `nohup` wants it.
sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction now {};
    const bool known = ::sigaction(signal, nullptr, &now) == 0;
    if (!known || now.sa_handler != SIG_IGN) sigaddset(&set, signal);
  }
  return set;
}

}  // namespace

Interrupt::Interrupt(bool hangup_reloads) : hangup_reloads_(hangup_reloads) {
  const sigset_t set = stop_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, &old_);
  fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

Interrupt::~Interrupt() {
  // A signal that came was served by ending: it must not end us once more when unblocked.
  (void)raised();
  if (fd_ >= 0) ::close(fd_);
  ::pthread_sigmask(SIG_SETMASK, &old_, nullptr);
}

bool Interrupt::raised() { return wait(std::chrono::milliseconds(0)); }

bool Interrupt::wait(std::chrono::milliseconds patience) {
  if (raised_) return true;
  pollfd wanted{fd_, POLLIN, 0};
  if (::poll(&wanted, 1, static_cast<int>(patience.count())) <= 0) return false;
  signalfd_siginfo info;
  while (::read(fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    const bool reload = hangup_reloads_ && info.ssi_signo == SIGHUP;
    (reload ? reload_ : raised_) = true;
  }
  return raised_;
}

void reset_signals() noexcept {
  sigset_t none;
  sigemptyset(&none);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(signal, SIG_DFL);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace qudag::app
