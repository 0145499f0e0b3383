// A machine whose clocks are wrong, for one process (LD_PRELOAD): QUDAG_WALL_AHEAD seconds, and
// time itself QUDAG_TIMES as fast.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

typedef int (*Clock)(clockid_t, struct timespec*);
typedef int (*Wait)(int, struct epoll_event*, int, const struct timespec*, const sigset_t*);

static long number(const char* name, long otherwise) {
  const char* text = getenv(name);
  return text != NULL ? atol(text) : otherwise;
}

int clock_gettime(clockid_t clock, struct timespec* out) {
  static Clock real = NULL;
  static long ahead, times;
  static struct timespec base;
  if (real == NULL) {
    ahead = number("QUDAG_WALL_AHEAD", 0);
    times = number("QUDAG_TIMES", 1);
    Clock found = (Clock)dlsym(RTLD_NEXT, "clock_gettime");
    found(CLOCK_BOOTTIME, &base);
    real = found;
  }
  const int rv = real(clock, out);
  if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) {
    out->tv_sec += ahead;
  } else if ((clock == CLOCK_BOOTTIME || clock == CLOCK_MONOTONIC) && times > 1) {
    const long long ns = (out->tv_sec - base.tv_sec) * 1000000000LL + out->tv_nsec;
    out->tv_sec = base.tv_sec + ns * times / 1000000000LL;
    out->tv_nsec = ns * times % 1000000000LL;
  }
  return rv;
}

int epoll_pwait2(int fd, struct epoll_event* events, int most, const struct timespec* longest,
                 const sigset_t* mask) {
  static Wait real = NULL;
  const long times = number("QUDAG_TIMES", 1);
  struct timespec time;
  if (real == NULL) real = (Wait)dlsym(RTLD_NEXT, "epoll_pwait2");
  if (longest != NULL && times > 1) {
    const long long ns = (longest->tv_sec * 1000000000LL + longest->tv_nsec) / times;
    time.tv_sec = ns / 1000000000LL;
    time.tv_nsec = ns % 1000000000LL;
    longest = &time;
  }
  return real(fd, events, most, longest, mask);
}
