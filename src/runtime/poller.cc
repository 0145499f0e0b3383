#include "runtime/poller.h"

#include "base/assert.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <ctime>

namespace qudag::runtime {
namespace {

enum class Source : std::uint32_t { socket, watched, wake, clock };

void control(int epoll, int what, int fd, std::uint32_t events, Source source) {
  epoll_event event{};
  event.events = events;
  event.data.u32 = static_cast<std::uint32_t>(source);
  const int done = ::epoll_ctl(epoll, what, fd, &event);
  QUDAG_ASSERT(done == 0);
}

}  // namespace

Poller::Poller(int socket)
    : socket_(socket), epoll_(::epoll_create1(EPOLL_CLOEXEC)), event_(::eventfd(0, EFD_CLOEXEC)) {
  QUDAG_ASSERT(epoll_ >= 0 && event_ >= 0);  // out of descriptors at the start
  control(epoll_, EPOLL_CTL_ADD, event_, EPOLLIN | EPOLLET, Source::wake);
  if (socket_ >= 0) control(epoll_, EPOLL_CTL_ADD, socket_, EPOLLIN, Source::socket);
  watch_clock();
}

Poller::~Poller() {
  if (clock_ >= 0) ::close(clock_);
  ::close(event_);
  ::close(epoll_);
}

/// Without it (a sandbox) a deadline may be served so much late as was left of it at the suspend.
void Poller::watch_clock() {
  clock_ = ::timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
  if (clock_ < 0) return;
  control(epoll_, EPOLL_CTL_ADD, clock_, EPOLLIN, Source::clock);
  rearm_clock();
}

void Poller::rearm_clock() noexcept {
  constexpr std::time_t kFar = 9'000'000'000;  // in the year 2255
  const itimerspec when{.it_interval = {}, .it_value = {.tv_sec = kFar, .tv_nsec = 0}};
  // Says once more that the clock was set (ECANCELED), and waits for the next time.
  static_cast<void>(
      ::timerfd_settime(clock_, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, nullptr));
}

void Poller::watch(int fd) {
  watched_ = fd;
  control(epoll_, EPOLL_CTL_ADD, fd, EPOLLIN, Source::watched);
}

void Poller::want_writable(bool wanted) {
  if (wanted == wants_writable_ || socket_ < 0) return;
  wants_writable_ = wanted;
  control(epoll_, EPOLL_CTL_MOD, socket_, EPOLLIN | (wanted ? EPOLLOUT : 0u), Source::socket);
}

Poller::Ready Poller::look() {
  constexpr Duration kNone{0};
  return wait(&kNone);
}

// Either wake() sees that the loop sleeps, or this sees that wake() was called: both write one flag
// and then read the other, in the one order of all such accesses.
Poller::Ready Poller::sleep(Duration longest) {
  sleeping_.store(true);
  Ready out;
  if (!woken_.load()) {
    const bool for_ever = longest >= std::chrono::hours(24);
    out = wait(for_ever ? nullptr : &longest);
  }
  sleeping_.store(false);
  return out;
}

void Poller::wake() noexcept {
  if (woken_.exchange(true) || !sleeping_.load()) return;
  ::eventfd_write(event_, 1);
}

Poller::Ready Poller::wait(const Duration* longest) {
  std::array<epoll_event, 4> events;
  const int size = static_cast<int>(events.size());
  int count = -1;
  if (longest != nullptr && longest->count() <= 0) {
    count = ::epoll_wait(epoll_, events.data(), size, 0);
  } else if (longest == nullptr) {
    count = ::epoll_wait(epoll_, events.data(), size, -1);
  } else {
    if (fine_timeouts_) {
      const auto whole = std::chrono::duration_cast<std::chrono::seconds>(*longest);
      const timespec time{whole.count(), (*longest - whole).count()};
      count = ::epoll_pwait2(epoll_, events.data(), size, &time, nullptr);
      fine_timeouts_ = count >= 0 || errno == EINTR;
    }
    if (!fine_timeouts_) {  // a kernel before 5.11, or a sandbox
      const auto whole = std::chrono::ceil<std::chrono::milliseconds>(*longest);
      count = ::epoll_wait(epoll_, events.data(), size, static_cast<int>(whole.count()));
    }
  }
  Ready out;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    switch (static_cast<Source>(event.data.u32)) {
      case Source::socket:
        out.readable = (event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0;
        out.writable = (event.events & EPOLLOUT) != 0;
        break;
      case Source::watched:
        out.watched = true;
        break;
      case Source::wake:
        break;
      case Source::clock: {
        std::uint64_t times = 0;
        // The read fails: the timer was cancelled.
        if (::read(clock_, &times, sizeof times) >= 0) times = 0;
        rearm_clock();
        break;
      }
    }
  }
  return out;
}

}  // namespace qudag::runtime
