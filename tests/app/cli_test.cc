// Arguments, key files, configuration faults: what the program says and its exit code.
#include "run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace qudag::app::test {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

TEST(Keygen, MakesAFileThatOnlyTheOwnerMayRead) {
  const Directory directory;
  const std::string file = directory / "key";
  const Ran made = run({"keygen", file});
  EXPECT_EQ(made.exit, 0) << made.err;
  EXPECT_THAT(made.out, MatchesRegex("[a-z2-7]{52}\n"));
  struct stat found {};
  ASSERT_EQ(::stat(file.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600u);
  const Ran shown = run({"id", file});
  EXPECT_EQ(shown.exit, 0);
  EXPECT_EQ(shown.out, made.out);
  const Ran json = run({"id", "--json", file});
  EXPECT_THAT(json.out, HasSubstr("{\"id\":\"" + made.out.substr(0, 52) + "\""));
}

TEST(Keygen, JsonEscapesThePath) {
  const Directory directory;
  const std::string file = directory / R"(a "key" with a \ in it)";
  const std::string shown = (directory.path() / R"(a \"key\" with a \\ in it)").string();
  for (const Ran& ran : {run({"keygen", "--json", file}), run({"id", "--json", file})}) {
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr(",\"file\":\"" + shown + "\"}\n"));
  }
  const Ran missing = run({"id", "--json", file + "2"});
  EXPECT_THAT(missing.out, HasSubstr(R"(\"key\" with a \\ in it2)"));
}

TEST(Keygen, NeverOverwrites) {
  const Directory directory;
  const std::string file = directory / "key";
  std::ofstream(file) << "precious";
  const Ran made = run({"keygen", file});
  EXPECT_EQ(made.exit, 6);
  EXPECT_THAT(made.err, HasSubstr("already_exists"));
  std::ifstream in(file);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "precious");
}

TEST(Keygen, MissingFolderIsSaid) {
  const Ran made = run({"keygen", "/nowhere/key"});
  EXPECT_EQ(made.exit, 6);
  EXPECT_THAT(made.err, HasSubstr("not_found"));
}

TEST(Output, FullDiskIsSaid) {
  if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full here";
  const Directory directory;
  const std::string file = directory / "key";
  ASSERT_EQ(run({"keygen", file}).exit, 0);
  const std::string command =
      std::string(QUDAG_PROGRAM) + " id " + file + " >/dev/full 2>" + (directory / "err");
  const int status = std::system(command.c_str());
  EXPECT_EQ(WEXITSTATUS(status), 6);
  std::ifstream in(directory / "err");
  EXPECT_THAT(std::string(std::istreambuf_iterator<char>(in), {}), HasSubstr("disk_full"));
}

TEST(Id, RefusesAKeyFileThatOthersMayRead) {
  const Directory directory;
  const std::string file = directory / "key";
  ASSERT_EQ(run({"keygen", file}).exit, 0);
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  for (const Ran& ran : {run({"id", file}), run({"node", "--identity", file})}) {
    EXPECT_EQ(ran.exit, 6);
    EXPECT_THAT(ran.err, HasSubstr("permission_denied"));
    EXPECT_THAT(ran.err, HasSubstr(file));
  }
}

TEST(Id, MalformedKeyFileIsInput) {
  const Directory directory;
  const std::string file = directory / "key";
  std::ofstream(file) << "not a key";
  ::chmod(file.c_str(), 0600);
  EXPECT_EQ(run({"id", file}).exit, 2);
}

TEST(Config, FaultNamesFileLineAndKey) {
  const Directory directory;
  const std::string file = directory / "qudag.toml";
  std::ofstream(file) << "shards = 1\nbootstrp = []\n";
  const Ran ran = run({"node", "--config", file});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_EQ(ran.out, "");
  EXPECT_THAT(ran.err, HasSubstr(file + ":2:1: unknown key 'bootstrp'; did you mean 'bootstrap'?"));
}

TEST(Config, FlagFaultNamesTheFlag) {
  const Ran ran = run({"node", "--limits.memory", "lots"});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_THAT(ran.err, HasSubstr("--limits.memory: must be a size from 32MiB to 4096GiB"));
}

TEST(Config, MissingFile) {
  const Ran ran = run({"node", "--config", "/nowhere/qudag.toml"});
  EXPECT_EQ(ran.exit, 6);
  EXPECT_THAT(ran.err, HasSubstr("not_found"));
}

TEST(Arguments, WrongOnesAreUsageErrors) {
  EXPECT_EQ(run({}).exit, 2);
  EXPECT_EQ(run({"fly"}).exit, 2);
  EXPECT_EQ(run({"keygen"}).exit, 2);
  EXPECT_EQ(run({"send", "short-id"}).exit, 2);
  EXPECT_EQ(run({"send", std::string(52, 'a'), "--relays", "6"}).exit, 2);
  EXPECT_EQ(run({"send", std::string(52, 'a'), "--ttl", "soon"}).exit, 2);
  EXPECT_EQ(run({"send", std::string(52, 'a'), "--priority", "urgent"}).exit, 2);
  EXPECT_EQ(run({"testnet", "demo", "-n", "3"}).exit, 2) << "too few nodes for three relays";
}

TEST(Arguments, HelpListsExitCodes) {
  const Ran help = run({"--help"});
  EXPECT_EQ(help.exit, 0);
  for (const char* word :
       {"keygen", "id", "node", "send", "recv", "status", "testnet", "Exit codes:"}) {
    EXPECT_THAT(help.out, HasSubstr(word));
  }
}

TEST(Client, NoNodeIsSaid) {
  const Directory directory;
  for (const Ran& ran : {run({"status", "--socket", directory / "none"}),
                         run({"recv", "--socket", directory / "none"}),
                         run({"send", std::string(52, 'a'), "--socket", directory / "none"})}) {
    EXPECT_EQ(ran.exit, 6);
    EXPECT_THAT(ran.err, HasSubstr("is `qudag node` running"));
  }
}

TEST(Client, JsonErrorsGoToStandardOutput) {
  const Directory directory;
  const Ran ran = run({"status", "--json", "--socket", directory / "none"});
  EXPECT_THAT(ran.out, HasSubstr("{\"error\":{\"code\":\"not_found\""));
}

}  // namespace
}  // namespace qudag::app::test
