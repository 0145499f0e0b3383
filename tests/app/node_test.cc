// Node processes: ready, send and receive, ports in use, orderly stop; and that a test network
// leaves nothing behind.
#include "run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

namespace qudag::app::test {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

std::string field(const std::string& json, const std::string& name) {
  const std::string key = "\"" + name + "\":\"";
  const std::size_t at = json.find(key);
  if (at == std::string::npos) return {};
  const std::size_t begin = at + key.size();
  return json.substr(begin, json.find('"', begin) - begin);
}

std::vector<std::string> node_arguments(const std::string& socket,
                                        const std::string& shards = "1") {
  return {"node",  "--api.socket",      socket, "--shards", shards, "--log.level",
          "error", "--gossip_interval", "1s"};
}

TEST(Node, TellsWhenReadyAndStopsOnSigterm) {
  const Directory directory;
  Process node(node_arguments(directory / "s"));
  const std::string ready = node.line();
  EXPECT_THAT(ready, HasSubstr("\"ready\":true"));
  EXPECT_THAT(field(ready, "id"), MatchesRegex("[a-z2-7]{52}"));
  EXPECT_THAT(field(ready, "address"), MatchesRegex("127\\.0\\.0\\.1:[0-9]+"));
  const Ran status = run({"status", "--json", "--socket", directory / "s"});
  EXPECT_EQ(status.exit, 0);
  EXPECT_EQ(field(status.out, "id"), field(ready, "id"));
  EXPECT_THAT(status.out, HasSubstr("\"clock_off_s\":null"));
  EXPECT_THAT(
      run({"status", "--socket", directory / "s"}).out,
      AllOf(HasSubstr("\nclock      unknown yet\n"), HasSubstr("\nreachable  unknown yet\n")));
  node.signal(SIGTERM);
  const Ran ended = node.wait();
  EXPECT_EQ(ended.exit, 0) << ended.err;
  EXPECT_FALSE(std::filesystem::exists(directory / "s"));
}

TEST(Node, ALogWhoseReaderHasGoneDoesNotEndIt) {
  const Directory directory;
  Process node({"node", "--api.socket", directory / "s", "--shards", "1", "--log.level", "trace"});
  ASSERT_THAT(node.line(), HasSubstr("\"ready\":true"));
  node.close_err();
  Process other({"node", "--api.socket", directory / "t", "--log.level", "trace"});
  other.close_err();  // before its first line, perhaps
  ASSERT_THAT(other.line(), HasSubstr("\"ready\":true"));
  EXPECT_EQ(run({"status", "--socket", directory / "s"}).exit, 0);
  for (Process* one : {&node, &other}) {
    one->signal(SIGTERM);
    EXPECT_EQ(one->wait().exit, 0);
  }
}

TEST(Node, WhatWasIgnoredWhenItStartedStaysIgnored) {
  const Directory directory;
  const auto before = std::signal(SIGHUP, SIG_IGN);  // as nohup does
  Process node(node_arguments(directory / "s"));
  std::signal(SIGHUP, before);
  ASSERT_THAT(node.line(), HasSubstr("\"ready\":true"));
  node.signal(SIGHUP);
  EXPECT_EQ(run({"status", "--socket", directory / "s"}).exit, 0);
  EXPECT_EQ(run({"status", "--socket", directory / "s"}).exit, 0);
  node.signal(SIGTERM);
  EXPECT_EQ(node.wait().exit, 0);
}

TEST(Node, PortAndSocketInUseAreSaid) {
  const Directory directory;
  // Shards share a port with each other, which must not let another node in.
  for (const std::string shards : {"1", "2"}) {
    Process node(node_arguments(directory / "s", shards));
    auto other = node_arguments(directory / "t", shards);
    other.insert(other.end(), {"--listen", field(node.line(), "address")});
    const Ran port = run(other);
    EXPECT_EQ(port.exit, 6) << shards;
    EXPECT_THAT(port.err, HasSubstr("address_in_use")) << shards;
    node.signal(SIGTERM);
    EXPECT_EQ(node.wait().exit, 0);
  }
  Process node(node_arguments(directory / "s"));
  static_cast<void>(node.line());
  const Ran socket = run(node_arguments(directory / "s"));
  EXPECT_EQ(socket.exit, 6);
  EXPECT_THAT(socket.err, HasSubstr("another node listens on this socket"));
}

TEST(Node, WaitsUntilItHasJoinedOrSaysWhyItHasNot) {
  const Directory directory;
  auto alone = node_arguments(directory / "alone");
  alone.insert(alone.end(), {"--wait-joined", "300ms"});
  const Ran ended = run(alone);
  EXPECT_EQ(ended.exit, 4);
  EXPECT_THAT(ended.err, HasSubstr("not joined: no link is ready: there is no bootstrap entry"));
  EXPECT_EQ(ended.out, "");

  Process first(node_arguments(directory / "0"));
  const std::string ready = first.line();
  const std::string entry = field(ready, "id") + "@" + field(ready, "address");
  std::vector<std::unique_ptr<Process>> others;
  for (int i = 1; i < 5; ++i) {
    auto arguments = node_arguments(directory / std::to_string(i).c_str());
    arguments.insert(arguments.end(), {"--bootstrap", entry, "--wait-joined", "20s"});
    others.push_back(std::make_unique<Process>(arguments));
  }
  for (const auto& node : others) EXPECT_THAT(node->line(), HasSubstr("\"ready\":true"));
  EXPECT_THAT(run({"status", "--json", "--socket", directory / "4"}).out,
              HasSubstr("\"joined\":true"));
}

// `kill -9` and a node that starts again; and a second one beside it.
TEST(Node, KeepsItsStateBesideItsIdentityAndSharesItWithNobody) {
  const Directory directory;
  const std::string identity = directory / "id";
  ASSERT_EQ(run({"keygen", identity}).exit, 0);
  auto arguments = node_arguments(directory / "s");
  arguments.insert(arguments.end(), {"--identity", identity});
  for (int i = 0; i < 2; ++i) {
    Process node(arguments);
    ASSERT_THAT(node.line(), HasSubstr("\"ready\":true"));
    const auto mode = std::filesystem::status(identity + ".state").permissions();
    EXPECT_EQ(mode, std::filesystem::perms::owner_all);
    auto beside = node_arguments(directory / "t");
    beside.insert(beside.end(), {"--identity", identity});
    const Ran second = run(beside);
    EXPECT_NE(second.exit, 0);
    EXPECT_THAT(second.err, HasSubstr("is in use by another process"));
    node.signal(SIGKILL);
    static_cast<void>(node.wait());
  }
  // Elsewhere, or nowhere.
  arguments.insert(arguments.end(), {"--state.dir", "none"});
  Process node(arguments);
  ASSERT_THAT(node.line(), HasSubstr("\"ready\":true"));
  node.signal(SIGTERM);
  EXPECT_EQ(node.wait().exit, 0);
}

class Pair : public ::testing::Test {
 protected:
  void SetUp() override {
    a_ = std::make_unique<Process>(node_arguments(directory_ / "a"));
    const std::string ready = a_->line();
    auto arguments = node_arguments(directory_ / "b");
    arguments.insert(arguments.end(),
                     {"--bootstrap", field(ready, "id") + "@" + field(ready, "address")});
    b_ = std::make_unique<Process>(arguments);
    b_id_ = field(b_->line(), "id");
    // Until a knows b; each question is a process of its own, so this does not spin hot.
    for (int i = 0; i < 500; ++i) {
      if (run({"status", "--json", "--socket", directory_ / "a"}).out.find("\"nodes_known\":2") !=
          std::string::npos) {
        return;
      }
    }
    FAIL() << "the nodes do not find each other";
  }

