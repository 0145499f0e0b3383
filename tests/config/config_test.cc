// Configuration: what is accepted, and that a fault is told with file, line, column, key and
// remedy.
#include "config/file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace qudag::config {
namespace {

using namespace std::chrono_literals;

std::string fault(std::string_view text) {
  Settings settings;
  const Status status = apply_config(settings, text, "q.toml");
  if (status) return "accepted";
  EXPECT_EQ(status.error().code, Errc::config_invalid);
  return status.error().detail;
}

TEST(Config, SetsEveryKindOfValue) {
  const std::string id(52, 'a');
  Settings s;
  const Status status = apply_config(s,
                                     "identity = \"/k\"\n"
                                     "listen = \"[::1]:4433\"\n"
                                     "bootstrap = [\"" +
                                         id +
                                         "@127.0.0.1:1\"]\n"
                                         "relay = false\n"
                                         "gossip_interval = \"2s\"\n"
                                         "onion_key_lifetime = 3600\n"
                                         "[limits]\nmemory = \"1GiB\"\nlinks = 1_000\n"
                                         "[log]\nlevel = \"debug\"\n"
                                         "[api]\nmode = \"0660\"\nqueue_bytes = 1048576\n",
                                     "q.toml");
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_EQ(s.node.identity, "/k");
  EXPECT_EQ(s.node.listen.value().to_string(), "[::1]:4433");
  ASSERT_EQ(s.node.bootstrap.size(), 1u);
  EXPECT_EQ(s.node.bootstrap[0].at.port, 1);
  EXPECT_FALSE(s.node.relay);
  EXPECT_EQ(s.node.gossip_interval, 2s);
  EXPECT_EQ(s.node.onion_key_lifetime, 1h);
  EXPECT_EQ(s.node.limits.memory, std::uint64_t{1} << 30);
  EXPECT_EQ(s.node.limits.links, 1000u);
  EXPECT_EQ(s.node.log_level, LogLevel::debug);
  EXPECT_EQ(s.api.mode, 0660u);
  EXPECT_EQ(s.api.queue_bytes, std::uint64_t{1} << 20);
}

TEST(Config, DottedKeysMeanTheSameAsTables) {
  Settings s;
  ASSERT_TRUE(apply_config(s, "limits.links = 77\n", "q.toml"));
  EXPECT_EQ(s.node.limits.links, 77u);
}

TEST(Config, UnknownKeyNamesPlaceAndTheClosestKey) {
  EXPECT_EQ(fault("shards = 1\n\nbootstrp = []\n"),
            "q.toml:3:1: unknown key 'bootstrp'; did you mean 'bootstrap'?");
  EXPECT_EQ(fault("[limits]\nmemroy = \"1GiB\"\n"),
            "q.toml:2:1: unknown key 'limits.memroy'; did you mean 'limits.memory'?");
  EXPECT_EQ(fault("memory = 1\n"),
            "q.toml:1:1: unknown key 'memory'; did you mean 'limits.memory'?");
  EXPECT_EQ(fault("zzzzzzzz = 1\n"),
            "q.toml:1:1: unknown key 'zzzzzzzz'; docs/config.example.toml lists all keys");
}

TEST(Config, WrongValueNamesPlaceKeyAndWhatWouldBeRight) {
  EXPECT_EQ(fault("\nlisten = \"nowhere\"\n"),
            "q.toml:2:10: listen: must be \"auto\" or an address such as \"0.0.0.0:4433\" or "
            "\"[::]:4433\", "
            "not \"nowhere\"");
  EXPECT_EQ(
      fault("[limits]\nmemory = \"lots\"\n"),
      "q.toml:2:10: limits.memory: must be a size from 32MiB to 4TiB, such as \"512MiB\", not "
      "\"lots\"");
  EXPECT_EQ(
      fault("[limits]\nmemory = \"1MiB\"\n"),
      "q.toml:2:10: limits.memory: must be a size from 32MiB to 4TiB, such as \"512MiB\", not "
      "\"1MiB\"");
  EXPECT_EQ(fault("shards = 65\n"),
            "q.toml:1:10: shards: must be a whole number from 0 to 64, not \"65\"");
  EXPECT_EQ(fault("shards = -1\n"),
            "q.toml:1:10: shards: must be a whole number from 0 to 64, not \"-1\"");
  EXPECT_EQ(fault("relay = \"maybe\"\n"),
            "q.toml:1:9: relay: must be true or false, not the text \"maybe\"");
  EXPECT_EQ(fault("shards = 1.5\n"),
            "q.toml:1:10: shards: must be a whole number, not the number 1.5");
  EXPECT_EQ(fault("shards = [1]\n"), "q.toml:1:10: shards: must be a whole number, not a list");
  EXPECT_EQ(fault("limits = 5\n"),
            "q.toml:1:1: limits: must be a table of keys ([limits]), not the number 5");
  EXPECT_EQ(fault("[shards]\nx = 1\n"), "q.toml:1:1: shards: must be a whole number, not a table");
  EXPECT_EQ(
      fault("gossip_interval = \"2 weeks\"\n"),
      "q.toml:1:19: gossip_interval: must be a time from 1s to 1h, such as \"60s\" or \"3h\", "
      "not \"2 weeks\"");
  EXPECT_EQ(fault("bootstrap = [\"here\"]\n"),
            "q.toml:1:13: bootstrap: must be \"id@address:port\" or \"id@name:port\" with the "
            "52-character id of the node, "
            "not \"here\"");
  EXPECT_EQ(fault("[api]\nmode = \"0999\"\n"),
            "q.toml:2:8: api.mode: must be an octal file mode such as \"0600\" or \"0660\", not "
            "\"0999\"");
  EXPECT_EQ(fault("[log]\nlevel = \"loud\"\n").substr(0, 37),
            "q.toml:2:9: log.level: must be one of");
}

TEST(Config, NothingIsTakenForSomethingElse) {
  EXPECT_EQ(fault("known = 1\n"), "q.toml:1:9: known: must be true or false, not the number 1");
  EXPECT_EQ(fault("known = \"true\"\n"),
            "q.toml:1:9: known: must be true or false, not the text \"true\"");
  EXPECT_EQ(fault("shards = \"4\"\n"),
            "q.toml:1:10: shards: must be a whole number, not the text \"4\"");
  EXPECT_EQ(fault("limits.memory = true\n"),
            "q.toml:1:17: limits.memory: must be a size such as \"512MiB\", not true");
  EXPECT_EQ(fault("identity = 4\n"),
            "q.toml:1:12: identity: must be the path of a file made by `qudag keygen`, not the "
            "number 4");
  EXPECT_EQ(fault("publish = \"192.0.2.7:1\"\n"),
            "q.toml:1:11: publish: must be a list, each an address such as \"127.0.0.1:4433\" or "
            "\"[::1]:4433\", not the text \"192.0.2.7:1\"");
  EXPECT_EQ(
      fault("[api]\nmode = 600\n"),
      "q.toml:2:8: api.mode: must be an octal file mode such as \"0600\" or \"0660\", not the "
      "number 600");
}

TEST(Config, AnUnnamedPartFollowsTheWhole) {
  Settings s;
  ASSERT_TRUE(apply_config(s, "limits.links = 40\nlimits.warm_links = 50\n", "q.toml"));
  complete(s);
  EXPECT_EQ(s.node.limits.half_open, 40u);
  EXPECT_EQ(s.node.limits.warm_links, 50u) << "what was named is validate()'s to refuse";
}

TEST(Config, TextOfSettingsReadsBackAsTheSame) {
  Settings s;
  s.node.identity = "a \"b\" \n c";
  s.node.limits.links = 77;
  Settings back;
  const Status status = apply_config(back, config_text(s), "q.toml");
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_EQ(back.node.identity, s.node.identity);
  EXPECT_EQ(back.node.limits.links, 77u);
}

TEST(Config, BrokenTomlNamesThePlace) {
  EXPECT_EQ(fault("shards = \n").substr(0, 9), "q.toml:1:");
  EXPECT_EQ(fault("shards = 1\nshards = 2\n").substr(0, 9), "q.toml:2:");
}

TEST(Config, FlagsHaveTheSameNamesAndMessages) {
  Settings s;
  ASSERT_TRUE(apply_flag(s, "limits.memory", {"128MiB"}));
  EXPECT_EQ(s.node.limits.memory, std::uint64_t{128} << 20);
  const Status wrong = apply_flag(s, "shards", {"many"});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Errc::config_invalid);
  EXPECT_EQ(wrong.error().detail, "--shards: must be a whole number from 0 to 64, not \"many\"");
}

TEST(Config, MissingFileIsNotFound) {
  Settings s;
  const Status status = load_config(s, "/nowhere/q.toml");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::not_found);
}

TEST(Config, ExampleFileIsTheTableOfKeys) {
  std::ifstream in(QUDAG_TEST_DATA "/../../docs/config.example.toml");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(text, example_config()) << "regenerate: qudag node --print-config";
}

TEST(Config, ExampleHasEveryKeyAndChangesNothing) {
  Settings s;
  const std::string example = example_config();
  const Status status = apply_config(s, example, "example");
  ASSERT_TRUE(status) << status.error().message();
  const Settings defaults;
  for (const Key& key : config_keys()) {
    EXPECT_EQ(key.show(s), key.show(defaults)) << key.name;
    const std::string last(key.name.substr(key.name.rfind('.') + 1));
    EXPECT_NE(example.find("\n" + last + " = "), std::string::npos) << key.name;
  }
}

}  // namespace
}  // namespace qudag::config
