// A state directory: whole files or the old ones, one process, and clear words for what is wrong.
#include "store/directory.h"

#include "store/state_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <string>

namespace qudag::store {
namespace {

constexpr StateKind kKind{.name = "guards", .version = 1};

class DirectoryTest : public ::testing::Test {
 protected:
  DirectoryTest() {
    std::string name = (std::filesystem::temp_directory_path() / "qudag-store-XXXXXX").string();
    parent = ::mkdtemp(name.data());
    path = parent / "state";
  }
  ~DirectoryTest() override {
    std::error_code ignored;
    std::filesystem::permissions(path, std::filesystem::perms::owner_all, ignored);
    std::filesystem::remove_all(parent, ignored);
  }
  std::unique_ptr<Directory> open() {
    auto opened = Directory::open(path);
    EXPECT_TRUE(opened) << opened.error().message();
    return opened ? std::move(*opened) : nullptr;
  }
  static mode_t mode_of(const std::filesystem::path& of) {
    struct stat info {};
    EXPECT_EQ(::stat(of.c_str(), &info), 0);
    return info.st_mode & 0777;
  }
  std::size_t files() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      count += entry.path().filename() == "lock" ? 0 : 1;
    }
    return count;
  }

  std::filesystem::path parent, path;
};

TEST_F(DirectoryTest, IsMadeForItsOwnerAloneAndSoAreItsFiles) {
  const auto directory = open();
  EXPECT_EQ(mode_of(path), 0700u);
  ASSERT_TRUE(directory->write("guards", as_bytes("first")));
  EXPECT_EQ(mode_of(path / "guards"), 0600u);
  EXPECT_EQ(mode_of(path / "lock"), 0600u);
  ASSERT_TRUE(directory->write("guards", as_bytes("second")));
  const auto read = directory->read("guards", 100);
  ASSERT_TRUE(read);
  EXPECT_TRUE(std::ranges::equal(*read, as_bytes("second")));
  EXPECT_EQ(files(), 1u) << "nothing temporary is left";
}

TEST_F(DirectoryTest, WhatIsWrongIsSaid) {
  EXPECT_EQ(open()->read("guards", 100).error().code, Errc::not_found);
  ASSERT_TRUE(open()->write("guards", as_bytes("eleven char")));
  EXPECT_EQ(open()->read("guards", 10).error().code, Errc::too_large);
  std::filesystem::permissions(path / "guards", std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);
  EXPECT_EQ(open()->read("guards", 100).error().code, Errc::permission_denied);
  std::filesystem::remove(path / "guards");
  std::filesystem::create_symlink("/etc/passwd", path / "guards");
  EXPECT_FALSE(open()->read("guards", 100'000)) << "no way out of the directory";
  std::filesystem::permissions(path, std::filesystem::perms::group_exec,
                               std::filesystem::perm_options::add);
  const auto opened = Directory::open(path);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::permission_denied);
  EXPECT_NE(opened.error().detail.find("open to group or others; chmod 700"), std::string::npos);
  std::filesystem::permissions(path, static_cast<std::filesystem::perms>(0555));
  const std::string closed = Directory::open(path).error().detail;
  EXPECT_NE(closed.find("cannot be written"), std::string::npos);
  EXPECT_NE(closed.find("its mode is 0555; chmod 700"), std::string::npos);
  std::ofstream(parent / "file") << "x";
  EXPECT_EQ(Directory::open(parent / "file").error().code, Errc::io_error);
  EXPECT_EQ(Directory::open(parent / "file" / "state").error().code, Errc::io_error);
}

TEST_F(DirectoryTest, ASecondProcessIsKeptOut) {
  const auto directory = open();
  EXPECT_TRUE(directory->locked());
  const auto second = Directory::open(path);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::already_exists);
  EXPECT_NE(second.error().detail.find("is in use by another process"), std::string::npos);
}

TEST_F(DirectoryTest, TheLockEndsWithItsHolder) {
  open().reset();
  EXPECT_TRUE(open()->locked());
}

