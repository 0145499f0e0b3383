// A destination that wants to know who sends to it, or which circuits are of one sender.
//
// Six honest nodes, a route of three relays, and a hostile node that is the destination of one of
// them. It answers on the anonymous circuit with something that it chose, then asks every node of
// the netmap the same thing directly: whoever answers otherwise than the rest is the sender.
#include "attack/arena.h"
#include "attack/rogue.h"
#include "wire/message_frames.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>

namespace qudag::attack {
namespace {

using namespace std::chrono_literals;
using wire::AckStatus;

class Unmasking : public ::testing::Test {
 protected:
  static constexpr std::size_t kNodes = 6;
  static constexpr std::size_t kSender = 4;

  struct Came {
    circuit::CircuitId circuit;
    std::uint32_t ref = 0;
    wire::MessageStart start;
  };

  /// One network for all, each with circuits of its own: joining takes longer than the attacks.
  static void SetUpTestSuite() {
    rogue_ = std::make_unique<Rogue>(RogueOptions{.announce = true});
    for (std::size_t i = 0; i < kNodes; ++i) {
      Options options;
      options.shards = 1;
      options.log_level = LogLevel::off;
      options.gossip_interval = 1s;
      if (i > 0) options.bootstrap = {{.id = nodes_[0]->id(), .at = nodes_[0]->address()}};
      auto node = Node::start(options);
      ASSERT_TRUE(node.has_value()) << node.error().message();
      nodes_.push_back(std::move(*node));
      nodes_.back()->on_message([](Message&&) { return Accept::taken; });
    }
    for (const auto& node : nodes_) ASSERT_TRUE(rogue_->join({node->id(), node->address()}));
    ASSERT_TRUE(rogue_->run(60s, [] {
      for (const auto& node : nodes_) {
        if (!rogue_->hop(node->id()) || node->status().get().nodes_known < kNodes + 1) return false;
      }
      return true;
    }));
    // Relays count when they were reached: there are routes of three when a message took one.
    std::future<Delivery> first;
    ASSERT_TRUE(rogue_->run(60s, [&first] {
      if (!first.valid()) first = send({.relays = 3, .isolation = 99}, nodes_[0]->id());
      if (first.wait_for(0s) != std::future_status::ready) return false;
      return first.get().outcome == Outcome::delivered;
    }));
  }
  static void TearDownTestSuite() {
    nodes_.clear();
    rogue_.reset();
  }
  void SetUp() override {
    ASSERT_EQ(nodes_.size(), kNodes);
    rogue_->on_cell = [this](circuit::CircuitId circuit, Bytes payload) { read(circuit, payload); };
  }

  void TearDown() override {
    rogue_->on_cell = [](auto, auto) {};
  }

  void read(circuit::CircuitId circuit, Bytes payload) {
    wire::FrameReader frames(payload);
    while (const auto frame = frames.next()) {
      if (const auto* data = std::get_if<wire::DataFrame>(&*frame)) {
        if (data->start) came_.push_back({circuit, data->ref, *data->start});
      } else if (const auto* ack = std::get_if<wire::AckFrame>(&*frame)) {
        answers_[{circuit.value, ack->ref}] = ack->status;
      }
    }
  }
  bool until(const std::function<bool()>& done) { return rogue_->run(20s, done); }

