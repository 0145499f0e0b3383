// Long-lived keys have their own pages; without the right to lock them they work all the same.
#include "crypto/key_memory.h"
#include "crypto/identity.h"
#include "crypto/kem.h"

#include <gtest/gtest.h>

#include <grp.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

namespace qudag::crypto {
namespace {

// allocation_test.cc sets OpenSSL's hooks before main.

TEST(KeyMemory, AnIdentityTakesItAndGivesItBack) {
  ASSERT_TRUE(Identity::generate());  // what OpenSSL makes once is made now
  const std::size_t before = key_memory().bytes;
  {
    const auto identity = Identity::generate();
    ASSERT_TRUE(identity);
    EXPECT_GE(key_memory().bytes, before + 4'000);
    EXPECT_TRUE(identity->sign(kMessageContext, {}));
  }
  EXPECT_EQ(key_memory().bytes, before);
}

TEST(KeyMemory, OnlyWhatAScopeSaysGoesThere) {
  const auto first = KemKeyPair::generate();  // what OpenSSL makes once is made now
  const std::size_t before = key_memory().bytes;
  {
    const auto outside = KemKeyPair::generate();
    EXPECT_EQ(key_memory().bytes, before);
    const KeyScope scope;
    const auto inside = KemKeyPair::generate();
    EXPECT_GT(key_memory().bytes, before + 2'000);
  }
  EXPECT_LT(key_memory().bytes, before + 2'000) << "what OpenSSL keeps for a thread may stay";
}

TEST(KeyMemory, MoreKeysThanFitGoElsewhere) {
  const std::uint64_t spilled = key_memory().spilled;
  std::vector<Identity> identities;
  for (int i = 0; i < 40; ++i) {
    auto identity = Identity::generate();
    ASSERT_TRUE(identity);
    identities.push_back(std::move(*identity));
  }
  EXPECT_GT(key_memory().spilled, spilled);
  for (const Identity& identity : identities) EXPECT_TRUE(identity.sign(kMessageContext, {}));
}

TEST(KeyMemory, WithoutTheRightToLockKeysWorkAndItIsTold) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to give the right up";
  if (key_memory().in_use) GTEST_SKIP() << "needs a process of its own";
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_MEMLOCK, &none);
    if (::setgroups(0, nullptr) != 0 || ::setgid(65'534) != 0 || ::setuid(65'534) != 0) ::_exit(9);
    const auto identity = Identity::generate();
    const KeyMemory keys = key_memory();
    const bool right = identity.has_value() && identity->sign(kMessageContext, {}).has_value() &&
                       keys.in_use && !keys.locked && keys.lock_error != 0 && keys.bytes > 4'000;
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace qudag::crypto
