// Another program of the node's own user reads the node's memory: keys, and what is sent.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "app/run.h"

namespace qudag::attack {
namespace {

constexpr uid_t kNobody = 65'534;

bool become_nobody() {
  return ::setgroups(0, nullptr) == 0 && ::setgid(kNobody) == 0 && ::setuid(kNobody) == 0;
}

/// `qudag node` of that user; its ready line has been read.
class NobodysNode {
 public:
  NobodysNode(const std::string& directory, const std::string& debuggable) {
    int out[2];
    if (::pipe(out) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(out[1], 1);
      const std::string socket = directory + "/s";
      if (!become_nobody()) ::_exit(9);
      ::execl(QUDAG_PROGRAM, "qudag", "node", "--listen", "127.0.0.1:0", "--shards", "1",
              "--api.socket", socket.c_str(), "--process.debuggable", debuggable.c_str(), nullptr);
      ::_exit(8);
    }
    ::close(out[1]);
    char byte = 0;
    while (::read(out[0], &byte, 1) == 1 && byte != '\n') ready_ = true;
    ::close(out[0]);
  }
  ~NobodysNode() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  NobodysNode(const NobodysNode&) = delete;
  NobodysNode& operator=(const NobodysNode&) = delete;
  bool ready() const { return ready_; }
  /// What another program of the same user can open of it.
  bool opens(const char* what) const {
    const std::string path = "/proc/" + std::to_string(pid_) + "/" + what;
    const pid_t reader = ::fork();
    if (reader == 0) {
      if (!become_nobody()) ::_exit(9);
      const int fd = ::open(path.c_str(), O_RDONLY);
      char byte = 0;
      ::_exit(fd >= 0 && ::read(fd, &byte, 1) == 1 ? 1 : 0);
    }
    int status = 0;
    ::waitpid(reader, &status, 0);
    return WEXITSTATUS(status) != 0;
  }

 private:
  pid_t pid_ = -1;
  bool ready_ = false;
};

TEST(Debugger, AnotherProgramOfTheUserCannotLookIntoTheNode) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be somebody else";
  const app::test::Directory directory;
  ASSERT_EQ(::chown(directory.path().c_str(), kNobody, kNobody), 0);
  {
    const NobodysNode open(directory.path(), "true");
    ASSERT_TRUE(open.ready());
    EXPECT_TRUE(open.opens("maps")) << "as it was, and as the setting says: this test can fail";
  }
  const NobodysNode closed(directory.path(), "false");
  ASSERT_TRUE(closed.ready());
  EXPECT_FALSE(closed.opens("maps"));
  EXPECT_FALSE(closed.opens("environ"));
  EXPECT_FALSE(closed.opens("mem"));
}

}  // namespace
}  // namespace qudag::attack
