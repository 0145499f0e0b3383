#include "end/end_pipes.h"

#include <algorithm>
#include <utility>

namespace qudag::app::bench {
namespace {

/// What finds no room waits here, and is taken when it has left.
struct Session {
  std::vector<Buffer> waiting;
  bool ended = false;

  void go_on(Pipe& pipe) {
    std::size_t sent = 0;
    for (; sent < waiting.size(); ++sent) {
      const std::size_t size = waiting[sent].size();
      if (!pipe.write(waiting[sent])) break;  // on_room comes
      pipe.take(size);
    }
    waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(sent));
    if (ended && waiting.empty()) pipe.end();
  }
};

PipeEvents echo() {
  auto session = std::make_shared<Session>();  // owners: the events of its pipe
  PipeEvents events;
  events.on_bytes = [session](Pipe& pipe, Buffer&& bytes) {
    session->waiting.push_back(std::move(bytes));
    session->go_on(pipe);
  };
  events.on_room = [session](Pipe& pipe) { session->go_on(pipe); };
  events.on_end = [session](Pipe& pipe) {
    session->ended = true;
    session->go_on(pipe);
  };
  return events;
}

PipeEvents sink() {
  PipeEvents events;
  events.on_bytes = [](Pipe& pipe, Buffer&& bytes) { pipe.take(bytes.size()); };
  events.on_end = [](Pipe& pipe) { pipe.end(); };
  return events;
}

}  // namespace

void EndPipes::serve(PipeOffer&& offer) {
  if (offer.service() != kSink && offer.service() != kEchoes) {
    return offer.refuse(PipeCode::no_such_service);
  }
  auto pipe = offer.accept(offer.service() == kSink ? sink() : echo());
  const std::lock_guard lock(mutex_);
  std::erase_if(pipes_, [](const auto& one) { return one->closed(); });
  pipes_.push_back(std::move(pipe));
}

}  // namespace qudag::app::bench
