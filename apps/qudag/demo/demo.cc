// 1 start the network, 2 wait for netmaps, 3 messages one at a time (this builds the first
// circuit), 4 many messages in a window, 5 the file, 6 ask every node what it saw, 7 some messages
// on circuits of their own, for the time of a build, 8 a receiver without an address, 9 stop, 10
// report.
#include "demo/demo.h"

#include "demo/receiver.h"

#include "common/interrupt.h"

#include "api/client/client.h"
#include "base/posix.h"
#include "crypto/kdf.h"
#include "crypto/random.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <fstream>
#include <set>
#include <thread>

namespace qudag::app {
namespace {

namespace json = boost::json;
using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kNetmapPatience{60};
constexpr std::chrono::seconds kFilePatience{180};
constexpr std::uint64_t kUnloadedMessages = 100;
constexpr std::uint64_t kBuilds = 20;

/// Where nodes listen.
std::vector<std::string> hosts_of(const DemoArgs& args) {
  return args.at.empty() ? std::vector<std::string>{"127.0.0.1"} : args.at;
}

Status make_file(const std::filesystem::path& path, std::uint64_t bytes) {
  std::ofstream out(path, std::ios::binary);
  crypto::SystemRng rng;
  std::vector<std::byte> piece(std::size_t{1} << 20);
  while (bytes > 0 && out) {
    const std::size_t now = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, piece.size()));
    rng.fill(std::span(piece).first(now));
    out.write(reinterpret_cast<const char*>(piece.data()), static_cast<std::streamsize>(now));
    bytes -= now;
  }
  out.flush();
  if (!out) return system_failure(path.string());
  return {};
}

Result<std::vector<std::byte>> read_file(const std::filesystem::path& path) {
  std::error_code no_throw;
  const auto size = std::filesystem::file_size(path, no_throw);
  std::ifstream in(path, std::ios::binary);
  std::vector<std::byte> out(no_throw ? 0 : static_cast<std::size_t>(size));
  in.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size()));
  if (!in) return fail(Errc::io_error, path.string());
  return out;
}

Result<std::vector<std::string>> tls_of_links(const Network& network) {
  std::set<std::string> seen;
  for (const Network::Member& member : network.members()) {
    const auto page = api::Client(member.socket).get("/v1/peers");
    if (!page) return std::unexpected(page.error());
    const json::value peers = json::parse(*page);
    for (const json::value& peer : peers.at("peers").as_array()) {
      if (peer.at("state").as_string() != "ready") continue;
      seen.insert(fmt::format("{} {}", peer.at("tls_group").as_string().c_str(),
                              peer.at("tls_signature").as_string().c_str()));
    }
  }
  return std::vector<std::string>(seen.begin(), seen.end());
}

void say(const DemoArgs& args, std::string_view line) {
  if (!args.net.json) fmt::print(stderr, "{}\n", line);
}

/// Of the last minutes, as GET /v1/status has it.
Result<double> median_build_ms(const std::filesystem::path& socket) {
  const auto page = api::Client(socket).get("/v1/status");
  if (!page) return std::unexpected(page.error());
  return boost::json::parse(*page).at("circuit_build").at("p50_us").to_number<double>() / 1e3;
}

/// Not the first node, which is everybody's bootstrap.
const Network::Member& source_of(const Network& network) {
  return network.members()[network.members().size() > 2 ? 1 : 0];
}

/// Step 8.
Status measure_receiver(const Network& network, DemoResult& result, Interrupt& interrupt) {
  const DemoArgs& args = result.args;
  say(args, fmt::format("the same to a receiver without an address{}, over a keeper",
                        args.receiver_net.empty() ? "" : ", behind a NAT"));
  auto receiver =
      demo_receiver(network, source_of(network), args, network.directory() / "file.bin", interrupt);
  if (!receiver) return std::unexpected(receiver.error());
  result.receiver = std::move(*receiver);
  return {};
}

