#include "run.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdlib>

namespace qudag::app::test {

Process::Process(const std::vector<std::string>& arguments, const std::string& input) {
  std::vector<std::string> words{QUDAG_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  int in[2];
  int out[2];
  int err[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) {
    return;
  }
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(in[0], 0);
    ::dup2(out[1], 1);
    ::dup2(err[1], 2);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  ::close(err[1]);
  // Inputs of these tests fit a pipe.
  EXPECT_EQ(::write(in[1], input.data(), input.size()), static_cast<ssize_t>(input.size()));
  ::close(in[1]);
  out_ = out[0];
  err_ = err[0];
}

Process::~Process() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ::close(out_);
  ::close(err_);
}

void Process::close_err() {
  ::close(err_);
  err_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);  // at its end
}

void Process::signal(int number) const { ::kill(pid_, number); }

std::string Process::line() {
  for (;;) {
    const std::size_t end = ahead_.find('\n');
    if (end != std::string::npos) {
      std::string line = ahead_.substr(0, end);
      ahead_.erase(0, end + 1);
      return line;
    }
    char text[4096];
    const ssize_t n = ::read(out_, text, sizeof text);
    if (n <= 0) return {};
    ahead_.append(text, static_cast<std::size_t>(n));
  }
}

Ran Process::wait(std::chrono::milliseconds most) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point end = Clock::now() + most;
  Ran ran;
  ran.out = std::move(ahead_);
  pollfd ends[2] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
  std::string* texts[2] = {&ran.out, &ran.err};
  while (ends[0].fd >= 0 || ends[1].fd >= 0) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    const int ready = ::poll(ends, 2, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (ready == 0 && Clock::now() >= end) {
      ::kill(pid_, SIGKILL);
      break;
    }
    if (ready <= 0) continue;
    for (int i = 0; i < 2; ++i) {
      if (ends[i].fd < 0 || ends[i].revents == 0) continue;
      char text[4096];
      const ssize_t n = ::read(ends[i].fd, text, sizeof text);
      if (n > 0) {
        texts[i]->append(text, static_cast<std::size_t>(n));
      } else {
        ends[i].fd = -1;
      }
    }
  }
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  ran.exit = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return ran;
}

Ran run(const std::vector<std::string>& arguments, const std::string& input,
        std::chrono::milliseconds most) {
  return Process(arguments, input).wait(most);
}

Directory::Directory() {
  std::string name = ::testing::TempDir() + "qudag-app-XXXXXX";
  path_ = ::mkdtemp(name.data());
}

Directory::~Directory() {
  std::error_code no_throw;
  std::filesystem::remove_all(path_, no_throw);
}

}  // namespace qudag::app::test
