// What a node's process keeps from a core dump, from a debugger and from the swap file.
#include "node/process/hardening.h"
#include "crypto/key_memory.h"
#include "memory/bound.h"
#include "node/process/app_pool.h"
#include "node/process/process.h"

#include <qudag/node.h>

#include <gtest/gtest.h>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace qudag::node {
namespace {

struct Mapping {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  std::string modes;
  std::string name;
  std::string flags;  // of smaps: " rd wr mr ... dd "
  bool has(const char* flag) const {
    return flags.find(std::string(" ") + flag + " ") != std::string::npos;
  }
};

std::vector<Mapping> mappings() {
  std::vector<Mapping> out;
  std::ifstream file("/proc/self/smaps");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    Mapping at;
    char dash = 0;
    std::string offset, device, inode;
    if (line.rfind("VmFlags:", 0) == 0) {
      out.back().flags = line.substr(8) + " ";
    } else if (words >> std::hex >> at.begin >> dash >> at.end && dash == '-') {
      words >> at.modes >> offset >> device >> inode >> at.name;
      out.push_back(at);
    }
  }
  return out;
}

const Mapping* holding(const std::vector<Mapping>& all, const void* address) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  for (const Mapping& one : all) {
    if (at >= one.begin && at < one.end) return &one;
  }
  return nullptr;
}

Options whole_process() {
  Options options;
  options.shards = 1;
  options.log_level = LogLevel::off;
  options.whole_process = true;
  return options;
}

TEST(Hardening, ANodeProcessLeavesNoCoreAndTakesNoDebugger) {
  ASSERT_EQ(::prctl(PR_GET_DUMPABLE), 1);
  harden_process(false);
  EXPECT_EQ(::prctl(PR_GET_DUMPABLE), 0);
  rlimit core{RLIM_INFINITY, RLIM_INFINITY};
  ASSERT_EQ(::getrlimit(RLIMIT_CORE, &core), 0);
  EXPECT_EQ(core.rlim_cur, 0u);
  std::string filter;
  std::ifstream("/proc/self/coredump_filter") >> filter;
  EXPECT_EQ(std::stoul(filter, nullptr, 16), 0u);
}

TEST(Hardening, ASettingLeavesDebuggersTheirWay) {
  rlimit before{};
  rlimit after{};
  ASSERT_EQ(::getrlimit(RLIMIT_CORE, &before), 0);
  harden_process(true);
  EXPECT_EQ(::prctl(PR_GET_DUMPABLE), 1);
  ASSERT_EQ(::getrlimit(RLIMIT_CORE, &after), 0);
  EXPECT_EQ(before.rlim_cur, after.rlim_cur);
}

TEST(Hardening, KeysLieInLockedPagesThatNoDumpAndNoChildHas) {
  auto node = Node::start(whole_process());
  ASSERT_TRUE(node) << node.error().message();
  const crypto::KeyMemory keys = crypto::key_memory();
  ASSERT_TRUE(keys.in_use);
  EXPECT_GT(keys.bytes, 4'000u) << "an identity";
  EXPECT_EQ(keys.spilled, 0u);
  const auto all = mappings();
  const Mapping* const at = holding(all, keys.begin);
  ASSERT_NE(at, nullptr);
  EXPECT_TRUE(at->has("dd")) << at->flags;
  EXPECT_TRUE(at->has("wf")) << at->flags;
  EXPECT_EQ(at->has("lo"), keys.locked) << at->flags;
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_MEMLOCK, &limit), 0);
  if (::geteuid() == 0 || limit.rlim_cur >= crypto::kKeyMemoryBytes) {
    EXPECT_TRUE(keys.locked);
  }

  const pid_t child = ::fork();
  if (child == 0) {
    const auto* const bytes = static_cast<const unsigned char*>(keys.begin);
    bool zeros = true;
    for (std::size_t i = 0; i < crypto::kKeyMemoryBytes; ++i) zeros = zeros && bytes[i] == 0;
    ::_exit(zeros ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

/// Blocks of messages come from the process allocator: it is marked at every maintenance.
TEST(Hardening, PoolsAreInNoDump) {
  const Options options = whole_process();
  auto bound = std::make_shared<memory::Bound>(options.limits.memory);
  AppPool pool(bound);
  Process process(options, 1);
  memory::Chain chain;
  ASSERT_TRUE(pool.take(8u << 20, chain));
  const auto excluded = [&] {
    const auto all = mappings();
    const Mapping* const at = holding(all, chain.front());
    return at != nullptr && at->has("dd");
  };
  EXPECT_FALSE(excluded()) << "this test can fail";
  process.trim(pool);
  EXPECT_TRUE(excluded());
  chain.clear();
}

}  // namespace
}  // namespace qudag::node
