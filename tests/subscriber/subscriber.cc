// An idempotent receiver: 1 subscribe with acknowledgements, 2 write each message that is not in
// the journal yet into it, 3 acknowledge it. It kills itself (SIGKILL) when it has handled as many
// as its arguments say, before or after it acknowledges the last one.
//
// subscriber SOCKET JOURNAL before|after|never COUNT
#include "api/client/stream_client.h"
#include "subscriber/journal.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace {

using namespace qudag;

[[noreturn]] void kill_myself() {
  ::raise(SIGKILL);
  std::abort();
}

int failed(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  const std::uint64_t at_a_time = std::strtoull(argv[3], nullptr, 10);
  const std::string_view moment = argv[4];
  const std::uint64_t most = std::strtoull(argv[5], nullptr, 10);
  std::unordered_set<MessageId> known;
  for (const test::Handled& one : test::read_journal(argv[2])) known.insert(one.id);
  test::Journal journal(argv[2]);

  struct Waiting {
    test::Handled message;
    std::uint64_t token = 0;
  };
  std::vector<Waiting> waiting;
  api::ClientLoop loop;
  std::uint64_t handled = 0;
  bool dies = false;  // when what it has acknowledged has left
  Result<std::unique_ptr<api::StreamClient>> stream = fail(Errc::shutting_down);
  const auto handle = [&](const Waiting& one) {
    if (dies) return;
    if (moment != "never" && handled == most) kill_myself();  // of none
    if (known.insert(one.message.id).second && !journal.add(one.message)) std::abort();
    ++handled;
    if (moment == "before" && handled == most) kill_myself();
    static_cast<void>((*stream)->acknowledge({.token = one.token}));
    dies = moment == "after" && handled == most;
  };
  stream = api::StreamClient::open(loop, argv[1], [&](const api::ServerRecord& record) {
    const auto* const message = std::get_if<api::MessageRecord>(&record);
    if (message == nullptr) return;
    const auto number = load_be<std::uint64_t>(message->payload.data());
    waiting.push_back({{number, message->id}, message->token.value_or(0)});
    if (waiting.size() < at_a_time) return;
    for (const Waiting& one : std::exchange(waiting, {})) handle(one);
  });
  if (!stream) return failed(stream.error());
  if (const Status open = (*stream)->subscribe(0, 0, true); !open) return failed(open.error());
  std::puts("subscribed");
  std::fflush(stdout);
  loop.run_until([&] { return (*stream)->ended() || (dies && (*stream)->queued_bytes() == 0); },
                 std::chrono::minutes(5));
  if (dies) kill_myself();
  return 1;
}
