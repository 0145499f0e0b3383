// run: alone
// For scripts: send and wait. The payload is filled in place, in the node's own memory.
#include <qudag/node.h>

#include <cstdio>
#include <cstring>
#include <future>

int main() {
  qudag::Options options;
  options.shards = 1;
  options.log_level = qudag::LogLevel::warn;
  auto receiver = qudag::Node::start(options);
  if (!receiver) return 1;
  (*receiver)->on_message([](qudag::Message&& message) {
    std::printf("received %zu bytes in %zu pieces\n", message.payload.size(),
                message.payload.piece_count());
    return qudag::Accept::taken;  // the pieces return to their pool here
  });
  options.bootstrap = {{(*receiver)->id(), (*receiver)->address()}};
  auto sender = qudag::Node::start(options);
  if (!sender) return 1;
  if (!(*sender)->wait_until_known((*receiver)->id(), std::chrono::seconds(20))) return 1;

  // One copy, one call, one future.
  const std::vector<std::byte> small(100, std::byte{42});
  const qudag::Delivery first = (*sender)->send((*receiver)->id(), small, {.relays = 0}).get();

  // No copy: ask for a buffer, fill its pieces, give it back by sending it.
  auto buffer = (*sender)->buffer(1'000'000);
  if (!buffer) return 1;
  for (std::size_t i = 0; i < buffer->piece_count(); ++i) {
    const std::span<std::byte> piece = buffer->piece(i);
    std::memset(piece.data(), 7, piece.size());
  }
  std::promise<qudag::Delivery> done;
  const auto sent = (*sender)->send(
      (*receiver)->id(), std::move(*buffer), {.priority = qudag::Priority::low, .relays = 0},
      [&done](const qudag::Delivery& delivery) { done.set_value(delivery); });
  if (!sent) return 1;
  const qudag::Delivery second = done.get_future().get();

  for (const qudag::Delivery* one : {&first, &second}) {
    std::printf("%s in %.3f ms\n", std::string(name_of(one->outcome)).c_str(),
                static_cast<double>(one->elapsed.count()) / 1e6);
  }
  const bool ok = first.outcome == qudag::Outcome::delivered && second.outcome == first.outcome;
  return ok ? 0 : 1;
}
