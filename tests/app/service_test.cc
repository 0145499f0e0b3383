// What a service manager hears of a node, over both kinds of sockets.
#include "run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace qudag::app::test {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

/// The manager's end.
class Manager {
 public:
  /// `name`: a path, or `@` and an abstract name.
  explicit Manager(const std::string& name) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::memcpy(at.sun_path, name.data(), name.size());
    if (name[0] == '@') at.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    EXPECT_EQ(::bind(fd_, static_cast<sockaddr*>(static_cast<void*>(&at)), length), 0);
    const timeval patience{20, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }
  ~Manager() {
    ::unsetenv("NOTIFY_SOCKET");
    ::unsetenv("WATCHDOG_USEC");
    ::close(fd_);
  }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  std::string next() const {
    char text[512];
    const ssize_t n = ::recv(fd_, text, sizeof text, 0);
    return n > 0 ? std::string(text, static_cast<std::size_t>(n)) : "nothing";
  }

 private:
  int fd_;
};

void expect_told(const std::string& name) {
  SCOPED_TRACE(name);
  const Directory directory;
  const Manager manager(name[0] == '@' ? name : directory / "notify");
  ::setenv("WATCHDOG_USEC", "200000", 1);
  Process node({"node", "--api.socket", directory / "s", "--shards", "1"});
  EXPECT_EQ(manager.next(), "READY=1");
  EXPECT_EQ(manager.next(), "WATCHDOG=1");
  EXPECT_EQ(manager.next(), "WATCHDOG=1");
  node.signal(SIGTERM);
  std::string told = manager.next();
  while (told == "WATCHDOG=1") told = manager.next();
  EXPECT_THAT(told, StartsWith("STOPPING=1\nEXTEND_TIMEOUT_USEC=10000000"));
  EXPECT_EQ(node.wait().exit, 0);
}

TEST(Service, TheManagerHearsReadyAliveAndStopping) {
  expect_told("path");
  expect_told("@qudag-test-" + std::to_string(::getpid()));
}

TEST(Service, AHangupReadsTheFileAgainAndEndsNothing) {
  const Directory directory;
  const Manager manager(directory / "notify");
  const std::string file = directory / "q.toml",
                    begin = "shards = 1\napi.socket = \"" + (directory / "s") + "\"\n";
  std::ofstream(file) << begin;
  Process node({"node", "--config", file});
  EXPECT_EQ(manager.next(), "READY=1");
  const auto hang_up = [&](const std::string& text) {
    std::ofstream(file) << begin << text;
    node.signal(SIGHUP);
    EXPECT_THAT(manager.next(), StartsWith("RELOADING=1\nMONOTONIC_USEC="));
    EXPECT_EQ(manager.next(), "READY=1");
  };
  hang_up("limits.memory = \"secret\"\n");
  hang_up("limits.memory = \"64MiB\"\n");
  hang_up("log.level = \"error\"\n");  // and is not said
  node.signal(SIGTERM);
  const Ran ended = node.wait();
  EXPECT_EQ(ended.exit, 0);
  EXPECT_THAT(ended.err, HasSubstr(" error configuration: nothing is changed, because the file is "
                                   "wrong ([scrubbed]): qudag check-config says where\n"));
  EXPECT_THAT(ended.err, HasSubstr(" info configuration read again: nothing changed; limits.memory "
                                   "would take effect at the next start\n"));
  EXPECT_THAT(ended.err, Not(HasSubstr("secret")));
  EXPECT_THAT(ended.err, Not(HasSubstr("log.level changed")));
}

TEST(Service, ALogForMachines) {
  const Directory directory;
  for (const std::string format : {"json", "journal", "text", "auto"}) {
    Process node(
        {"node", "--api.socket", directory / "s", "--shards", "1", "--log.format", format});
    static_cast<void>(node.line());
    node.signal(SIGTERM);
    const std::string log = node.wait().err;
    const std::string last = log.substr(log.rfind('\n', log.size() - 2) + 1);
    if (format == "json") {
      EXPECT_THAT(last, MatchesRegex("\\{\"time\":\"20[-0-9T:.]*Z\",\"level\":\"info\",\"message\":"
                                     "\"node \\[scrubbed\\] has stopped\"\\}\n"));
    } else if (format == "journal") {
      EXPECT_EQ(last, "<6>node [scrubbed] has stopped\n");
    } else {
      EXPECT_THAT(last, MatchesRegex("20[-0-9T:.]*Z info node \\[scrubbed\\] has stopped\n"));
    }
  }
}

TEST(Service, TheReadyLineHasThePortOfTheMetrics) {
  const Directory directory;
  Process node({"node", "--api.socket", directory / "s", "--shards", "1", "--metrics.listen",
                "127.0.0.1:0", "--api.monitor_socket", directory / "m"});
  EXPECT_THAT(node.line(), HasSubstr("\"metrics\":\"127.0.0.1:"));
  EXPECT_EQ(run({"status", "--socket", directory / "m"}).exit, 0);
  EXPECT_NE(run({"status", "--peers", "--socket", directory / "m"}).exit, 0);
  node.signal(SIGTERM);
  EXPECT_EQ(node.wait().exit, 0);
  EXPECT_FALSE(std::filesystem::exists(directory / "m"));
  EXPECT_THAT(run({"node", "--metrics.listen", "0.0.0.0:9100"}).err,
              HasSubstr("must be \"off\" or an address of loopback"));
}

}  // namespace
}  // namespace qudag::app::test
