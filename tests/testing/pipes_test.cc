// Pipes between real nodes: threads, sockets, several shards, and a service that is not there.
#include <qudag/testing/network.h>

#include <gtest/gtest.h>

#include <future>
#include <mutex>
#include <thread>
#include <vector>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

std::byte byte_at(std::size_t i) { return static_cast<std::byte>((i * 2654435761u) >> 24); }

/// One end that counts and checks what comes, and writes `bytes` of the same.
struct Program {
  std::size_t to_write = 0, written = 0, received = 0, wrong = 0;
  bool ends = true, ended = false;
  std::unique_ptr<Pipe> pipe;
  std::promise<PipeEnd> end;
  std::promise<void> opened;

  void go_on(Pipe& on) {
    std::vector<std::byte> bytes(8192);
    while (written < to_write) {
      const std::size_t n = std::min(bytes.size(), to_write - written);
      for (std::size_t i = 0; i < n; ++i) bytes[i] = byte_at(written + i);
      const auto taken = on.write(std::span(bytes).first(n));
      if (!taken) return;
      written += *taken;
    }
    if (ends) on.end();
  }
  PipeEvents events() {
    PipeEvents out;
    out.on_open = [this](Pipe& on) {
      opened.set_value();
      go_on(on);
    };
    out.on_room = [this](Pipe& on) { go_on(on); };
    out.on_bytes = [this](Pipe& on, Buffer&& bytes) {
      for (const std::byte b : bytes.to_vector()) wrong += b != byte_at(received++) ? 1 : 0;
      on.take(bytes.size());
    };
    out.on_end = [this](Pipe& on) {
      ended = true;
      ends = true;
      go_on(on);
    };
    out.on_closed = [this](const PipeEnd& how) { end.set_value(how); };
    return out;
  }
};

struct Services {
  std::mutex mutex;
  std::vector<std::unique_ptr<Program>> programs;
  std::size_t answer_bytes = 0;

  void serve(PipeOffer&& offer) {
    if (offer.service() != "store") return offer.refuse(PipeCode::no_such_service);
    auto one = std::make_unique<Program>();
    one->to_write = answer_bytes;
    one->ends = false;
    one->pipe = offer.accept(one->events());
    const std::lock_guard lock(mutex);
    programs.push_back(std::move(one));
  }
};

PipeEnd end_of(Program& program, std::chrono::seconds most = 60s) {
  auto future = program.end.get_future();
  if (future.wait_for(most) != std::future_status::ready) return {};
  return future.get();
}

TEST(Pipes, CarryBytesBothWaysBetweenNodesOfSeveralShards) {
  Services services;
  services.answer_bytes = 300'000;
  Program mine;
  mine.to_write = 2'000'000;
  const auto network =
      Network::start({.adjust = [](std::size_t, Options& options) { options.shards = 2; }});
  ASSERT_TRUE(network) << network.error().message();
  Node& server = (**network)[0];
  server.on_pipe([&](PipeOffer&& offer) { services.serve(std::move(offer)); });
  auto pipe = (**network)[1].open(server.id(), "store", {}, mine.events());
  ASSERT_TRUE(pipe) << pipe.error().message();
  mine.pipe = std::move(*pipe);
  const PipeEnd end = end_of(mine);
  EXPECT_EQ(end.how, PipeEnd::How::finished) << end.reason.message();
  EXPECT_EQ(end.sent, 2'000'000u);
  EXPECT_EQ(end.taken_by_peer, 2'000'000u);
  EXPECT_EQ(mine.received, 300'000u);
  EXPECT_EQ(mine.wrong, 0u);
  EXPECT_EQ(services.programs.at(0)->received, 2'000'000u);
  EXPECT_EQ(services.programs.at(0)->wrong, 0u);
  EXPECT_EQ(end_of(*services.programs.at(0)).how, PipeEnd::How::finished);
  EXPECT_EQ(server.pipes().get().size(), 0u);
}

TEST(Pipes, SayWhatIsNotThereAndWhatEnds) {
  Services services;
  Program mine, other, last;
  const auto network = Network::start();
  ASSERT_TRUE(network) << network.error().message();
  Node& server = (**network)[0];
  Node& client = (**network)[1];
  auto pipe = client.open(server.id(), "store", {}, mine.events());
  ASSERT_TRUE(pipe);
  PipeEnd end = end_of(mine);
  EXPECT_EQ(end.code, PipeCode::no_such_service) << "no handler";
  EXPECT_TRUE((*pipe)->closed());
  EXPECT_EQ((*pipe)->write(std::vector<std::byte>(1)).error(), Errc::circuit_failed);

  EXPECT_EQ(client.open(server.id(), "Store", {}, {}).error(), Errc::invalid_argument);
  EXPECT_EQ(client.open(server.id(), "store", {.priority = Priority::high}, {}).error(),
            Errc::invalid_argument);
  EXPECT_EQ(client.open(server.id(), "store", {}, {}, std::vector<std::byte>(16'385)).error(),
            Errc::too_large);

  server.on_pipe([&](PipeOffer&& offer) { services.serve(std::move(offer)); });
  other.to_write = 1000;
  other.ends = false;
  pipe = client.open(server.id(), "store", {}, other.events());
  ASSERT_TRUE(pipe);
  ASSERT_EQ(other.opened.get_future().wait_for(30s), std::future_status::ready);
  EXPECT_EQ(client.pipes().get().at(0).state, PipeStatus::State::open);
  pipe->reset();  // who lets go of it breaks it off
  end = end_of(other);
  EXPECT_EQ(end.code, PipeCode::broken_off);
  EXPECT_FALSE(end.by_peer);

  last.ends = false;
  pipe = client.open(server.id(), "store", {}, last.events());
  ASSERT_TRUE(pipe);
  ASSERT_EQ(last.opened.get_future().wait_for(30s), std::future_status::ready);
  server.stop(500ms);
  end = end_of(last);
  EXPECT_EQ(end.code, PipeCode::stopping);
  EXPECT_TRUE(end.by_peer);
}

}  // namespace
}  // namespace qudag::testing