  static std::future<Delivery> send(const SendOptions& options, const NodeId& to = rogue_->id()) {
    static const std::vector<std::byte> kPayload(100);
    return nodes_[kSender]->send(to, kPayload, options);
  }
  /// What the sender was told, if it was.
  static std::string ended(std::future<Delivery>& sent) {
    if (sent.wait_for(0s) != std::future_status::ready) return "under way";
    const Delivery delivery = sent.get();
    return std::string(name_of(delivery.outcome)) + ": " + delivery.reason.message();
  }
  void say(circuit::CircuitId circuit, const wire::Frame& frame) {
    std::array<std::byte, 900> bytes;
    ByteWriter out(bytes);
    wire::append(out, frame);
    ASSERT_TRUE(rogue_->say(circuit, Priority::normal, Bytes(bytes).first(out.written())));
  }
  /// A message with that id, of which `bytes` come at once; a reply to what came there first.
  wire::DataFrame message(const wire::MessageId& id, std::uint32_t size, std::size_t bytes,
                          const Came* reply_to) {
    static const std::vector<std::byte> kZeros(800);
    wire::MessageStart start{.id = id, .size = size, .ttl_ms = 65'536};
    if (reply_to != nullptr) start.in_reply_to = reply_to->ref;
    return {.ref = 0, .start = start, .last = bytes == size, .bytes = Bytes(kZeros).first(bytes)};
  }
  std::optional<AckStatus> answer(circuit::CircuitId circuit, std::uint32_t ref = 0) {
    until([&] { return answers_.contains({circuit.value, ref}); });
    const auto at = answers_.find({circuit.value, ref});
    return at == answers_.end() ? std::nullopt : std::optional(at->second);
  }
  /// Says it to every node, on a circuit of one hop, and gathers what they answer.
  std::map<AckStatus, std::size_t> ask_all(const wire::DataFrame& what) {
    std::map<AckStatus, std::size_t> out;
    for (const auto& node : nodes_) {
      const std::array route{*rogue_->hop(node->id())};
      const std::size_t before = rogue_->built.size();
      EXPECT_TRUE(rogue_->build(route, Priority::normal));
      EXPECT_TRUE(until([&] { return rogue_->built.size() > before; }));
      say(rogue_->built.back(), wire::ScopeFrame{});
      say(rogue_->built.back(), what);
      const auto said = answer(rogue_->built.back());
      EXPECT_TRUE(said);
      if (said) ++out[*said];
    }
    return out;
  }

  static inline std::vector<std::unique_ptr<Node>> nodes_;
  static inline std::unique_ptr<Rogue> rogue_;
  std::vector<Came> came_;
  std::map<std::pair<std::uint64_t, std::uint32_t>, AckStatus> answers_;
};

constexpr wire::MessageId kChosen{std::byte{0xc4}, std::byte{0x05}, std::byte{0xe2}};

TEST_F(Unmasking, AReplyWithAChosenIdThenTheSameIdToEveryNode) {
  auto sent = send({.relays = 3, .isolation = 1});
  ASSERT_TRUE(until([this] { return !came_.empty(); })) << ended(sent);
  say(came_[0].circuit, message(kChosen, 10, 10, &came_[0]));
  EXPECT_EQ(answer(came_[0].circuit), AckStatus::delivered);
  const auto said = ask_all(message(kChosen, 10, 10, nullptr));
  EXPECT_EQ(said, (std::map<AckStatus, std::size_t>{{AckStatus::delivered, kNodes}}));
}

TEST_F(Unmasking, APartOfAReplyThenTheSameIdToEveryNode) {
  auto sent = send({.relays = 3, .isolation = 2});
  ASSERT_TRUE(until([this] { return !came_.empty(); }));
  say(came_[0].circuit, message(kChosen, 2'000, 100, &came_[0]));
  const auto said = ask_all(message(kChosen, 10, 10, nullptr));
  EXPECT_EQ(said.size(), 1u);
  rogue_->run_for(200ms);
  EXPECT_FALSE(answers_.contains({came_[0].circuit.value, 0})) << "answered for what others asked";
}

TEST_F(Unmasking, IsolationTagsOfOneSender) {
  auto first = send({.relays = 3, .isolation = 3});
  auto second = send({.relays = 3, .isolation = 4});
  ASSERT_TRUE(until([this] { return came_.size() == 2; }));
  ASSERT_NE(came_[0].circuit, came_[1].circuit);
  for (const Came& came : came_) {
    say(came.circuit, message(kChosen, 10, 10, &came));
    EXPECT_EQ(answer(came.circuit), AckStatus::delivered);
  }
}

TEST_F(Unmasking, SignedAndUnsignedMessagesOfOneSender) {
  auto plain = send({.relays = 3, .isolation = 5});
  ASSERT_TRUE(until([this] { return came_.size() == 1; }));
  auto named = send({.relays = 3, .isolation = 5, .sign = true});
  ASSERT_TRUE(until([this] { return came_.size() == 2; }));
  ASSERT_TRUE(came_[1].start.is_signed);
  EXPECT_NE(came_[0].circuit, came_[1].circuit) << "who signed has sent the other one too";
}

}  // namespace
}  // namespace qudag::attack
