// run: alone
// An echo service and a program that uses it, over a pipe through three relays: what is written
// comes back, byte by byte, and both ends know when everything has been taken.
#include <qudag/testing/network.h>

#include <algorithm>
#include <cstdio>
#include <future>
#include <map>
#include <mutex>
#include <vector>

namespace {

constexpr std::size_t kBytes = 1'000'000;

/// What comes goes back. What finds no room waits here, and is taken only when it has left: so the
/// other end cannot send faster than it reads.
class Echo {
 public:
  void serve(qudag::PipeOffer&& offer) {
    if (offer.service() != "echo") return offer.refuse(qudag::PipeCode::no_such_service);
    auto session = std::make_shared<Session>();  // owners: the events of its pipe
    qudag::PipeEvents events;
    events.on_bytes = [session](qudag::Pipe& pipe, qudag::Buffer&& bytes) {
      session->waiting.push_back(std::move(bytes));
      session->go_on(pipe);
    };
    events.on_room = [session](qudag::Pipe& pipe) { session->go_on(pipe); };
    events.on_end = [session](qudag::Pipe& pipe) {
      session->ended = true;
      session->go_on(pipe);
    };
    auto pipe = offer.accept(std::move(events));
    const std::lock_guard lock(mutex_);
    pipes_.push_back(std::move(pipe));
    std::erase_if(pipes_, [](const auto& one) { return one->closed(); });
  }

 private:
  struct Session {
    std::vector<qudag::Buffer> waiting;
    bool ended = false;

    void go_on(qudag::Pipe& pipe) {
      while (!waiting.empty()) {
        const std::size_t size = waiting.front().size();
        if (!pipe.write(waiting.front())) return;  // on_room comes
        waiting.erase(waiting.begin());
        pipe.take(size);
      }
      if (ended) pipe.end();
    }
  };

  std::mutex mutex_;
  std::vector<std::unique_ptr<qudag::Pipe>> pipes_;
};

int failed(const qudag::Error& error) {
  return std::fprintf(stderr, "%s\n", error.message().c_str()), 1;
}

}  // namespace

int main() {
  Echo echo;
  auto network = qudag::testing::Network::start();
  if (!network) return failed(network.error());
  qudag::Node& server = (**network)[0];
  server.on_pipe([&echo](qudag::PipeOffer&& offer) { echo.serve(std::move(offer)); });

  std::vector<std::byte> sent(kBytes);
  for (std::size_t i = 0; i < kBytes; ++i) sent[i] = static_cast<std::byte>(i * 2654435761u >> 24);
  std::vector<std::byte> back;
  std::size_t written = 0;
  std::promise<qudag::PipeEnd> end;

  const auto write = [&](qudag::Pipe& pipe) {
    while (written < kBytes) {
      const auto taken = pipe.write(std::span(sent).subspan(written));
      if (!taken) return;  // on_room comes
      written += *taken;
    }
    pipe.end();
  };
  qudag::PipeEvents events;
  events.on_open = write;
  events.on_room = write;
  events.on_bytes = [&](qudag::Pipe& pipe, qudag::Buffer&& bytes) {
    const auto more = bytes.to_vector();
    back.insert(back.end(), more.begin(), more.end());
    pipe.take(more.size());
  };
  events.on_closed = [&](const qudag::PipeEnd& how) { end.set_value(how); };
  auto pipe = (**network)[1].open(server.id(), "echo", {}, std::move(events));
  if (!pipe) return failed(pipe.error());

  const qudag::PipeEnd how = end.get_future().get();
  std::printf("%s: %zu bytes sent, %zu taken, %zu came back\n", name_of(how.how).data(),
              static_cast<std::size_t>(how.sent), static_cast<std::size_t>(how.taken_by_peer),
              back.size());
  return how.how == qudag::PipeEnd::How::finished && back == sent ? 0 : 1;
}
