#include "demo/receiver.h"

#include "api/client/client.h"
#include "api/client/stream_client.h"
#include "common/interrupt.h"
#include "crypto/identity.h"
#include "node/key_file.h"
#include "query.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>
#include <set>

namespace qudag::app {
namespace {

namespace json = boost::json;
using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kStartPatience{60};
constexpr std::chrono::seconds kLetterPatience{120};
constexpr const char* kName = "home";

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::string letter(std::uint64_t number) { return fmt::format("letter {}", number); }

/// The node of the receiver, which can be killed and started again.
class Home {
 public:
  Home(const Network& network, std::filesystem::path net)
      : network_(network), net_(std::move(net)) {}

  /// Until it has joined the network.
  Result<Network::Member> start(Interrupt& interrupt) const;
  Status make_key() const {
    const auto identity = crypto::Identity::generate();
    if (!identity) return std::unexpected(identity.error());
    return node::save_identity(path("key"), *identity);
  }

 private:
  std::string path(std::string_view what) const {
    return (network_.directory() / fmt::format("{}.{}", kName, what)).string();
  }

  const Network& network_;
  std::filesystem::path net_;
};

Result<Network::Member> Home::start(Interrupt& interrupt) const {
  std::vector<std::string> arguments{
      "node",       "--identity",        path("key"), "--relay",       "false", "--known",
      "false",      "--gossip_interval", "1s",        "--log.level",   "warn",  "--api.socket",
      path("sock"), "--shards",          "1",         "--wait-joined", "60s"};
  for (std::size_t i = 0; i < std::min<std::size_t>(3, network_.members().size()); ++i) {
    const Network::Member& entry = network_.members()[i];
    arguments.insert(arguments.end(), {"--bootstrap", entry.id.to_string() + "@" + entry.address});
  }
  auto child = Child::start(kThisProgram, arguments, path("log"), net_);
  if (!child) return std::unexpected(child.error());
  const auto line = child->ready(kStartPatience, interrupt);
  if (!line) return std::unexpected(line.error());
  return Network::Member{std::move(*child), NodeId{}, "", path("sock")};
}

/// Step 2's beginning: the caller knows the receiver by its invitation alone.
Result<NodeId> introduce(const Network::Member& home, const Network::Member& caller) {
  const auto invited =
      invitation(api::Client(home.socket), InviteArgs{.socket = {.path = home.socket, .owner = {}},
                                                      .name = kName,
                                                      .patience = kStartPatience});
  if (!invited) return std::unexpected(invited.error());
  const Status added = api::Client(caller.socket)
                           .change("POST", fmt::format("/v1/contacts?name={}&text={}", kName,
                                                       escaped(invited->text)));
  if (!added) return std::unexpected(added.error());
  return NodeId::parse(invited->id);
}

/// Step 4: all at once; each has an outcome.
Status store_letters(const Network::Member& caller, const NodeId& to, ReceiverResult& result,
                     Interrupt& interrupt) {
  api::ClientLoop loop;
  std::uint64_t outcomes = 0;
  auto stream = api::StreamClient::open(loop, caller.socket, [&](const api::ServerRecord& record) {
    const auto* outcome = std::get_if<api::OutcomeRecord>(&record);
    if (outcome == nullptr) return;
    ++outcomes;
    if (outcome->outcome == Outcome::stored) {
      ++result.stored;
    } else {
      result.letter_error = fmt::format("{}: {}", name_of(outcome->outcome), outcome->detail);
    }
  });
  if (!stream) return std::unexpected(stream.error());
  const auto begin = Clock::now();
  for (std::uint64_t i = 0; i < kLetters; ++i) {
    const std::string text = letter(i);
    const Status sent = (*stream)->send({.request = i,
                                         .destination = to,
                                         .options = {.ttl = kLetterPatience},
                                         .progress = false,
                                         .payload = std::as_bytes(std::span(text))});
    if (!sent) return sent;
  }
  loop.run_until([&] { return outcomes == kLetters || (*stream)->ended() || interrupt.raised(); },
                 kLetterPatience);
  result.store_seconds = seconds_since(begin);
  if ((*stream)->ended()) return std::unexpected(*(*stream)->ended());
  return {};
}

/// Step 5: what comes to a program of the node that is there again.
Status fetch_letters(const Network::Member& home, ReceiverResult& result, Interrupt& interrupt) {
  api::ClientLoop loop;
  std::set<std::string, std::less<>> wanted;
  for (std::uint64_t i = 0; i < kLetters; ++i) wanted.insert(letter(i));
  auto stream = api::StreamClient::open(loop, home.socket, [&](const api::ServerRecord& record) {
    const auto* message = std::get_if<api::MessageRecord>(&record);
    if (message == nullptr) return;
    const std::string_view text(reinterpret_cast<const char*>(message->payload.data()),
                                message->payload.size());
    const auto one = wanted.find(text);
    if (one == wanted.end()) {
      ++result.letters_wrong;
    } else {
      wanted.erase(one);
      ++result.letters_received;
    }
  });
  if (!stream) return std::unexpected(stream.error());
  if (Status open = (*stream)->subscribe(); !open) return open;
  loop.run_until([&] { return wanted.empty() || (*stream)->ended() || interrupt.raised(); },
                 kLetterPatience);
  // What comes late would come twice.
  if (wanted.empty()) {
    loop.run_until([&] { return interrupt.raised(); }, std::chrono::milliseconds(300));
  }
  return {};
}

/// Steps 3 to 5; `home` ends.
Status letters_to(Network::Member home, const Home& node, const Network::Member& caller,
                  ReceiverResult& result, Interrupt& interrupt) {
  const NodeId id = home.id;
  home.child.kill();
  if (Status stored = store_letters(caller, id, result, interrupt); !stored) return stored;
  const auto begin = Clock::now();
  auto again = node.start(interrupt);
  if (!again) return std::unexpected(again.error());
  if (Status fetched = fetch_letters(*again, result, interrupt); !fetched) return fetched;
  result.fetch_seconds = seconds_since(begin);
  again->child.ask_to_end();
  result.stopped_in_order = again->child.reap(std::chrono::seconds(10));
  return {};
}

}  // namespace

Result<ReceiverResult> demo_receiver(const Network& network, const Network::Member& caller,
                                     const DemoArgs& args, const std::filesystem::path& file,
                                     Interrupt& interrupt) {
  ReceiverResult result;
  const Home node(network, args.receiver_net);
  if (Status made = node.make_key(); !made) return std::unexpected(made.error());
  const auto begin = Clock::now();
  auto home = node.start(interrupt);
  if (!home) return std::unexpected(home.error());
  const auto id = introduce(*home, caller);
  if (!id) return std::unexpected(id.error());
  home->id = *id;
  result.invited_seconds = seconds_since(begin);

  const LoadSpec spec{.destination = *id,
                      .options = {.relays = kRelaysDefault},
                      .count = args.messages,
                      .bytes = args.message_bytes,
                      .window = args.window};
  auto messages = run_load(caller.socket, home->socket, spec, [&] { return interrupt.raised(); });
  if (!messages) return std::unexpected(messages.error());
  result.messages = std::move(*messages);
  if (interrupt.raised()) return fail(Errc::shutting_down, "interrupted");
  auto sent = send_file(network, caller, *home, file, kRelaysDefault, interrupt);
  if (!sent) return std::unexpected(sent.error());
  result.file = std::move(*sent);
  if (Status letters = letters_to(std::move(*home), node, caller, result, interrupt); !letters) {
    return std::unexpected(letters.error());
  }
  if (interrupt.raised()) return fail(Errc::shutting_down, "interrupted");
  return result;
}

}  // namespace qudag::app
