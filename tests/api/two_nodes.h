// Two real nodes in this process, each with a local API, joined over loopback with ports that the
// kernel chose. Waiting is for states, with a deadline; nothing sleeps.
#pragma once

#include "api/client/client.h"
#include "api/client/stream_client.h"
#include "api/server/server.h"

#include <qudag/node.h>

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

namespace qudag::api::test {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = ::testing::TempDir() + "qudag-api-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryDirectory() {
    std::error_code no_throw;
    std::filesystem::remove_all(path_, no_throw);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline bool wait_for(const std::function<bool()>& state,
                     std::chrono::seconds patience = std::chrono::seconds(20)) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!state()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

struct Place {
  std::unique_ptr<Node> node;
  std::unique_ptr<Server> server;
  std::filesystem::path socket;

  ~Place() {
    if (server) server->drain();
    if (node) node->stop(std::chrono::seconds(2));
    if (server) server->stop();
  }
};

inline Options quiet_options() {
  Options options;
  options.shards = 1;
  options.log_level = LogLevel::off;
  options.gossip_interval = std::chrono::seconds(1);
  return options;
}

/// `a` and `b` know each other when this returns.
class TwoNodes : public ::testing::Test {
 protected:
  void SetUp() override {
    start(a_, "a.sock", {});
    start(b_, "b.sock", {{a_.node->id(), a_.node->address()}});
    ASSERT_TRUE(wait_for([&] {
      return a_.node->status().get().nodes_known == 2 && b_.node->status().get().nodes_known == 2;
    }));
  }

  void start(Place& place, const char* name, std::vector<PeerAddress> bootstrap) {
    Options options = quiet_options();
    options.bootstrap = std::move(bootstrap);
    if (!options.bootstrap.empty()) options.inbox = inbox_;
    auto node = Node::start(options);
    ASSERT_TRUE(node) << node.error().message();
    place.node = std::move(*node);
    config::ApiOptions api = api_;
    api.socket = directory_.path() / name;
    auto server = Server::start(*place.node, api);
    ASSERT_TRUE(server) << server.error().message();
    place.server = std::move(*server);
    place.socket = api.socket;
  }

  static SendOptions direct() {
    SendOptions options;
    options.relays = 0;
    options.ttl = std::chrono::seconds(20);
    return options;
  }

  config::ApiOptions api_;  // of both
  InboxOptions inbox_;      // of b_
  TemporaryDirectory directory_;
  Place a_;
  Place b_;
};

/// Writes `text` to the socket as it is and reads until the server closes.
std::string raw_http(const std::filesystem::path& socket, std::string_view text);

}  // namespace qudag::api::test