  Ran send(const std::string& text) {
    return run({"send", b_id_, "--relays", "0", "--json", "--socket", directory_ / "a"}, text);
  }

  Directory directory_;
  std::unique_ptr<Process> a_;
  std::unique_ptr<Process> b_;
  std::string b_id_;
};

TEST_F(Pair, StandardInputArrivesOnStandardOutput) {
  Process receiver({"recv", "--count", "1", "--timeout", "60s", "--socket", directory_ / "b"});
  Ran sent;
  for (int i = 0; i < 500; ++i) {  // refused until the receiver has subscribed
    sent = send("hello, world");
    if (sent.exit != 3) break;
  }
  EXPECT_EQ(sent.exit, 0) << sent.err;
  EXPECT_THAT(sent.out, HasSubstr("\"outcome\":\"delivered\""));
  EXPECT_THAT(field(sent.out, "id"), MatchesRegex("[0-9a-f]{32}"));
  const Ran received = receiver.wait();
  EXPECT_EQ(received.exit, 0) << received.err;
  EXPECT_EQ(received.out, "hello, world");
}

TEST_F(Pair, AChannelHasItsOwnReceiver) {
  Process receiver({"recv", "--channel", "7", "--count", "1", "--json", "--timeout", "60s",
                    "--socket", directory_ / "b"});
  const std::string file = directory_ / "in";
  std::ofstream(file) << "for seven";
  const auto send_to = [&](const char* channel) {
    return run(
        {"send", b_id_, file, "--relays", "0", "--channel", channel, "--socket", directory_ / "a"});
  };
  Ran sent;
  for (int i = 0; i < 500; ++i) {  // refused until the receiver has subscribed
    EXPECT_EQ(send_to("8").exit, 3);
    sent = send_to("7");
    if (sent.exit != 3) break;
  }
  EXPECT_EQ(sent.exit, 0) << sent.err;
  const Ran received = receiver.wait();
  EXPECT_EQ(received.exit, 0) << received.err;
  EXPECT_THAT(received.out, HasSubstr("\"channel\":7"));
  EXPECT_THAT(sent.out, HasSubstr(", id " + field(received.out, "id") + "\n"));
}

TEST_F(Pair, FilesArriveInADirectoryAsJsonSays) {
  const std::string file = directory_ / "in";
  const std::string content(300'000, 'q');
  std::ofstream(file) << content;
  std::filesystem::create_directory(directory_ / "out");
  Process receiver({"recv", "--dir", directory_ / "out", "--count", "1", "--json", "--timeout",
                    "60s", "--socket", directory_ / "b"});
  Ran sent;
  for (int i = 0; i < 500; ++i) {
    sent = run(
        {"send", b_id_, file, "--relays", "0", "--priority", "low", "--socket", directory_ / "a"});
    if (sent.exit != 3) break;
  }
  EXPECT_EQ(sent.exit, 0) << sent.err;
  const Ran received = receiver.wait();
  EXPECT_EQ(received.exit, 0) << received.err;
  EXPECT_THAT(received.out, HasSubstr("\"bytes\":300000"));
  std::ifstream in(std::filesystem::path(directory_ / "out") / field(received.out, "file"));
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), content);
}

