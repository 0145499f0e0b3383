// The socket file: mode, stale files, live ones, files that are no socket.
#include "two_nodes.h"

#include "api/listen.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

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
    ::close(*fd);
  }
}

TEST(Listen, StaleSocketIsReplacedAndLiveOneRefused) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "s";
  const auto first = listen_on(path, 0600);
  ASSERT_TRUE(first);
  const auto second = listen_on(path, 0600);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::address_in_use);
  ::close(*first);  // the file stays, as after a crash
  ASSERT_TRUE(std::filesystem::exists(path));
  const auto nobody = connect_to(path);
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code, Errc::unreachable);
  const auto third = listen_on(path, 0600);
  ASSERT_TRUE(third) << third.error().message();
  const auto somebody = connect_to(path);
  EXPECT_TRUE(somebody);
  if (somebody) ::close(*somebody);
  ::close(*third);
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
