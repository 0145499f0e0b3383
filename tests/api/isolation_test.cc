// What programs send over different connections shares no circuit, unless they name one tag.
#include "two_nodes.h"

#include <algorithm>

namespace qudag::api::test {
namespace {

class Isolation : public TwoNodes {
 protected:
  void SetUp() override {
    TwoNodes::SetUp();
    b_.node->on_message([](Message&&) { return Accept::taken; });
  }
  /// Circuits that a has built.
  std::size_t circuits() {
    return static_cast<std::size_t>(std::ranges::count_if(
        a_.node->circuits().get(),
        [](const CircuitStatus& one) { return one.role == CircuitRole::source; }));
  }
  SendOptions with(std::uint64_t tag, bool sign = false) {
    return {.ttl = std::chrono::seconds(20), .relays = 0, .isolation = tag, .sign = sign};
  }
  /// Over a new connection.
  void post(const SendOptions& options) {
    const std::vector<std::byte> payload(10);
    const auto sent = Client(a_.socket).send(b_.node->id(), payload, options);
    ASSERT_TRUE(sent);
    EXPECT_EQ(sent->outcome, Outcome::delivered) << sent->reason.message();
  }
};

TEST_F(Isolation, EveryConnectionHasATagOfItsOwn) {
  post(with(0));
  EXPECT_EQ(circuits(), 1u);
  post(with(0));
  EXPECT_EQ(circuits(), 2u);

  ClientLoop loop;
  std::size_t outcomes = 0;
  auto stream = StreamClient::open(loop, a_.socket, [&](const ServerRecord& record) {
    if (std::holds_alternative<OutcomeRecord>(record)) ++outcomes;
  });
  ASSERT_TRUE(stream);
  const std::vector<std::byte> payload(10);
  const auto send = [&](const SendOptions& options) {
    const std::size_t before = outcomes;
    ASSERT_TRUE((*stream)->send({.request = before,
                                 .destination = b_.node->id(),
                                 .options = options,
                                 .progress = false,
                                 .payload = payload}));
    ASSERT_TRUE(loop.run_until([&] { return outcomes > before; }, std::chrono::seconds(20)));
  };
  send(with(0));
  EXPECT_EQ(circuits(), 3u);
  send(with(0));
  EXPECT_EQ(circuits(), 3u) << "one connection, one tag";
  send(with(0, true));
  EXPECT_EQ(circuits(), 4u) << "signed ones have circuits of their own";
  send(with(7));
  EXPECT_EQ(circuits(), 5u);
  post(with(7));
  EXPECT_EQ(circuits(), 5u) << "named over two connections";
}

}  // namespace
}  // namespace qudag::api::test