/// Steps 3 to 7.
Status measure(const Network& network, DemoResult& result, Interrupt& interrupt) {
  const DemoArgs& args = result.args;
  const Network::Member& from = source_of(network);
  const Network::Member& to = network.members().back();
  const auto stop = [&] { return interrupt.raised(); };
  LoadSpec spec{
      .destination = to.id, .options = {.relays = args.relays}, .bytes = args.message_bytes};

  spec.count = std::min(kUnloadedMessages, args.messages);
  spec.window = 1;
  auto unloaded = run_load(from.socket, to.socket, spec, stop);
  if (!unloaded) return std::unexpected(unloaded.error());
  result.unloaded = std::move(*unloaded);

  say(args, fmt::format("{} messages of {} bytes through {} relays", args.messages,
                        args.message_bytes, args.relays));
  spec.count = args.messages;
  spec.window = args.window;
  auto messages = run_load(from.socket, to.socket, spec, stop);
  if (!messages) return std::unexpected(messages.error());
  result.messages = std::move(*messages);
  if (interrupt.raised()) return fail(Errc::shutting_down, "interrupted");

  say(args, fmt::format("a file of {} bytes through {} relays", args.file_bytes, args.relays));
  const auto file = network.directory() / "file.bin";
  if (Status made = make_file(file, args.file_bytes); !made) return made;
  auto sent = send_file(network, from, to, file, args.relays, interrupt);
  if (!sent) return std::unexpected(sent.error());
  result.file = std::move(*sent);

  auto relays = relay_views(network);
  if (!relays) return std::unexpected(relays.error());
  result.relays = std::move(*relays);
  auto tls = tls_of_links(network);
  if (!tls) return std::unexpected(tls.error());
  result.tls = std::move(*tls);

  spec.count = kBuilds;
  spec.window = 1;
  spec.isolate = true;
  auto isolated = run_load(from.socket, to.socket, spec, stop);
  if (!isolated) return std::unexpected(isolated.error());
  result.isolated = std::move(*isolated);
  const auto build = median_build_ms(from.socket);
  const auto builds = api::Client(from.socket).metric("qudag_circuit_build_seconds_count");
  if (!build || !builds) return std::unexpected((build ? builds : build).error());
  result.circuit_build_ms = *build;
  result.circuit_builds = static_cast<std::uint64_t>(*builds);
  return {};
}

}  // namespace

bool DemoResult::ok() const {
  return file.sha256_match && messages.perfect() && messages.sent == args.messages &&
         unloaded.perfect() && isolated.perfect() && stopped_in_order &&
         (!receiver || receiver->ok(args));
}

bool ReceiverResult::ok(const DemoArgs& args) const {
  return messages.perfect() && messages.sent == args.messages && file.sha256_match &&
         stored == kLetters && letters_received == kLetters && letters_wrong == 0 &&
         stopped_in_order;
}

