// Walks every queue, pool and table of a running node: none without a bound, none beyond it, and
// docs/reference/limits.md names them all.
#include <qudag/node.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <thread>

namespace qudag {
namespace {

using namespace std::chrono_literals;

/// Two nodes of two shards, with a circuit between them and messages of every priority delivered.
class Bounds : public ::testing::Test {
 protected:
  void SetUp() override {
    for (std::size_t i = 0; i < 2; ++i) {
      Options options;
      options.shards = 2;
      options.log_level = LogLevel::off;
      options.gossip_interval = 1s;
      if (i == 0) {  // with all that a disk is for
        options.inbox.dir = directory_ / "inbox";
        options.state_dir = directory_ / "state";
        options.keeper = true;
      }
      if (i > 0) options.bootstrap = {{.id = nodes_[0]->id(), .at = nodes_[0]->address()}};
      auto node = Node::start(options);
      ASSERT_TRUE(node.has_value()) << node.error().message();
      nodes_.push_back(std::move(*node));
    }
    for (auto& node : nodes_) {
      while (node->status().get().nodes_known < 2) std::this_thread::yield();
    }
    nodes_[0]->on_message([](Message&&) { return Accept::taken; });
    std::vector<std::future<Delivery>> sent;
    for (unsigned i = 0; i < 300; ++i) {
      const std::vector<std::byte> payload(1'000);
      sent.push_back(
          nodes_[1]->send(nodes_[0]->id(), payload,
                          {.priority = static_cast<Priority>(i % kPriorityCount), .relays = 0}));
    }
    for (auto& one : sent) ASSERT_EQ(one.get().outcome, Outcome::delivered);
  }

  Bounds() {
    std::string name = (std::filesystem::temp_directory_path() / "qudag-bounds-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~Bounds() override {
    nodes_.clear();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  std::filesystem::path directory_;
  std::vector<std::unique_ptr<Node>> nodes_;
};

std::string name_of(const QueueStatus& row) {
  return row.name + (row.level.empty() ? "" : " / " + row.level);
}

TEST_F(Bounds, EverythingHasABoundAndKeepsIt) {
  for (const auto& node : nodes_) {
    const std::vector<QueueStatus> rows = node->queues().get();
    EXPECT_GT(rows.size(), 40u);
    for (const QueueStatus& row : rows) {
      SCOPED_TRACE(name_of(row));
      EXPECT_FALSE(row.when_full.empty());
      EXPECT_TRUE(row.items_max > 0 || row.bytes_max > 0) << "no bound";
      if (row.items_max > 0) {
        EXPECT_LE(row.items, row.items_max);
      }
      if (row.bytes_max > 0) {
        EXPECT_LE(row.bytes, row.bytes_max);
      }
      if (row.kind == QueueKind::queue) {
        EXPECT_GT(row.items_max, 0u) << "a queue is bounded in items";
      }
      if (row.age_max > 0ns) {
        EXPECT_LE(row.oldest, row.age_max);
      }
    }
  }
}

TEST_F(Bounds, QueuesKeepBooks) {
  const std::vector<QueueStatus> rows = nodes_[1]->queues().get();
  const auto through = [&](std::string_view name) {
    std::uint64_t left = 0;
    for (const QueueStatus& row : rows) left += row.name == name ? row.left : 0;
    return left;
  };
  EXPECT_EQ(through("messages to a shard"), 300u);
  EXPECT_EQ(through("messages to be sent"), 300u);
  EXPECT_GT(through("tasks of a loop"), 0u);
  EXPECT_GT(through("work for the worker pool"), 0u);
  const auto high = std::find_if(rows.begin(), rows.end(), [](const QueueStatus& row) {
    return row.name == "messages to be sent" && row.level == "high" && row.entered > 0;
  });
  ASSERT_NE(high, rows.end());
  EXPECT_EQ(high->items_max, 10'000u) << "of both shards together";
  EXPECT_EQ(high->bytes_max, std::uint64_t{64} << 20) << "room for the largest message";
  EXPECT_EQ(high->age_max, 24h);
  EXPECT_GT(high->waited_max, 0ns);
  EXPECT_TRUE(high->drops.empty());

  std::set<std::string> metrics;
  for (const MetricSample& sample : nodes_[1]->metrics().get()) {
    metrics.insert(sample.name + "{" + sample.labels + "}");
  }
  EXPECT_TRUE(metrics.contains("qudag_queue_items{queue=\"messages to be sent\",level=\"low\"}"));
  EXPECT_TRUE(metrics.contains(
      "qudag_queue_drops_total{queue=\"messages to a shard\",level=\"\",reason=\"items_full\"}"));
}

TEST_F(Bounds, TheDocumentNamesThemAll) {
  std::ifstream file(std::string(QUDAG_TEST_DATA) + "/../../docs/reference/limits.md");
  std::stringstream text;
  text << file.rdbuf();
  std::set<std::string> documented, reported, of_the_node;
  bool in_section = false;
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("## ")) in_section = line == "## Queues, pools and tables";
    if (!in_section || !line.starts_with("| ") || line.starts_with("| name ")) continue;
    const std::string name = line.substr(2, line.find(" |", 2) - 2);
    documented.insert(name);
    if (line.find(" | node | ") != std::string::npos) of_the_node.insert(name);
  }
  std::set<std::string> once;
  for (const QueueStatus& row : nodes_[0]->queues().get()) {
    reported.insert(row.name);
    if (!of_the_node.contains(row.name)) continue;
    EXPECT_TRUE(once.insert(name_of(row)).second) << name_of(row) << " is told by each shard";
  }
  // The local API adds its own; there is none here.
  for (const char* of_the_api :
       {"messages to clients", "connections of the API", "connections of watchers",
        "connections of the web page", "messages of clients, under way",
        "messages in hand without a client"}) {
    EXPECT_EQ(documented.erase(of_the_api), 1u) << of_the_api;
  }
  EXPECT_EQ(documented, reported);
}

}  // namespace
}  // namespace qudag
