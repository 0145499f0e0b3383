// State over a restart, with everything that can be wrong with its files: each time the right
// words, and a node that runs.
#include "node/state.h"

#include "netmap/fixture.h"
#include "netmap/kept.h"
#include "store/state_file.h"

#include <qudag/node.h>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace qudag::node {
namespace {

using namespace netmap::test;

class StateTest : public ::testing::Test {
 protected:
  StateTest() {
    std::string name = (std::filesystem::temp_directory_path() / "qudag-state-XXXXXX").string();
    parent = ::mkdtemp(name.data());
    path = parent / "state";
  }
  ~StateTest() override { std::filesystem::remove_all(parent); }

  std::unique_ptr<State> open() {
    auto state = State::open(path, log);
    EXPECT_TRUE(state) << state.error().message();
    return state ? std::move(*state) : nullptr;
  }
  netmap::Guards two_guards() {
    netmap::Guards guards;
    for (std::uint64_t i = 1; i <= 2; ++i) {
      guards.add(netmap::Layer::first, id_of(i), 2, {.mono = {}, .unix_seconds = kToday}, rng);
    }
    return guards;
  }
  std::string bytes_of(const char* name) const {
    std::ifstream in(path / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void put(const char* name, const std::string& bytes) const {
    std::ofstream(path / name, std::ios::binary) << bytes;
    ::chmod((path / name).c_str(), 0600);
  }
  bool said(std::string_view words) const {
    return std::ranges::any_of(
        lines, [&](const std::string& line) { return line.find(words) != std::string::npos; });
  }

  std::vector<std::string> lines;
  Log log{{.sink = [this](LogLevel, std::string_view line) { lines.emplace_back(line); }}};
  SeededRng rng{1};
  std::filesystem::path parent, path;
};

TEST_F(StateTest, GuardsAndRelaysComeBack) {
  const auto entry = netmap::make_entry(raw_of(1), kToday, Reach::site);
  ASSERT_TRUE(entry);
  const std::vector<netmap::Kept> kept{{*entry, true, true}};
  ASSERT_TRUE(open()->save_guards(two_guards().encode()));
  ASSERT_TRUE(open()->save_netmap(netmap::encode_kept(kept)));
  EXPECT_EQ(open()->load_guards(kToday).all(netmap::Layer::first).size(), 2u);
  const auto body = open()->load_netmap(kToday);
  const auto back = netmap::verify_kept(*netmap::parse_kept(body), kToday);
  ASSERT_EQ(back.size(), 1u);
  EXPECT_EQ(back[0].entry->raw, raw_of(1));
  EXPECT_EQ(back[0].entry->told_over, Reach::site);
  EXPECT_TRUE(back[0].reached);
  EXPECT_TRUE(netmap::verify_kept(*netmap::parse_kept(body), kToday + kDay).empty()) << "over";
  EXPECT_TRUE(lines.empty());
}

TEST_F(StateTest, AFileThatIsCutOffAnywhereIsNamedKeptAsideAndBegunAnew) {
  ASSERT_TRUE(open()->save_guards(two_guards().encode()));
  const std::string whole = bytes_of("guards");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    lines.clear();
    put("guards", whole.substr(0, size));
    const auto state = open();
    EXPECT_TRUE(state->load_guards(kToday + size).all(netmap::Layer::first).empty());
    ASSERT_EQ(lines.size(), 1u) << size;
    EXPECT_TRUE(said("state file guards: ")) << lines[0];
    EXPECT_TRUE(said("kept as guards.bad-" + std::to_string(kToday + size))) << lines[0];
    ASSERT_TRUE(state->save_guards(two_guards().encode()));
  }
  EXPECT_EQ(open()->load_guards(kToday).all(netmap::Layer::first).size(), 2u);
}

TEST_F(StateTest, GarbageAndFilesOfSomethingElseAreNotTaken) {
  static_cast<void>(open());
  for (const std::string& bytes : {std::string("garbage"), std::string(40'000, 'x')}) {
    lines.clear();
    put("guards", bytes);
    put("netmap", bytes);
    EXPECT_TRUE(open()->load_guards(kToday).all(netmap::Layer::first).empty());
    EXPECT_TRUE(open()->load_netmap(kToday).empty());
    EXPECT_TRUE(said("state file guards: "));
    EXPECT_TRUE(said("state file netmap: "));
  }
  // Whole, and wrong inside.
  const auto file = store::encode_state({.name = "netmap", .version = 1}, as_bytes("wrong"));
  put("netmap", {reinterpret_cast<const char*>(file.data()), file.size()});
  EXPECT_TRUE(open()->load_netmap(kToday).empty());
  EXPECT_TRUE(said("number of descriptors"));
}

TEST_F(StateTest, WhatCannotBeMadeIsSaidAndTheNodeRuns) {
  std::ofstream(parent / "file") << "x";
  path = parent / "file" / "state";
  const auto state = open();
  ASSERT_NE(state, nullptr);
  EXPECT_TRUE(said("nothing is kept over a restart"));
  EXPECT_TRUE(state->load_guards(kToday).all(netmap::Layer::first).empty());
  EXPECT_TRUE(state->save_guards(two_guards().encode()));
  EXPECT_EQ(lines.size(), 1u) << "once";
}

TEST_F(StateTest, WhatCannotBeWrittenIsSaidOnceUntilItCanAgain) {
  const auto state = open();
  // Not even root writes a file over a directory.
  std::filesystem::create_directories(path / "guards" / "x");
  EXPECT_FALSE(state->save_guards(two_guards().encode()));
  EXPECT_FALSE(state->save_guards(two_guards().encode()));
  EXPECT_EQ(lines.size(), 1u);
  EXPECT_TRUE(said("the node runs on"));
  std::filesystem::remove_all(path / "guards");
  EXPECT_TRUE(state->save_guards(two_guards().encode()));
  EXPECT_TRUE(said("it can be written again"));
}

Options quiet(const std::filesystem::path& state) {
  Options options;
  options.shards = 1;
  options.log_level = LogLevel::off;
  options.state_dir = state;
  return options;
}

TEST_F(StateTest, ASecondNodeOnTheSameDirectoryAndAnOpenOneAreRefused) {
  auto first = Node::start(quiet(path));
  ASSERT_TRUE(first);
  const auto second = Node::start(quiet(path));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::already_exists);
  (*first)->stop();
  ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
  const auto third = Node::start(quiet(path));
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, Errc::permission_denied);
}

}  // namespace
}  // namespace qudag::node
