// run: alone
// How a program that embeds a node is tested: against a network of real nodes in this process. No
// fixed ports, nothing on disk.
#include <qudag/testing/network.h>

#include <cstdio>

namespace {

/// What is to be tested: a program's own code over a node that it was given.
qudag::Result<std::size_t> ask(qudag::Node& node, const qudag::NodeId& server) {
  const auto question = std::as_bytes(std::span("how are you?"));
  auto answer = node.request(server, question, {}, std::chrono::seconds(30)).get();
  if (!answer) return std::unexpected(answer.error());
  return answer->payload.size();
}

int failed(const qudag::Error& error) {
  return std::fprintf(stderr, "%s\n", error.message().c_str()), 1;
}

}  // namespace

int main() {
  auto network = qudag::testing::Network::start();
  if (!network) return failed(network.error());
  qudag::Node& server = (**network)[0];
  server.on_message([&server](qudag::Message&& message) {
    if (message.reply_to) {
      (void)server.reply(*message.reply_to, std::as_bytes(std::span("well")), {}, {});
    }
    return qudag::Accept::taken;
  });

  auto mine = qudag::Node::start((*network)->guest());
  if (!mine) return failed(mine.error());
  if (auto ready = (*network)->wait_for(**mine, std::chrono::seconds(30)); !ready) {
    return failed(ready.error());
  }
  const auto bytes = ask(**mine, server.id());
  if (!bytes) return failed(bytes.error());
  std::printf("an answer of %zu bytes, through three relays\n", *bytes);
  return *bytes == sizeof("well") ? 0 : 1;
}
