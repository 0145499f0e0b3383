// Another user of the machine is first at the path of the API socket, and would be handed whatever
// the program sends to "its" node.
#include "app/run.h"

#include <gtest/gtest.h>

#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>

namespace qudag::attack {
namespace {

constexpr uid_t kNobody = 65'534;

/// A process of another user that listens at a path, and reads what it is given until it is told to
/// end.
class OtherUser {
 public:
  explicit OtherUser(const std::string& path) {
    if (::pipe(ready_) != 0 || ::pipe(heard_) != 0) return;
    pid_ = ::fork();
    if (pid_ != 0) {
      ::close(ready_[1]);
      ::close(heard_[1]);
      char byte = 0;
      listens_ = ::read(ready_[0], &byte, 1) == 1;
      return;
    }
    if (::setgroups(0, nullptr) != 0 || ::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) {
      ::_exit(1);
    }
    serve(path);
  }
  ~OtherUser() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::close(ready_[0]);
    ::close(heard_[0]);
  }
  OtherUser(const OtherUser&) = delete;
  OtherUser& operator=(const OtherUser&) = delete;

  bool listens() const { return listens_; }
  /// Ends it.
  std::string heard() {
    ::kill(pid_, SIGKILL);
    std::string out;
    char piece[4096];
    for (ssize_t n; (n = ::read(heard_[0], piece, sizeof piece)) > 0;) {
      out.append(piece, static_cast<std::size_t>(n));
    }
    return out;
  }

 private:
  [[noreturn]] void serve(const std::string& path) const {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), std::min(path.size(), sizeof address.sun_path - 1));
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) ::_exit(1);
    ::chmod(path.c_str(), 0666);
    ::listen(fd, 8);
    if (::write(ready_[1], "r", 1) != 1) ::_exit(1);
    for (;;) {
      const int client = ::accept(fd, nullptr, nullptr);
      char piece[4096];
      for (ssize_t n; (n = ::read(client, piece, sizeof piece)) > 0;) {
        if (::write(heard_[1], piece, static_cast<std::size_t>(n)) != n) ::_exit(1);
        constexpr std::string_view kAnswer =
            "HTTP/1.1 200 OK\r\nContent-Length: 37\r\nConnection: close\r\n\r\n"
            "{\"outcome\":\"delivered\",\"elapsed_us\":1}";
        static_cast<void>(::send(client, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL));
      }
      ::close(client);
    }
  }

  pid_t pid_ = -1;
  int ready_[2] = {-1, -1};
  int heard_[2] = {-1, -1};
  bool listens_ = false;
};

constexpr std::string_view kSecret = "for my own node only";
const std::string kDestination(52, 'a');

TEST(Socket, AnotherUserWhoIsFirstAtThePathHearsNothing) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be somebody else";
  const app::test::Directory directory;
  const std::string shared = directory / "shared";
  ASSERT_EQ(::mkdir(shared.c_str(), 0), 0);
  ASSERT_EQ(::chmod(directory.path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod(shared.c_str(), 01777), 0);  // as /tmp is
  const std::string path = shared + "/qudag-0.sock";
  OtherUser thief(path);
  ASSERT_TRUE(thief.listens());
  const auto sent = app::test::run({"send", "--socket", path, kDestination}, std::string(kSecret));
  EXPECT_NE(sent.exit, 0);
  EXPECT_NE(sent.err.find("user 65534 listens there"), std::string::npos) << sent.err;
  const std::string heard = thief.heard();
  RecordProperty("bytes_heard", static_cast<int>(heard.size()));
  EXPECT_EQ(heard, "");
}

/// Where no folder of the user's own is known there is no default at all, and none in /tmp.
TEST(Socket, TheDefaultIsNeverInAFolderThatOthersShare) {
  for (const char* name : {"QUDAG_SOCKET", "XDG_RUNTIME_DIR"}) ::unsetenv(name);
  const auto help = app::test::run({"send", "--help"});
  EXPECT_EQ(help.exit, 0);
  EXPECT_EQ(help.out.find("/tmp/qudag"), std::string::npos) << help.out;
}

}  // namespace
}  // namespace qudag::attack
