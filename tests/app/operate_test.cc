// What an operator does with a node: look at it, reload, drain, ping, doctor, check, save.
#include "run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <regex>
#include <sstream>

namespace qudag::app::test {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

std::string field(const std::string& json, const std::string& name) {
  const std::string key = "\"" + name + "\":\"";
  const std::size_t at = json.find(key);
  if (at == std::string::npos) return {};
  const std::size_t begin = at + key.size();
  return json.substr(begin, json.find('"', begin) - begin);
}

void expect_fits(const std::string& text) {
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) EXPECT_LE(line.size(), 100u) << line;
}

/// A network of nodes of this program, joined.
class Net {
 public:
  explicit Net(int size) {
    std::string entry;
    for (int i = 0; i < size; ++i) {
      std::vector<std::string> arguments{"node", "--api.socket",      socket(i), "--shards",
                                         "1",    "--gossip_interval", "1s",      "--log.level",
                                         "error"};
      if (!entry.empty()) arguments.insert(arguments.end(), {"--bootstrap", entry});
      // The first ones cannot join before there are enough.
      if (size > 1 && i + 1 == size) arguments.insert(arguments.end(), {"--wait-joined", "30s"});
      nodes_.push_back(std::make_unique<Process>(arguments));
      const std::string ready = nodes_.back()->line();
      EXPECT_THAT(ready, HasSubstr("\"ready\":true"));
      ids_.push_back(field(ready, "id"));
      if (entry.empty()) entry = field(ready, "id") + "@" + field(ready, "address");
    }
  }
  std::string socket(int i) const { return directory_ / std::to_string(i).c_str(); }
  const std::string& id(int i) const { return ids_[static_cast<std::size_t>(i)]; }
  Process& node(int i) { return *nodes_[static_cast<std::size_t>(i)]; }
  Ran ask(int i, std::vector<std::string> words) const {
    words.insert(words.end(), {"--socket", socket(i)});
    return run(words);
  }

 private:
  Directory directory_;
  std::vector<std::string> ids_;
  std::vector<std::unique_ptr<Process>> nodes_;
};

TEST(Operate, ANetworkIsLookedAtPingedAndDrained) {
  Net net(6);
  const Ran status = net.ask(5, {"status"});
  EXPECT_THAT(status.out, MatchesRegex("up [0-9]+ s, joined: [0-9]+ nodes, [0-9]+ relays; "
                                       "[0-9.]+MiB of 512MiB; 0 links refused\n\n(.|\n)*"));
  EXPECT_THAT(status.out, HasSubstr("\nid         " + net.id(5) + "\n"));
  expect_fits(status.out);

  Ran known;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  do {  // a route to one of them needs three more
    known = net.ask(5, {"nodes"});
  } while (!std::regex_search(known.out, std::regex(" [56] of them usable\n")) &&
           std::chrono::steady_clock::now() < until);
  EXPECT_EQ(known.exit, 0) << known.err;
  EXPECT_THAT(known.out, StartsWith("role"));
  EXPECT_THAT(known.out, AllOf(HasSubstr(net.id(0).substr(0, 20)), HasSubstr(" usable\n")));
  expect_fits(known.out);

  const Ran there = net.ask(5, {"ping", net.id(0), "--count", "2"});
  EXPECT_EQ(there.exit, 0) << there.err;
  EXPECT_THAT(there.out, MatchesRegex("there: .*, with a new circuit; then .* over it\n"));
  const Ran nobody = net.ask(5, {"ping", std::string(52, 'a')});
  EXPECT_EQ(nobody.exit, 4);
  EXPECT_THAT(nobody.err, HasSubstr("unknown_destination"));

  const Ran doctor = net.ask(5, {"doctor"});
  EXPECT_THAT(doctor.out, AllOf(HasSubstr("ok     joined: "),
                                HasSubstr("ok     a circuit through 3 relays to one more: "),
                                HasSubstr("hop 1: kept the build ")));
  expect_fits(net.ask(5, {"status", "--circuits"}).out);
  const Ran peers = net.ask(5, {"status", "--peers"});
  EXPECT_THAT(peers.out, AllOf(StartsWith("address"), HasSubstr("127.0.0.1:"), HasSubstr(" us ")));
  expect_fits(peers.out);

  const Ran drained = net.ask(5, {"drain", "--grace", "5"});
  EXPECT_EQ(drained.exit, 0) << drained.err;
  EXPECT_THAT(drained.out, HasSubstr("the node has stopped\n"));
  EXPECT_EQ(net.node(5).wait().exit, 0);
}

TEST(Operate, ADoctorSaysWhatIsWrong) {
  const Net net(1);
  const Ran doctor = net.ask(0, {"doctor"});
  EXPECT_EQ(doctor.exit, 4);
  EXPECT_THAT(doctor.out,
              AllOf(HasSubstr("WRONG  not joined: no link is ready: there is no bootstrap entry"),
                    HasSubstr("WRONG  no circuit was tried")));
  EXPECT_THAT(net.ask(0, {"doctor", "--json"}).out, StartsWith("{\"good\":false,"));
}

