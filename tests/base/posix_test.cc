#include "base/posix.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

namespace qudag {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST(Posix, ADescriptorIsClosedOnceByItsLastOwner) {
  int number = -1;
  {
    Fd first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    number = first.get();
    ASSERT_TRUE(first);
    Fd second(std::move(first));
    EXPECT_FALSE(first);  // NOLINT: moved from
    EXPECT_TRUE(is_open(number));
    Fd third;
    third = std::move(second);
    EXPECT_EQ(third.get(), number);
  }
  EXPECT_FALSE(is_open(number));
}

TEST(Posix, ReleasingKeepsItOpenAndClosingTellsTheResult) {
  Fd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int number = fd.release();
  EXPECT_FALSE(fd);
  EXPECT_TRUE(is_open(number));
  Fd again(number);
  EXPECT_TRUE(again.close());
  EXPECT_TRUE(again.close()) << "there is none";
  Fd bad(1'000'000);
  EXPECT_FALSE(bad.close());
  EXPECT_EQ(errno, EBADF);
}

TEST(Posix, ErrorsHaveTheirGroupAndSayWhy) {
  EXPECT_EQ(code_of_errno(ENOTDIR), Errc::not_found);
  EXPECT_EQ(code_of_errno(EEXIST), Errc::already_exists);
  EXPECT_EQ(code_of_errno(EROFS), Errc::permission_denied);
  EXPECT_EQ(code_of_errno(EDQUOT), Errc::disk_full);
  EXPECT_EQ(code_of_errno(EADDRINUSE), Errc::address_in_use);
  EXPECT_EQ(code_of_errno(EIO), Errc::io_error);
  const auto failed = system_failure("/a/b", ENOENT);
  EXPECT_EQ(failed.error().code, Errc::not_found);
  EXPECT_EQ(failed.error().detail, "/a/b: No such file or directory");
}

}  // namespace
}  // namespace qudag
