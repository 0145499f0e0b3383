// qudag testnet run: a network to play with, until Ctrl-C.
#include "commands.h"
#include "common/interrupt.h"
#include "common/network.h"

#include <fmt/format.h>
#include <boost/json.hpp>

namespace qudag::app {
namespace {

std::string listing(const Network& network, bool json) {
  namespace js = boost::json;
  js::array nodes;
  std::string text;
  for (const Network::Member& member : network.members()) {
    nodes.push_back(js::object{{"id", member.id.to_string()},
                               {"address", member.address},
                               {"socket", member.socket.string()},
                               {"pid", member.child.pid()}});
    text += fmt::format("{}  {:<21} {}\n", member.id.to_string(), member.address,
                        member.socket.string());
  }
  return json ? js::serialize(js::object{{"nodes", std::move(nodes)}}) + "\n" : text;
}

}  // namespace

Exit testnet_run(const TestnetArgs& args) {
  Interrupt interrupt;
  auto network = Network::start({.nodes = args.nodes, .shards = args.shards}, interrupt);
  if (!network) return report(network.error(), args.json);
  if (Status ready = (*network)->wait_for_netmaps(std::chrono::seconds(60), interrupt); !ready) {
    return report(ready.error(), args.json);
  }
  if (Status printed = print(listing(**network, args.json)); !printed) {
    return report(printed.error(), false);
  }
  if (!args.json) fmt::print(stderr, "every node knows every node; Ctrl-C ends them\n");
  const Status watched = (*network)->watch(interrupt);
  const bool in_order = (*network)->stop();
  if (!watched) return report(watched.error(), args.json);
  return in_order ? Exit::ok : report(Error(Errc::timed_out, "a node had to be killed"), args.json);
}

}  // namespace qudag::app
