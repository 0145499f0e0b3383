// [[socks]], [services] and [names]: what is accepted, what a fault says, and that a printed file
// means the same.
#include "config/file.h"

#include <gtest/gtest.h>

namespace qudag::config {
namespace {

std::string fault(std::string_view text) {
  Settings settings;
  const Status status = apply_config(settings, text, "q.toml");
  if (status) return "accepted";
  EXPECT_EQ(status.error().code, Errc::config_invalid);
  return status.error().detail;
}

TEST(ConfigGateway, TablesListenersAndNames) {
  Settings s;
  const std::string id(52, 'a');
  const Status status = apply_config(s,
                                     "[[socks]]\nlisten = \"127.0.0.1:9250\"\n"
                                     "[[socks]]\nlisten = \"[::1]:1\"\npriority = \"low\"\n"
                                     "relays = 1\n"
                                     "[services]\nssh = \"localhost:22\"\n"
                                     "web = {to = \"unix:/run/web.sock\", pipes = 64}\n"
                                     "far = {to = \"192.0.2.1:80\", allow_remote = true}\n"
                                     "[names]\nalice = \"" +
                                         id + "\"\n",
                                     "q.toml");
  ASSERT_TRUE(status) << status.error().message();
  const GatewayOptions& g = s.gateway;
  ASSERT_EQ(g.socks.size(), 2u);
  EXPECT_EQ(g.socks[0].listen.to_string(), "127.0.0.1:9250");
  EXPECT_EQ(g.socks[1].priority, Priority::low);
  EXPECT_EQ(g.socks[1].relays, 1u);
  ASSERT_EQ(g.services.size(), 3u);
  EXPECT_EQ(g.services[0].name, "far");  // TOML tables have no order
  EXPECT_EQ(g.services[1].to.to_string(), "127.0.0.1:22");
  EXPECT_EQ(g.services[2].to.to_string(), "unix:/run/web.sock");
  EXPECT_EQ(g.services[2].pipes, 64u);
  EXPECT_EQ(g.names.at("alice").to_string(), id);

  Settings again;
  const std::string printed = config_text(s);
  const Status reread = apply_config(again, printed, "p.toml");
  ASSERT_TRUE(reread) << reread.error().message();
  EXPECT_EQ(config_text(again), printed);
}

TEST(ConfigGateway, FlagsHaveTheSameForm) {
  Settings s;
  ASSERT_TRUE(apply_flag(s, "socks", {"127.0.0.1:0,relays=0,priority=low"}));
  ASSERT_TRUE(apply_flag(s, "services", {"a=127.0.0.1:1", "b=127.0.0.1:2,pipes=3"}));
  EXPECT_EQ(s.gateway.socks.at(0).relays, 0u);
  EXPECT_EQ(s.gateway.services.at(1).pipes, 3u);
}

TEST(ConfigGateway, WhoeverReachesAPortUsesTheNodeSoItIsOfThisMachine) {
  EXPECT_NE(fault("[[socks]]\nlisten = \"unix:/s\"\n").find("an address of loopback such as"),
            std::string::npos);
  EXPECT_EQ(fault("[[socks]]\nlisten = \"0.0.0.0:9250\"\n").substr(0, 19), "q.toml:1:1: socks: ");
  EXPECT_NE(fault("[[socks]]\nlisten = \"192.0.2.1:9250\"\n").find("not of this machine"),
            std::string::npos);
  EXPECT_NE(fault("[services]\nssh = \"192.0.2.1:22\"\n").find("allow_remote=true allows that"),
            std::string::npos);
}

TEST(ConfigGateway, AFaultSaysTheKeyAndWhatWouldBeRight) {
  EXPECT_EQ(fault("services = 3"),
            "q.toml:1:12: services: must be a table ([services]), not the number 3");
  EXPECT_EQ(fault("[services]\nSSH = \"127.0.0.1:22\"\n"),
            "q.toml:1:1: services: the name of a service: must be 1 to 24 of a-z, 0-9 and '-', not "
            "\"SSH\"");
  EXPECT_NE(fault("[services]\nssh = \"example.org:22\"\n").find("ssh: must be an address such as"),
            std::string::npos);
  EXPECT_NE(fault("[services]\nssh = \"127.0.0.1:0\"\n").find("an address with a port"),
            std::string::npos);
  EXPECT_NE(fault("[services]\nssh = {to = \"127.0.0.1:1\", pipe = 1}\n")
                .find("has no 'pipe'; it has to, pipes, allow_remote"),
            std::string::npos);
  EXPECT_NE(fault("[services]\nssh = {pipes = 1}\n").find("must have the text 'to'"),
            std::string::npos);
  EXPECT_NE(fault("[services]\nssh = {to = \"127.0.0.1:1\", pipes = 9999}\n")
                .find("pipes: must be a whole number from 1 to 2048"),
            std::string::npos);
  EXPECT_NE(fault("[[socks]]\nlisten = \"127.0.0.1:1\"\npriority = \"high\"\n")
                .find("priority: must be normal or low"),
            std::string::npos);
  EXPECT_NE(fault("[services]\nweb = \"unix:run\"\n").find("web: must be an address"),
            std::string::npos);
  EXPECT_NE(fault("[names]\nalice = \"bob\"\n").find("alice: must be the 52-character id"),
            std::string::npos);
}

TEST(ConfigGateway, NothingIsSmuggledBehindAComma) {
  EXPECT_NE(fault("[services]\nssh = \"192.0.2.1:22,allow_remote=true\"\n").find("has no ','"),
            std::string::npos);
  EXPECT_NE(fault("[services]\n\"a=127.0.0.1:1,x\" = \"127.0.0.1:2\"\n").find("a name has no '='"),
            std::string::npos);
}

}  // namespace
}  // namespace qudag::config
