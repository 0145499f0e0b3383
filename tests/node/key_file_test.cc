#include "node/key_file.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace qudag::node {
namespace {

class KeyFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "qudag-key-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name = "identity") const { return folder_ + "/" + name; }

  void write(const std::string& text, mode_t mode = 0600) const {
    std::ofstream(path(), std::ios::binary | std::ios::trunc) << text;
    ASSERT_EQ(::chmod(path().c_str(), mode), 0);
  }
  std::string read() const {
    std::ifstream in(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::string folder_;
};

crypto::Identity counting_identity() {
  std::array<std::byte, crypto::kIdentitySeedSize> seed{};
  for (std::size_t i = 0; i < seed.size(); ++i) seed[i] = static_cast<std::byte>(i);
  return crypto::Identity::from_seed(seed).value();
}

const std::string kGood =
    "qudag identity 1\n000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";

TEST_F(KeyFile, SavesTheFormAndModeThatItPromises) {
  const mode_t old = ::umask(0);
  const Status saved = save_identity(path(), counting_identity());
  ::umask(old);
  ASSERT_TRUE(saved) << saved.error().message();
  EXPECT_EQ(read(), kGood);
  struct stat info {};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
}

TEST_F(KeyFile, LoadsWhatItSaved) {
  const auto identity = crypto::Identity::generate();
  ASSERT_TRUE(identity);
  ASSERT_TRUE(save_identity(path(), *identity));
  const auto loaded = load_identity(path());
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ(loaded->id(), identity->id());
}

TEST_F(KeyFile, NeverOverwrites) {
  write("something else");
  EXPECT_EQ(save_identity(path(), counting_identity()).error().code, Errc::already_exists);
  EXPECT_EQ(read(), "something else");
  ASSERT_EQ(::symlink(path("nowhere").c_str(), path("link").c_str()), 0);
  EXPECT_EQ(save_identity(path("link"), counting_identity()).error().code, Errc::already_exists);
  EXPECT_FALSE(std::filesystem::exists(path("nowhere")));
}

TEST_F(KeyFile, RefusesEveryModeThatLetsOthersIn) {
  for (mode_t mode = 1; mode <= 077; ++mode) {
    write(kGood, 0600 | mode);
    const auto loaded = load_identity(path());
    ASSERT_FALSE(loaded) << std::oct << mode;
    EXPECT_EQ(loaded.error().code, Errc::permission_denied) << std::oct << mode;
  }
  write(kGood, 0400);
  EXPECT_EQ(load_identity(path()).value().id(), counting_identity().id());
}

TEST_F(KeyFile, RefusesEverythingThatIsNotExactlyTheForm) {
  std::string upper = kGood;
  upper.replace(upper.find("0a0b"), 4, "0A0B");
  for (const std::string& bad : std::initializer_list<std::string>{
           "", "\n", kGood.substr(0, kGood.size() - 1), kGood + "\n", kGood + kGood,
           "qudag identity 2" + kGood.substr(16), kGood.substr(1), " " + kGood, upper,
           kGood.substr(0, 17) + std::string(64, 'g') + "\n",
           kGood.substr(0, 17) + std::string(64, '\0') + "\n", std::string(1 << 20, 'a')}) {
    write(bad);
    const auto loaded = load_identity(path());
    ASSERT_FALSE(loaded) << bad.substr(0, 100);
    EXPECT_EQ(loaded.error().code, Errc::malformed) << bad.substr(0, 100);
  }
}

TEST_F(KeyFile, ThingsThatAreNotFiles) {
  EXPECT_EQ(load_identity(path("missing")).error().code, Errc::not_found);
  EXPECT_EQ(load_identity(path("missing/identity")).error().code, Errc::not_found);
  EXPECT_EQ(save_identity(path("missing/identity"), counting_identity()).error().code,
            Errc::not_found);
  EXPECT_EQ(load_identity(folder_).error().code, Errc::malformed);
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(load_identity(path("fifo")).error().code, Errc::malformed) << "and does not hang";
}

TEST_F(KeyFile, FailedWriteLeavesNoFile) {
  // A file size limit stands in for the full disk: write() fails after the file was made.
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tiny{10, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tiny), 0);
  const Status saved = save_identity(path(), counting_identity());
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, old_handler);
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code, Errc::io_error);
  EXPECT_FALSE(std::filesystem::exists(path()));
}

// A real full disk: a file system of one page, in a mount namespace of a child process.
TEST_F(KeyFile, FullDiskHasItsOwnCodeAndLeavesNoFile) {
  constexpr int kGoodExit = 0, kBadExit = 1, kNoNamespace = 77;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
      ::_exit(kNoNamespace);
    }
    ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    if (::mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=4k") != 0) ::_exit(kNoNamespace);
    std::ofstream(path("filler")) << std::string(4096, 'x');
    const Status saved = save_identity(path(), counting_identity());
    const bool good =
        !saved && saved.error().code == Errc::disk_full && !std::filesystem::exists(path());
    ::_exit(good ? kGoodExit : kBadExit);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kNoNamespace) GTEST_SKIP() << "no mount namespaces here";
  EXPECT_EQ(WEXITSTATUS(status), kGoodExit);
}

}  // namespace
}  // namespace qudag::node
