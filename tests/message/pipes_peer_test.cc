// Pipes against a peer that breaks the rules: its circuit ends, what it could reach stays bounded,
// and what merely crossed is allowed.
#include "message/pipe/pipes.h"
#include "peer.h"

namespace qudag::message::testing {
namespace {

class PipesPeer : public Peer, public PipeListener {
 protected:
  PipesPeer() {
    MessagesOptions options;
    options.pipes = pipes;
    options.pipe_listener = this;
    options.pipes_max = 400;
    make(options);
  }
  ~PipesPeer() override {
    messages->shutdown(now);
    EXPECT_EQ(pipes->bytes().used(), 0u);
    EXPECT_EQ(pipes->places().used(), 0u);
    EXPECT_EQ(budget.used(), 0u);
  }

  void on_pipe_offer(PipeId pipe, const PipeOffered& offered, Now) override {
    ids.push_back(pipe);
    called.push_back(offered.receiver);
    if (accepts) with([&](Pipes& all) { all.accept(pipe, now); });
  }
  void on_pipe_open(PipeId, Now) override {}
  void on_pipe_bytes(PipeId pipe, memory::Chain&& bytes, memory::Reservation&&, Now) override {
    received += bytes.bytes();
    if (takes) with([&](Pipes& all) { all.take(pipe, bytes.bytes(), now); });
  }
  void on_pipe_end(PipeId, Now) override { ++endings; }
  void on_pipe_room(PipeId, std::uint64_t, Now) override {}
  void on_pipe_closed(PipeId, const PipeEnd& end, Now) override { closings.push_back(end); }

  void send(circuit::CircuitId circuit, memory::Block payload, Now then) override {
    wire::FrameReader frames(payload.bytes());
    while (const auto frame = frames.next()) {
      if (const auto* limit = std::get_if<wire::LimitFrame>(&*frame)) limits.push_back(*limit);
      if (const auto* opened = std::get_if<wire::OpenedFrame>(&*frame)) opens.push_back(*opened);
      if (const auto* moved = std::get_if<wire::MovedFrame>(&*frame)) moves.push_back(*moved);
    }
    Peer::send(circuit, std::move(payload), then);
  }

  template <class F>
  void with(F&& f) {
    messages->with_pipes(now, f);
  }
  static wire::PipeKey key_of_byte(unsigned value) {
    wire::PipeKey key;
    key.fill(static_cast<std::byte>(value));
    return key;
  }
  wire::Frame open(std::uint32_t number, unsigned key, std::uint32_t attempt = 1) {
    return wire::OpenFrame{.pipe = number,
                           .key = key_of_byte(key),
                           .attempt = attempt,
                           .limit = 16'384,
                           .name = std::as_bytes(std::span(kName, 3))};
  }
  wire::Frame bytes(std::uint32_t number, std::size_t n) {
    static const std::vector<std::byte> zeros(900);
    return wire::BytesFrame{number, Bytes(zeros).first(n)};
  }
  void pump() {
    room_now = 1000;
    messages->pump(now);
  }