TEST_F(Pair, OutcomesHaveExitCodes) {
  EXPECT_EQ(send("nobody listens").exit, 3);
  const Ran unknown = run({"send", std::string(52, 'a'), "--socket", directory_ / "a"}, "x");
  EXPECT_EQ(unknown.exit, 4);
  EXPECT_THAT(unknown.err, HasSubstr("unknown_destination"));
  const Ran silent =
      run({"recv", "--count", "1", "--timeout", "10ms", "--socket", directory_ / "b"});
  EXPECT_EQ(silent.exit, 4);
  EXPECT_THAT(silent.err, HasSubstr("timed_out"));
}

TEST(Testnet, CtrlCLeavesNothingBehind) {
  const Directory directory;
  ::setenv("TMPDIR", directory.path().c_str(), 1);
  Process net({"testnet", "run", "-n", "3", "--json"});
  const std::string listing = net.line();
  ::unsetenv("TMPDIR");
  EXPECT_THAT(listing, HasSubstr("\"nodes\":["));
  const std::string pid = listing.substr(listing.find("\"pid\":") + 6);
  const int first = std::stoi(pid);
  EXPECT_EQ(::kill(first, 0), 0);
  net.signal(SIGINT);
  EXPECT_EQ(net.wait().exit, 0);
  EXPECT_NE(::kill(first, 0), 0);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(Testnet, InterruptedDemoLeavesNothingBehind) {
  const Directory directory;
  ::setenv("TMPDIR", directory.path().c_str(), 1);
  Process demo({"testnet", "demo", "--json", "--messages", "100000000", "--file-bytes", "1000"});
  ::unsetenv("TMPDIR");
  // It is under way when its directory holds the last node's socket.
  for (bool started = false; !started;) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory.path())) {
      started = started || entry.path().filename() == "5.sock";
    }
  }
  demo.signal(SIGINT);
  const Ran ended = demo.wait();
  EXPECT_EQ(ended.exit, 4) << ended.err;
  EXPECT_THAT(ended.err, HasSubstr("shutting_down"));
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

}  // namespace
}  // namespace qudag::app::test
