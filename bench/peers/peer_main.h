// What every peer program does, whatever its library: bench_peer_<name> <bytes> <seconds> prints
//   messages/s   round trip p50 and p99 in us   CPU seconds per GB, both processes
//
// Two processes over loopback. Rate: one side sends without pause, the other counts for `seconds`
// after a warm-up of a tenth. Round trips: one message at a time, echoed, blocking calls.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

namespace peer {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

inline double cpu_of(pid_t pid) {
  clockid_t clock{};
  timespec now{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &now) != 0) return 0;
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

template <class Body>
pid_t start(Body body) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  body();
  ::_exit(0);
}

inline void end(pid_t pid) {
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

/// What a child tells: doubles through a pipe.
class Answers {
 public:
  Answers() {
    if (::pipe(ends_) != 0) ::_exit(1);
  }
  void put(double value) {
    if (::write(ends_[1], &value, sizeof value) != sizeof value) ::_exit(1);
  }
  void only_read() { ::close(ends_[1]); }
  bool get(double& value) { return ::read(ends_[0], &value, sizeof value) == sizeof value; }

 private:
  int ends_[2];
};

struct Rate {
  double per_second = 0;
  double cpu_s_per_gb = 0;
};

/// Every user of the library is a child: some libraries do not survive a fork.
template <class Flood, class Sink>
Rate measure_rate(std::size_t bytes, double seconds) {
  Answers answers;
  const pid_t flood = start([&] {
    answers.only_read();
    Flood().run(bytes);
  });
  const pid_t counter = start([&] {
    Sink sink;
    for (const auto begin = Clock::now(); seconds_since(begin) < seconds / 10 + 0.1;) {
      sink.receive(bytes);
    }
    const double cpu = cpu_of(0) + cpu_of(flood);
    const auto begin = Clock::now();
    std::size_t count = 0;
    for (; seconds_since(begin) < seconds; ++count) sink.receive(bytes);
    const double took = seconds_since(begin);
    const double spent = cpu_of(0) + cpu_of(flood) - cpu;
    answers.put(static_cast<double>(count) / took);
    answers.put(spent * 1e9 / (static_cast<double>(count) * static_cast<double>(bytes)));
    ::_exit(0);
  });
  answers.only_read();
  Rate rate;
  if (!answers.get(rate.per_second) || !answers.get(rate.cpu_s_per_gb)) rate = {};
  end(counter);
  end(flood);
  return rate;
}

template <class Echo, class Pinger>
std::vector<double> measure_trips(std::size_t bytes, double seconds) {
  Answers answers;
  const pid_t echo = start([&] {
    answers.only_read();
    Echo().run();
  });
  const pid_t ping = start([&] {
    Pinger pinger;
    for (int i = 0; i < 20; ++i) pinger.round_trip(bytes);
    for (const auto begin = Clock::now(); seconds_since(begin) < seconds;) {
      const auto sent = Clock::now();
      pinger.round_trip(bytes);
      answers.put(seconds_since(sent) * 1e6);
    }
    ::_exit(0);
  });
  answers.only_read();
  std::vector<double> trips;
  for (double us = 0; answers.get(us);) trips.push_back(us);
  end(ping);
  end(echo);
  return trips;
}

/// Flood: run(bytes), for ever. Sink: receive(bytes). Echo: run(). Pinger: round_trip(bytes).
template <class Flood, class Echo, class Sink, class Pinger>
int run(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "%s <bytes> <seconds>\n", argv[0]);
    return 2;
  }
  const auto bytes = static_cast<std::size_t>(std::strtoull(argv[1], nullptr, 10));
  const double seconds = std::strtod(argv[2], nullptr);
  ::alarm(static_cast<unsigned>(seconds * 3) + 10);  // a peer that hangs ends the program
  const Rate rate = measure_rate<Flood, Sink>(bytes, seconds);
  std::vector<double> trips = measure_trips<Echo, Pinger>(bytes, seconds / 2);
  if (trips.empty() || rate.per_second <= 0) return 1;
  std::sort(trips.begin(), trips.end());
  std::printf("%.1f %.2f %.2f %.3f\n", rate.per_second, trips[trips.size() / 2],
              trips[trips.size() * 99 / 100], rate.cpu_s_per_gb);
  return 0;
}

}  // namespace peer
