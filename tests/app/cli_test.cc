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
  EXPECT_THAT(ran.err, HasSubstr("--limits.memory: must be a size from 32MiB to 4TiB"));
}

TEST(Config, PrintsFileAndFlagsOverTheDefaults) {
  const Directory directory;
  const std::string file = directory / "qudag.toml";
  std::ofstream(file) << "shards = 3\n[limits]\nlinks = 40\n";
  const Ran ran = run({"node", "--print-config", "--config", file, "--shards", "2"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("\nshards = 2\n"));
  EXPECT_THAT(ran.out, HasSubstr("\nlinks = 40\n"));
  EXPECT_THAT(ran.out, HasSubstr("\nhalf_open = 40\n")) << "it follows";
  EXPECT_EQ(run({"node", "--print-config", "--config", file + "2"}).exit, 6);
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
  EXPECT_EQ(run({"send", "Short-id"}).exit, 2);
  EXPECT_EQ(run({"send", std::string(52, 'a'), "--relays", "6"}).exit, 2);
  EXPECT_EQ(run({"send", std::string(52, 'a'), "--ttl", "soon"}).exit, 2);
  EXPECT_EQ(run({"send", std::string(52, 'a'), "--priority", "urgent"}).exit, 2);
  EXPECT_EQ(run({"testnet", "demo", "-n", "3"}).exit, 2) << "too few nodes for three relays";
}

TEST(Arguments, AreCheckedBeforeTheSocket) {
  const std::string id(52, 'a');
  struct Case {
    std::vector<std::string> words;
    const char* says;
  };
  for (const Case& one : std::initializer_list<Case>{
           {{"recv", "--count", "-3"},
            R"(--count: takes a whole number from 0 to 2^64 - 1, not "-3")"},
           {{"recv", "--timeout", "5"}, R"(such as 30s, not "5"; say 5s)"},
           {{"recv", "--channel", "99999"}, "--channel: takes a whole number from 0 to 65535, not"},
           {{"send", id, "--ttl", "60"}, R"(not "60"; say 60s)"},
           {{"send", "--isolation", "99999999999999999999"}, "--isolation: takes a whole number"},
           {{"send", id, "/tmp"}, R"(not "/tmp", which is a directory)"},
           {{"keygen", "/tmp"}, R"(not "/tmp", which is a directory)"},
           {{"status", "--socket", "/etc/passwd"}, R"(not "/etc/passwd", which is no socket)"},
           {{"node", "--ready-fd", "77"}, R"(can be written to, not "77", which is not open)"},
           {{"node", "--grace", "nan"}, R"(--grace: takes seconds from 0 to 3600, not "nan")"},
           {{"node", "--publish", "0.0.0.0:4433"},
            "publish: 0.0.0.0:4433: the unspecified address"},
           {{"node", "--limits.half_open", "2000"}, "must be at most limits.links, which is 1024"},
           {{"nod"}, "did you mean 'node'?"},
           {{"status", "--sokcet", "x"}, "did you mean '--socket'?"},
           {{}, "`qudag` needs a command: keygen, id, node,"},
       }) {
    const Ran ran = run(one.words);
    EXPECT_EQ(ran.exit, 2) << one.says;
    EXPECT_THAT(ran.err, HasSubstr(one.says));
  }
}

TEST(Arguments, HelpListsExitCodes) {
  const Ran help = run({"--help"});
  EXPECT_EQ(help.exit, 0);
  for (const char* word :
       {"keygen", "id", "node", "send", "recv", "status", "testnet", "Exit codes:"}) {
    EXPECT_THAT(help.out, HasSubstr(word));
  }
}

TEST(Id, AMissingFileSaysWhatToDo) {
  const Ran ran = run({"id", "/nonexistent"});
  EXPECT_EQ(ran.exit, 6);
  EXPECT_THAT(ran.err, HasSubstr("no such file; `qudag keygen /nonexistent` makes one"));
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