TEST(Operate, AFileIsReadAgainAndAWrongOneChangesNothing) {
  const Directory directory;
  const std::string file = directory / "q.toml", socket = directory / "s";
  const auto write = [&](const std::string& text) {
    std::ofstream(file) << "shards = 1\n[api]\nsocket = \"" << socket << "\"\n" << text;
  };
  write("[log]\nlevel = \"info\"\n");
  Process node({"node", "--config", file});
  ASSERT_THAT(node.line(), HasSubstr("\"ready\":true"));
  EXPECT_EQ(run({"reload", "--socket", socket}).out, "nothing has changed\n");
  write("[log]\nlevel = \"warn\"\n[limits]\nmemory = \"64MiB\"\n");
  EXPECT_EQ(run({"reload", "--socket", socket}).out,
            "log.level: \"info\" -> \"warn\" (in effect)\n"
            "limits.memory: \"512MiB\" -> \"64MiB\" (at the next start)\n");
  write("[limits]\nmemory = \"lots\"\n");
  const Ran wrong = run({"reload", "--socket", socket});
  EXPECT_EQ(wrong.exit, 2);
  EXPECT_THAT(wrong.err, HasSubstr("limits.memory: must be a size"));
  node.signal(SIGTERM);
  EXPECT_EQ(node.wait().exit, 0);
}

TEST(Operate, AQuotaIsShownAndChangesWithoutARestart) {
  const Directory directory;
  const std::string file = directory / "q.toml", socket = directory / "s";
  const auto write = [&](const std::string& limits) {
    std::ofstream(file) << "shards = 1\n[api]\nsocket = \"" << socket
                        << "\"\n[log]\nlevel = \"error\"\n"
                        << limits;
  };
  write("[limits]\nbandwidth = \"5MiB\"\n");
  Process node({"node", "--config", file});
  ASSERT_THAT(node.line(), HasSubstr("\"ready\":true"));
  const auto status = [&] { return run({"status", "--socket", socket}).out; };
  EXPECT_THAT(status(), HasSubstr("\nquota      5.0MiB/s for others\n"));
  write("[limits]\nbandwidth = \"1MiB\"\nmonth = \"2TB\"\n");
  EXPECT_THAT(run({"reload", "--socket", socket}).out,
              AllOf(HasSubstr("limits.bandwidth: \"5MiB\" -> \"1MiB\" (in effect)\n"),
                    HasSubstr("limits.month: \"0B\" -> "), Not(HasSubstr("next start"))));
  const std::string with_month = status();
  EXPECT_THAT(with_month, HasSubstr("\nquota      1.0MiB/s for others; 0B of 1.8TiB used (0%), "));
  expect_fits(with_month.substr(with_month.find("\nquota") + 1));
  write("");
  EXPECT_THAT(run({"reload", "--socket", socket}).out, HasSubstr("-> \"0B\" (in effect)\n"));
  EXPECT_THAT(status(), Not(HasSubstr("quota")));
  node.signal(SIGTERM);
  EXPECT_EQ(node.wait().exit, 0);
}

TEST(Operate, AFileIsCheckedWithoutANode) {
  const Directory directory;
  const std::string file = directory / "q.toml";
  std::ofstream(file) << "shards = 1\n[limits]\nlinks = 100\n";
  const Ran right = run({"check-config", file});
  EXPECT_EQ(right.exit, 0) << right.err;
  EXPECT_THAT(right.out, HasSubstr("is right; 2 keys are set"));
  std::ofstream(file) << "shards = 1\nlimits.half_opn = 7\n";
  const Ran wrong = run({"check-config", file});
  EXPECT_EQ(wrong.exit, 2);
  EXPECT_THAT(wrong.err, HasSubstr("did you mean 'limits.half_open'?"));
  std::ofstream(file) << "identity = \"" << directory / "none"
                      << "\"\n";
  EXPECT_THAT(run({"check-config", file}).err, HasSubstr("identity: "));
}

