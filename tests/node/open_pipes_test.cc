// Pipes that are opened while the node stops: each has its end, whenever that was.
#include <qudag/node.h>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace qudag {
namespace {

using namespace std::chrono_literals;

TEST(OpenPipes, EachIsClosedOnceThoughTheNodeStops) {
  for (int round = 0; round < 6; ++round) {
    Options options;
    options.shards = 1;
    options.log_level = LogLevel::off;
    auto node = Node::start(options);
    ASSERT_TRUE(node) << node.error().message();
    NodeId nobody;
    nobody.bytes.fill(std::byte{7});
    std::atomic<std::size_t> opened{0}, closed{0};
    std::vector<std::unique_ptr<Pipe>> pipes;
    std::thread program([&] {
      for (;;) {
        PipeEvents events;
        events.on_closed = [&closed](const PipeEnd&) { ++closed; };
        auto pipe = (*node)->open(nobody, "echo", {}, std::move(events));
        if (pipe) {
          pipes.push_back(std::move(*pipe));
          ++opened;
        } else if (pipe.error() == Errc::shutting_down) {
          return;
        }
      }
    });
    while (opened < 50) std::this_thread::yield();
    (*node)->stop(10ms);
    program.join();
    node->reset();
    EXPECT_EQ(closed, opened) << "round " << round;
  }
}

}  // namespace
}  // namespace qudag
