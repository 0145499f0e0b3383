// What a loop sleeps on: its socket, one more descriptor, a time, and other threads' calls.
//
// The kernel measures a sleep by a clock that stands still while the machine does. So the poller
// also wakes when the wall clock was set, which the kernel says after every suspend: deadlines that
// have passed meanwhile are served at once.
//
// One system call puts the loop to sleep and none arms anything before it: epoll reports a socket
// as long as it is readable (level-triggered), and the time is an argument of the wait. Waking
// costs a system call only if the loop sleeps.
//
// Threads: wake() on any, the rest on the loop's.
#pragma once

#include "base/time.h"

#include <atomic>

namespace qudag::runtime {

class Poller {
 public:
  struct Ready {
    bool readable = false;  // the socket
    bool writable = false;  // the socket, if that is wanted
    bool watched = false;   // the other descriptor can be read
    bool any() const { return readable || writable || watched; }
  };

  /// `socket` -1: none. Not owned.
  explicit Poller(int socket);
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  void watch(int fd);
  void want_writable(bool wanted);

  /// What is ready now.
  Ready look();
  /// Until something is ready, wake() was called since begin(), or `longest` is over.
  Ready sleep(Duration longest);
  /// The next sleep() returns at once, or the present one does.
  void wake() noexcept;
  /// Begins anew: what wake() was called for until now is being seen to.
  void begin() noexcept { static_cast<void>(woken_.exchange(false)); }
  /// Whether wake() was called since begin().
  bool woken() const noexcept { return woken_.load(std::memory_order_relaxed); }
  bool has_socket() const { return socket_ >= 0; }

 private:
  Ready wait(const Duration* longest);
  void watch_clock();
  void rearm_clock() noexcept;

  const int socket_;
  int watched_ = -1;
  int epoll_ = -1;
  int event_ = -1;  // an eventfd, told of by its edges: nobody reads it
  int clock_ = -1;  // a timer that ends only when the wall clock is set; -1: the system has none
  bool wants_writable_ = false;
  bool fine_timeouts_ = true;  // epoll_pwait2 is there
  std::atomic<bool> woken_{false};
  std::atomic<bool> sleeping_{false};
};

}  // namespace qudag::runtime