TEST_F(DirectoryTest, WhatCannotBeReadIsSetAsideAndOnlyTheLastFewOfIt) {
  const auto directory = open();
  for (std::uint64_t i = 0; i < 10; ++i) {
    ASSERT_TRUE(directory->write("guards", as_bytes("bad")));
    const auto aside = directory->set_aside("guards", 1'800'000'000 + i);
    ASSERT_TRUE(aside);
    EXPECT_EQ(*aside, "guards.bad-" + std::to_string(1'800'000'000 + i));
  }
  EXPECT_EQ(files(), Directory::kBadFilesMax);
  EXPECT_TRUE(std::filesystem::exists(path / "guards.bad-1800000009"));
}

/// In a process of its own: the limit counts for all of it.
TEST_F(DirectoryTest, AWriteThatFailsHalfWayLeavesTheOldFile) {
  ASSERT_TRUE(open()->write("guards", as_bytes("old")));
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit most{.rlim_cur = 1'000, .rlim_max = 1'000};
    ::setrlimit(RLIMIT_FSIZE, &most);
    auto directory = Directory::open(path);
    if (!directory) ::_exit(1);
    const Status written = (*directory)->write("guards", std::vector<std::byte>(5'000));
    ::_exit(!written && written.error().code == Errc::io_error ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(open()->read("guards", 100)->size(), 3u);
  EXPECT_EQ(files(), 1u);
}

/// A real one: a file system of a few pages, in a mount namespace of a process of its own.
TEST_F(DirectoryTest, AFullDiskIsSaidAndLeavesTheOldFile) {
  constexpr int kNoNamespace = 77;
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
      ::_exit(kNoNamespace);
    }
    ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    if (::mount("tmpfs", parent.c_str(), "tmpfs", 0, "size=8k") != 0) ::_exit(kNoNamespace);
    auto directory = Directory::open(path);
    if (!directory || !(*directory)->write("guards", as_bytes("old"))) ::_exit(1);
    const Status written = (*directory)->write("guards", std::vector<std::byte>(16'384));
    if (written || written.error().code != Errc::disk_full) ::_exit(2);
    const auto old = (*directory)->read("guards", 100);
    ::_exit(old && old->size() == 3 ? 0 : 3);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNoNamespace) GTEST_SKIP() << "no namespaces";
  EXPECT_EQ(status, 0);
}

/// As root nothing is read-only: then there is nothing to see here.
TEST_F(DirectoryTest, AReadOnlyOneIsReadAndNotWritten) {
  ASSERT_TRUE(open()->write("guards", as_bytes("old")));
  std::filesystem::remove(path / "lock");
  ASSERT_EQ(::chmod(path.c_str(), 0500), 0);
  const auto directory = open();
  ASSERT_NE(directory, nullptr);
  EXPECT_EQ(directory->read("guards", 100)->size(), 3u);
  if (::geteuid() == 0) return;
  EXPECT_FALSE(directory->locked());
  EXPECT_EQ(directory->write("guards", as_bytes("new")).error().code, Errc::permission_denied);
}

TEST(StateFile, PassesWholeAndInNoOtherForm) {
  const auto file = encode_state(kKind, as_bytes("a body"));
  const auto body = parse_state(kKind, file);
  ASSERT_TRUE(body);
  EXPECT_TRUE(std::ranges::equal(*body, as_bytes("a body")));
  for (std::size_t size = 0; size < file.size(); ++size) {
    EXPECT_FALSE(parse_state(kKind, Bytes(file).first(size))) << size;
  }
  for (std::size_t i = 0; i < file.size(); ++i) {
    auto changed = file;
    changed[i] ^= std::byte{1};
    EXPECT_FALSE(parse_state(kKind, changed)) << i;
  }
  EXPECT_EQ(parse_state({.name = "netmap", .version = 1}, file).error().code, Errc::malformed);
  EXPECT_EQ(parse_state({.name = "guards", .version = 2}, file).error().code, Errc::unsupported);
}

}  // namespace
}  // namespace qudag::store
