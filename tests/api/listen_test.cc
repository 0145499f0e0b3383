// The socket file: mode, stale files, live ones, files that are no socket.
#include "two_nodes.h"

#include "api/socket/listen.h"

#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>

namespace qudag::api::test {
namespace {

TEST(Listen, ModeIsAsAsked) {
  const TemporaryDirectory directory;
  for (const unsigned mode : {0600u, 0660u}) {
    const auto path = directory.path() / std::to_string(mode);
    const auto fd = listen_on(path, mode);
    ASSERT_TRUE(fd) << fd.error().message();
    struct stat found {};
    ASSERT_EQ(::stat(path.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777, mode);
  }
}

TEST(Listen, StaleSocketIsReplacedAndLiveOneRefused) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "s";
  auto first = listen_on(path, 0600);
  ASSERT_TRUE(first);
  const auto second = listen_on(path, 0600);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::address_in_use);
  ::close(first->release());  // the file stays, as after a crash
  ASSERT_TRUE(std::filesystem::exists(path));
  const auto nobody = connect_to(path);
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code, Errc::unreachable);
  const auto third = listen_on(path, 0600);
  ASSERT_TRUE(third) << third.error().message();
  const auto somebody = connect_to(path);
  EXPECT_TRUE(somebody);
  if (somebody) ::close(*somebody);
}

TEST(Listen, OtherFilesAreLeftAlone) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "notes";
  std::ofstream(path) << "mine";
  const auto fd = listen_on(path, 0600);
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().code, Errc::already_exists);
  EXPECT_EQ(std::filesystem::file_size(path), 4u);
}

/// A node whose file was taken away, and another that listens on the same path now: the first one
/// ends, and must leave the other's file.
TEST(Listen, OnlyTheOwnFileIsRemoved) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "s";
  auto first = listen_on(path, 0600);
  ASSERT_TRUE(first);
  ASSERT_EQ(::unlink(path.c_str()), 0);
  const auto second = listen_on(path, 0600);
  ASSERT_TRUE(second);
  first->remove_file();
  EXPECT_TRUE(std::filesystem::exists(path));
  const auto connected = connect_to(path);
  EXPECT_TRUE(connected);
  if (connected) ::close(*connected);
  second->remove_file();
  EXPECT_FALSE(std::filesystem::exists(path));
}

constexpr uid_t kNobody = 65'534;

/// Does `what` as another user; its answer is how it ended.
template <class F>
int as_nobody(F&& what) {
  const pid_t child = ::fork();
  if (child == 0) {
    const bool other =
        ::setgroups(0, nullptr) == 0 && ::setgid(kNobody) == 0 && ::setuid(kNobody) == 0;
    ::_exit(other ? what() : 99);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Listen, AClientRefusesAServerOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be somebody else";
  const TemporaryDirectory directory;
  ASSERT_EQ(::chmod(directory.path().c_str(), 0777), 0);
  const auto path = directory.path() / "s";
  int told[2];
  int end[2];
  ASSERT_EQ(::pipe(told), 0);
  ASSERT_EQ(::pipe(end), 0);
  std::thread other([&] {
    EXPECT_EQ(as_nobody([&] {
                const auto listening = listen_on(path, 0666);
                char byte = listening ? 1 : 0;
                const bool heard = ::write(told[1], &byte, 1) == 1 && ::read(end[0], &byte, 1) == 1;
                return listening && heard ? 0 : 1;
              }),
              0);
  });
  char byte = 0;
  ASSERT_EQ(::read(told[0], &byte, 1), 1);
  ASSERT_EQ(byte, 1);
  const auto refused = connect_to(path);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::permission_denied);
  EXPECT_NE(refused.error().detail.find("user 65534 listens there"), std::string::npos);
  const auto wanted = connect_to(path, kNobody);
  EXPECT_TRUE(wanted) << "named by whoever runs the client";
  if (wanted) ::close(*wanted);
  ASSERT_EQ(::write(end[1], &byte, 1), 1);
  other.join();
  for (const int fd : {told[0], told[1], end[0], end[1]}) ::close(fd);
}

TEST(Listen, AServerOfOneUserRefusesOthers) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be somebody else";
  const TemporaryDirectory directory;
  ASSERT_EQ(::chmod(directory.path().c_str(), 0755), 0);
  const auto path = directory.path() / "s";
  const auto listening = listen_on(path, 0600);
  ASSERT_TRUE(listening);
  EXPECT_EQ(as_nobody([&] { return connect_to(path) ? 0 : 1; }), 1) << "by the mode of the file";
  ASSERT_EQ(::chmod(path.c_str(), 0666), 0);  // somebody's mistake, or a file system without modes
  EXPECT_EQ(as_nobody([&] { return connect_to(path, 0u) ? 0 : 1; }), 0);
  const int theirs = ::accept(listening->fd(), nullptr, nullptr);
  ASSERT_GE(theirs, 0);
  const Status refused = check_client(theirs, 0600);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::permission_denied);
  EXPECT_TRUE(check_client(theirs, 0660)) << "a group was let in";
  ::close(theirs);
  const auto own = connect_to(path);
  ASSERT_TRUE(own);
  const int ours = ::accept(listening->fd(), nullptr, nullptr);
  EXPECT_TRUE(check_client(ours, 0600));
  ::close(ours);
  ::close(*own);
}

TEST(Listen, WrongPaths) {
  const auto missing = listen_on("/nowhere/s", 0600);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::not_found);
  const auto longer = listen_on("/tmp/" + std::string(200, 'x'), 0600);
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().code, Errc::invalid_argument);
}

}  // namespace
}  // namespace qudag::api::test
