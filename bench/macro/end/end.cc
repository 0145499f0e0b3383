#include "end/end.h"

#include "end/end_pipes.h"

#include "common/interrupt.h"

#include "base/bytes.h"

#include <qudag/node.h>

#include <unistd.h>

#include <atomic>

namespace qudag::app::bench {

Options end_options(unsigned shards, std::vector<PeerAddress> bootstrap) {
  Options options;
  options.shards = shards;
  options.relay = false;  // neither end relays for the other
  options.bootstrap = std::move(bootstrap);
  options.gossip_interval = std::chrono::seconds(1);
  options.log_level = LogLevel::warn;
  options.limits.memory = std::uint64_t{1} << 30;  // four bulk messages at once, at both ends
  return options;
}

Exit run_end(const EndArgs& args) {
  Interrupt interrupt;
  std::vector<PeerAddress> bootstrap;
  if (!args.bootstrap.empty()) {
    const auto at = PeerAddress::parse(args.bootstrap);
    if (!at) return report(at.error(), false);
    bootstrap = {*at};
  }
  Options options = end_options(args.shards, std::move(bootstrap));
  if (args.memory > 0) options.limits.memory = args.memory;
  EndPipes pipes;  // outlives the node
  auto node = Node::start(std::move(options));
  if (!node) return report(node.error(), false);
  std::atomic<std::uint64_t> count{0};
  (*node)->on_message([&node = **node, &count](Message&& message) {
    const std::byte kind = message.payload.size() > 0 ? message.payload.piece(0)[0] : std::byte{0};
    if (kind == kEcho && message.reply_to) {
      (void)node.reply(*message.reply_to, std::move(message.payload),
                       {.ttl = std::chrono::seconds(30)}, {});
    } else if (kind == kCount && message.reply_to) {
      std::byte text[8];
      ByteWriter(text).u64(count.load());
      (void)node.reply(*message.reply_to, std::span<const std::byte>(text),
                       {.ttl = std::chrono::seconds(30)}, {});
    } else {
      count.fetch_add(1, std::memory_order_relaxed);
    }
    return Accept::taken;
  });
  (*node)->on_pipe([&pipes](PipeOffer&& offer) { pipes.serve(std::move(offer)); });
  const std::string line = (*node)->id().to_string() + "@" + (*node)->address().to_string() + "\n";
  if (::write(args.ready_fd, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    return report(Error(Errc::io_error, "--ready-fd"), false);
  }
  interrupt.wait(std::chrono::milliseconds(-1));
  (*node)->stop(std::chrono::milliseconds(100));
  return Exit::ok;
}

}  // namespace qudag::app::bench