  static constexpr char kName[] = "ssh";
  std::shared_ptr<PipesOfNode> pipes = std::make_shared<PipesOfNode>(400, std::uint64_t{8} << 20);
  std::vector<PipeId> ids;
  std::vector<PipeEnd> closings;
  std::vector<NodeId> called;  // by id of the offers
  std::vector<wire::LimitFrame> limits;
  std::vector<wire::OpenedFrame> opens;
  std::vector<wire::MovedFrame> moves;
  std::size_t received = 0, endings = 0;
  bool accepts = true, takes = true;
};

TEST_F(PipesPeer, WhatBreaksARuleEndsTheCircuit) {
  const wire::PipeKey key = key_of_byte(20);
  const std::vector<std::vector<wire::Frame>> wrong = {
      {open(1, 1)},                        // a number out of order
      {open(0, 2), open(0, 3)},            //
      {bytes(0, 10)},                      // nothing began
      {open(0, 4), bytes(1, 10)},          //
      {open(0, 5), wire::EndFrame{0, 1}},  // END elsewhere
      {open(0, 6), wire::EndFrame{0, 0}, bytes(0, 1)},
      {open(0, 7), wire::EndFrame{0, 0}, wire::EndFrame{0, 0}},
      {open(0, 8), wire::LimitFrame{0, 1, 20'000}},  // taken of what was not sent
      {open(0, 9), wire::LimitFrame{0, 0, 16'000}},  // a limit that falls
      {open(0, 10), wire::ResetFrame{0, PipeCode::none}},
      {open(0, 11), wire::OpenedFrame{0, PipeCode::none, 16'384}},
      {wire::MoveFrame{1, key, 1, 0, 0, 0}},
      {wire::MovedFrame{.pipe = 0}},
  };
  std::uint64_t circuit = 500;
  for (std::size_t i = 0; i < wrong.size(); ++i) {
    const circuit::CircuitId id{circuit++};
    come(id);
    for (const wire::Frame& frame : wrong[i]) {
      EXPECT_FALSE(ended(id)) << i;
      arrive({frame}, id);
    }
    EXPECT_TRUE(ended(id)) << i;
  }
}

TEST_F(PipesPeer, BytesBeyondTheLimitEndTheCircuit) {
  takes = false;
  arrive({open(0, 1)});
  std::size_t sent = 0;
  while (sent + 900 <= kPipeWindowFirst) {
    arrive({bytes(0, 900)});
    sent += 900;
  }
  EXPECT_FALSE(ended());
  EXPECT_EQ(received, sent);
  pump();
  arrive({bytes(0, 900)});
  EXPECT_TRUE(ended());
}

/// HTTP/2's rapid reset: pipes that end at once count as well.
TEST_F(PipesPeer, OpensThatEndAtOnceHaveARate) {
  std::uint32_t number = 0;
  for (; number < 10'000 && !ended(); ++number) {
    arrive({open(number, 1 + number % 200)});
    if (!ended()) arrive({wire::ResetFrame{number, PipeCode::broken_off}});
    pump();
  }
  EXPECT_TRUE(ended());
  EXPECT_LE(number, 5 * PipesOnCircuit::kOpensBurst + 10);
  EXPECT_LE(ids.size(), PipesOnCircuit::kOpensBurst);
  EXPECT_EQ(closings.size(), ids.size());
}

TEST_F(PipesPeer, ANewAttemptTakesThePipeAlong) {
  arrive({open(0, 1), bytes(0, 100)});
  pump();
  const circuit::CircuitId other{600};
  come(other);
  arrive({open(0, 1, 2), bytes(0, 100), bytes(0, 50)}, other);
  EXPECT_EQ(ids.size(), 1u) << "one connection to the service";
  EXPECT_EQ(received, 150u) << "what came twice was dropped";
  arrive({bytes(0, 900)});  // it crossed
  EXPECT_EQ(received, 150u);
  EXPECT_FALSE(ended());
  const circuit::CircuitId late{601};
  come(late);
  arrive({open(0, 1, 1), bytes(0, 500)}, late);  // an older one, which was under way for longer
  arrive({bytes(0, 25)}, other);
  EXPECT_EQ(received, 175u);
  EXPECT_FALSE(ended(late));
}

/// An opener that knows the key of its own pipe cannot find out by it that two receivers, or a
/// receiver and the node, are one machine.
TEST_F(PipesPeer, AKeyIsKnownAtOneReceiverOnly) {
  constexpr circuit::CircuitId kFirst{60}, kSecond{61}, kFirstAgain{62};
  receivers = {
      {kFirst.value, node_id(7)}, {kSecond.value, node_id(8)}, {kFirstAgain.value, node_id(7)}};
  for (const circuit::CircuitId circuit : {kFirst, kSecond, kFirstAgain}) come(circuit);
  arrive({open(0, 1), bytes(0, 100)}, kFirst);
  pump();
  ASSERT_EQ(called, std::vector{node_id(7)});
  for (const circuit::CircuitId circuit : {kSecond, kCircuit}) {  // a MOVE finds nothing there
    moves.clear();
    arrive({wire::MoveFrame{0, key_of_byte(1), 2, 0, 0, 16'384}}, circuit);
    pump();
    ASSERT_EQ(moves.size(), 1u);
    EXPECT_EQ(moves[0].status, PipeCode::lost);
    EXPECT_TRUE(closings.empty());
  }
  arrive({open(1, 1, 3)}, kSecond);  // and an OPEN is another pipe
  arrive({open(1, 1, 4)}, kCircuit);
  EXPECT_EQ(called, (std::vector{node_id(7), node_id(8), NodeId{}}));
  arrive({bytes(0, 50)}, kFirst);
  EXPECT_EQ(received, 150u) << "the first goes on where it was";
  moves.clear();
  arrive({wire::MoveFrame{0, key_of_byte(1), 2, 0, 0, 16'384}}, kFirstAgain);
  pump();
  ASSERT_EQ(moves.size(), 1u);
  EXPECT_EQ(moves[0].status, PipeCode::none);
  EXPECT_EQ(moves[0].received, 150u);
}

/// An opener that begins again has not yet said on that circuit what was taken on another one: it
/// would take that for a lie, and end the circuit.
TEST_F(PipesPeer, WhatIsTakenIsToldWhenItWasSaidAgain) {
  takes = false;
  for (const auto& frame : {open(0, 1), bytes(0, 900), bytes(0, 900)}) arrive({frame});
  pump();
  messages->on_ended(kCircuit, Errc::circuit_failed, now);
  with([&](Pipes& all) { all.take(ids.at(0), 1800, now); });
  const circuit::CircuitId other{600};
  come(other);
  arrive({open(0, 1, 2), bytes(0, 100)}, other);
  const auto wait = [&] {
    now.mono += 400ms;
    messages->on_time(now);
    pump();
  };
  wait();
  ASSERT_EQ(opens.size(), 2u);
  for (const wire::LimitFrame& limit : limits) EXPECT_LE(limit.taken, 100u);
  arrive({bytes(0, 800)}, other);
  arrive({bytes(0, 900)}, other);
  wait();
  ASSERT_FALSE(limits.empty());
  EXPECT_EQ(limits.back().taken, 1800u);
  arrive({wire::EndFrame{0, 1800}}, other);
  wait();
  EXPECT_EQ(limits.back().taken, 1801u);
  // The same once more, when all was told on a circuit that ended meanwhile.
  messages->on_ended(other, Errc::circuit_failed, now);
  limits.clear();
  const circuit::CircuitId third{601};
  come(third);
  for (const auto& frame : {open(0, 1, 3), bytes(0, 900), bytes(0, 900)}) arrive({frame}, third);
  wait();
  ASSERT_FALSE(limits.empty());
  EXPECT_EQ(limits.back().taken, 1800u);
  arrive({wire::EndFrame{0, 1800}}, third);
  wait();
  EXPECT_EQ(limits.back().taken, 1801u);
  EXPECT_FALSE(ended(third));
}

/// Strangers do not take every place: a quarter stays for what this node opens.
TEST_F(PipesPeer, OthersLeavePlacesForOurOwn) {
  std::uint64_t circuit = 700;
  for (unsigned i = 0; i < 400; ++i) {
    const circuit::CircuitId id{circuit++};
    come(id);
    wire::OpenFrame one = std::get<wire::OpenFrame>(open(0, 1));
    one.key[0] = static_cast<std::byte>(i);
    one.key[1] = static_cast<std::byte>(i >> 8);
    arrive({one}, id);
  }
  EXPECT_EQ(ids.size(), 300u);
  pump();
  const auto refused = [](const wire::OpenedFrame& one) { return one.status == PipeCode::no_room; };
  EXPECT_EQ(std::ranges::count_if(opens, refused), 100);
  with([&](Pipes& all) {
    EXPECT_TRUE(all.open({.destination = node_id(1), .service = "ssh", .options = {}}, now));
  });
}

TEST_F(PipesPeer, AMoveNeedsTheKeyAndNumbersThatFit) {
  arrive({open(0, 1), bytes(0, 100)});
  pump();
  const circuit::CircuitId guess{600}, lie{601};
  come(guess);
  arrive({wire::MoveFrame{0, key_of_byte(2), 2, 0, 0, 16'384}}, guess);
  EXPECT_FALSE(ended(guess));
  EXPECT_TRUE(closings.empty());
  come(lie);
  arrive({wire::MoveFrame{0, key_of_byte(1), 2, 5000, 0, 16'384}}, lie);  // more than was sent
  pump();
  ASSERT_EQ(closings.size(), 1u);
  EXPECT_EQ(closings[0].how, PipeEnd::How::lost);
}

/// Parked pipes of an opener that piles them up make room for others.
TEST_F(PipesPeer, ParkedPipesHaveABound) {
  std::uint64_t circuit = 700;
  for (unsigned i = 0; i < 380; ++i) {
    const circuit::CircuitId id{circuit++};
    come(id);
    wire::OpenFrame one = std::get<wire::OpenFrame>(open(0, 1));
    one.key[0] = static_cast<std::byte>(i);
    one.key[1] = static_cast<std::byte>(i >> 8);
    arrive({one}, id);
    messages->on_ended(id, Errc::circuit_failed, now);
  }
  EXPECT_EQ(ids.size(), 380u);
  EXPECT_EQ(closings.size(), 380u - kPipesParkedMax);
  now.mono += 61s;
  messages->on_time(now);
  EXPECT_EQ(closings.size(), 380u);
}

/// Windows of one byte cost their owner, and nobody else.
TEST_F(PipesPeer, AWindowOfOneByteIsObeyed) {
  wire::OpenFrame tiny = std::get<wire::OpenFrame>(open(0, 1));
  tiny.limit = 1;
  arrive({tiny});
  ASSERT_EQ(ids.size(), 1u);
  memory::Chain chain;
  const std::vector<std::byte> text(1000);
  ASSERT_TRUE(memory::Chain::copy_in(pool, memory::BlockSize::cell, text, chain));
  ASSERT_TRUE(pipes->reserve(budget, text.size()));
  with([&](Pipes& all) { all.write(ids[0], Priority::normal, std::move(chain), now); });
  const std::size_t before = payloads;
  pump();
  EXPECT_EQ(payloads, before + 1);
  for (std::uint64_t taken = 1; taken <= 20; ++taken) {
    arrive({wire::LimitFrame{0, taken, taken + 1}});
    pump();
  }
  EXPECT_EQ(payloads, before + 21);
  EXPECT_FALSE(ended());
}

}  // namespace
}  // namespace qudag::message::testing