Result<FileResult> send_file(const Network& network, const Network::Member& from,
                             const Network::Member& to, const std::filesystem::path& file,
                             unsigned relays, Interrupt& interrupt) {
  const auto payload = read_file(file);
  if (!payload) return std::unexpected(payload.error());
  FileResult result;
  result.bytes = payload->size();
  const crypto::Digest digest = crypto::sha256(*payload);

  std::vector<std::byte> received;
  bool came = false;
  api::ClientLoop loop;
  auto stream = api::StreamClient::open(loop, to.socket, [&](const api::ServerRecord& record) {
    const auto* message = std::get_if<api::MessageRecord>(&record);
    if (message == nullptr) return;
    received.assign(message->payload.begin(), message->payload.end());
    came = true;
  });
  if (!stream) return std::unexpected(stream.error());
  if (Status open = (*stream)->subscribe(1); !open) return std::unexpected(open.error());

  Result<Delivery> delivery = fail(Errc::internal);
  std::atomic<bool> posted{false};
  const double cpu_before = network.cpu_seconds();
  const auto begin = Clock::now();
  Clock::time_point end;
  std::thread poster([&] {
    delivery = api::Client(from.socket)
                   .send(to.id, *payload,
                         {.priority = Priority::low, .ttl = kFilePatience, .relays = relays});
    end = Clock::now();
    posted.store(true);
  });
  loop.run_until(
      [&] {
        return (posted && (came || !delivery || delivery->outcome != Outcome::delivered)) ||
               (*stream)->ended() || interrupt.raised();
      },
      kFilePatience + std::chrono::seconds(10));
  // On Ctrl-C the post would last until its time to live: ending the node it talks to ends it.
  if (!posted) from.child.ask_to_end();
  poster.join();
  if (interrupt.raised()) return fail(Errc::shutting_down, "interrupted");
  if (!delivery) return std::unexpected(delivery.error());

  result.delivery = *delivery;
  result.seconds = std::chrono::duration<double>(end - begin).count();
  result.mb_per_s = static_cast<double>(result.bytes) / 1e6 / result.seconds;
  result.cpu_seconds = network.cpu_seconds() - cpu_before;
  result.sha256_match =
      came && received.size() == payload->size() && crypto::sha256(received) == digest;
  return result;
}

Result<std::vector<RelayView>> relay_views(const Network& network) {
  std::vector<RelayView> out;
  for (const Network::Member& member : network.members()) {
    const auto page = api::Client(member.socket).get("/v1/circuits");
    if (!page) return std::unexpected(page.error());
    const json::value circuits = json::parse(*page);
    for (const json::value& circuit : circuits.at("circuits").as_array()) {
      if (circuit.at("role").as_string() != "relay") continue;
      const auto neighbour = [&](const char* id, const char* address) -> std::string {
        for (const char* name : {address, id}) {
          const json::value& text = circuit.at(name);
          if (text.is_string()) return network.name_of(text.as_string().c_str());
        }
        return "?";
      };
      RelayView view{.relay = network.name_of(member.address),
                     .priority = circuit.at("priority").as_string().c_str(),
                     .previous = neighbour("previous", "previous_address"),
                     .next = neighbour("next", "next_address"),
                     .cells_forward = circuit.at("cells_forward").to_number<std::uint64_t>(),
                     .cells_backward = circuit.at("cells_backward").to_number<std::uint64_t>()};
      if (view.cells_forward + view.cells_backward > 0) out.push_back(std::move(view));
    }
  }
  return out;
}

Exit testnet_demo(const DemoArgs& args) {
  if (args.net.nodes < args.relays + 2) {
    return report(Error(Errc::invalid_argument, fmt::format("{} relays need at least {} nodes",
                                                            args.relays, args.relays + 2)),
                  args.net.json);
  }
  Interrupt interrupt;
  DemoResult result;
  result.args = args;
  result.args.window =
      static_cast<std::size_t>(std::min<std::uint64_t>(args.window, args.messages));
  {
    say(args, fmt::format("{} nodes are starting", args.net.nodes));
    auto network = Network::start(
        {.nodes = args.net.nodes, .shards = args.net.shards, .hosts = hosts_of(args)}, interrupt);
    if (!network) return report(network.error(), args.net.json);
    if (Status ready = (*network)->wait_for_netmaps(kNetmapPatience, interrupt); !ready) {
      return report(ready.error(), args.net.json);
    }
    if (Status measured = measure(**network, result, interrupt); !measured) {
      return report(measured.error(), args.net.json);
    }
    if (args.net.nodes >= kReceiverNodesMin) {
      if (Status called = measure_receiver(**network, result, interrupt); !called) {
        return report(called.error(), args.net.json);
      }
    }
    result.stopped_in_order = (*network)->stop();
  }
  const Status printed = print(args.net.json ? demo_json(result) : demo_table(result));
  if (!printed) return report(printed.error(), false);
  return result.ok() ? Exit::ok : Exit::internal;
}

}  // namespace qudag::app