TEST(Operate, ANodeIsSavedAndPutBack) {
  const Directory directory;
  const std::string key = directory / "relay.key", file = directory / "q.toml";
  const std::string id = field(run({"keygen", key, "--json"}).out, "id");
  std::ofstream(file) << "identity = \"" << key << "\"\nshards = 1\n[api]\nsocket = \""
                      << directory / "s"
                      << "\"\n";
  {
    Process node({"node", "--config", file, "--log.level", "error"});
    ASSERT_THAT(node.line(), HasSubstr("\"ready\":true"));
    node.signal(SIGTERM);  // writes its state
    EXPECT_EQ(node.wait().exit, 0);
  }
  const std::string copy = directory / "copy";
  const Ran saved = run({"backup", file, copy});
  EXPECT_EQ(saved.exit, 0) << saved.err;
  EXPECT_THAT(saved.out, StartsWith("saved " + id + ": identity"));
  EXPECT_EQ(std::filesystem::status(copy).permissions(), std::filesystem::perms::owner_all);
  EXPECT_EQ(run({"backup", file, copy}).exit, 6) << "another time into the same";
  EXPECT_EQ(run({"restore", file, copy}).exit, 6) << "over what is there";
  std::filesystem::rename(key, directory / "away");
  std::filesystem::rename(key + ".state", directory / "away.state");
  const Ran back = run({"restore", file, copy});
  EXPECT_EQ(back.exit, 0) << back.err;
  EXPECT_THAT(back.out, StartsWith("restored " + id + ": identity"));
  EXPECT_EQ(run({"id", key}).out, id + "\n");
}

/// A node with one of each: what a backup may not leave out, and what nobody may slip in.
class Copies : public ::testing::Test {
 protected:
  Copies() {
    EXPECT_EQ(run({"keygen", key}).exit, 0);
    std::ofstream(file) << "identity = \"" << key << "\"\nshards = 1\n[api]\nsocket = \""
                        << directory / "s"
                        << "\"\n[[receiver]]\nname = \"home\"\n";
    Process node({"node", "--config", file, "--log.level", "error"});
    EXPECT_THAT(node.line(), HasSubstr("\"ready\":true"));
    const std::string socket = directory / "s", id(52, 'a');
    // Not among the arguments, which others see.
    EXPECT_EQ(run({"contact", "add", "bob", "-", "--socket", socket}, " " + id + "\n").exit, 0);
    EXPECT_EQ(run({"contact", "add", "eve", "-", "--socket", socket}, "qudag1:x").exit, 2);
    node.signal(SIGTERM);
    EXPECT_EQ(node.wait().exit, 0);
  }
  void move_away() const {
    std::filesystem::remove_all(directory / "away");
    std::filesystem::create_directory(directory / "away");
    if (std::filesystem::exists(key)) std::filesystem::rename(key, directory / "away/key");
    if (std::filesystem::exists(state)) std::filesystem::rename(state, directory / "away/state");
  }
  static std::string content(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  Directory directory;
  const std::string key = directory / "q.key", state = key + ".state", file = directory / "q.toml",
                    copy = directory / "copy";
};

TEST_F(Copies, HaveReceiversAndContactsToo) {
  const Ran saved = run({"backup", file, copy});
  EXPECT_THAT(saved.out, AllOf(HasSubstr(": identity, "), EndsWith("receiver-home, contacts\n")));
  move_away();
  const Ran back = run({"restore", file, copy});
  EXPECT_EQ(back.exit, 0) << back.err;
  for (const std::string name : {"receiver-home", "contacts"}) {
    EXPECT_NE(content(state + "/" + name), "") << name;
    EXPECT_EQ(content(state + "/" + name), content(directory / "away/state/" + name)) << name;
    EXPECT_EQ(std::filesystem::status(state + "/" + name).permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
}

/// Nothing is put back of one that is damaged, and nothing is written over.
TEST_F(Copies, AreWholeOrNothing) {
  ASSERT_EQ(run({"backup", file, copy}).exit, 0);
  move_away();
  const std::string good = content(copy + "/receiver-home");
  for (const std::size_t length : {std::size_t{0}, std::size_t{40}, good.size() - 1}) {
    std::ofstream(copy + "/receiver-home") << good.substr(0, length);
    EXPECT_NE(run({"restore", file, copy}).exit, 0) << length;
    EXPECT_FALSE(std::filesystem::exists(key));
    EXPECT_FALSE(std::filesystem::exists(state + "/contacts"));
  }
  std::filesystem::remove(copy + "/receiver-home");
  std::filesystem::create_symlink(directory / "away/key", copy + "/receiver-home");
  EXPECT_NE(run({"restore", file, copy}).exit, 0) << "what it leads to is somebody else's";
  std::filesystem::remove(copy + "/receiver-home");
  std::filesystem::create_directory(state);
  std::filesystem::permissions(state, std::filesystem::perms::owner_all);
  std::filesystem::create_symlink(directory / "elsewhere", state + "/contacts");
  EXPECT_EQ(run({"restore", file, copy}).exit, 6);
  EXPECT_FALSE(std::filesystem::exists(key));
  std::filesystem::remove(state + "/contacts");
  EXPECT_EQ(run({"restore", file, copy}).exit, 0);
}

TEST_F(Copies, ThatCannotBeFinishedLeaveNothing) {
  std::ofstream(state + "/receiver-home") << "cut off";
  const Ran saved = run({"backup", file, copy});
  EXPECT_NE(saved.exit, 0);
  EXPECT_THAT(saved.err, HasSubstr("receiver-home"));
  EXPECT_FALSE(std::filesystem::exists(copy));
}

}  // namespace
}  // namespace qudag::app::test
