#include "common/network.h"

#include "common/interrupt.h"

#include "api/client/client.h"
#include "base/posix.h"
#include "crypto/identity.h"
#include "node/key_file.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace qudag::app {
namespace {

namespace json = boost::json;
using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kReadyPatience{30};
constexpr std::chrono::seconds kEndPatience{10};

Result<std::filesystem::path> make_directory() {
  std::error_code no_throw;
  const std::filesystem::path base = std::filesystem::temp_directory_path(no_throw);
  std::string name = (no_throw ? "/tmp" : base.string()) + "/qudag-net-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) return system_failure(name);
  return name;
}

}  // namespace

Result<std::unique_ptr<Network>> Network::start(const NetworkOptions& options,
                                                Interrupt& interrupt) {
  auto directory = make_directory();
  if (!directory) return std::unexpected(directory.error());
  std::unique_ptr<Network> network(new Network(std::move(*directory)));
  // The first alone, because the others need its address; then the rest at once.
  std::vector<Child> starting;
  for (unsigned i = 0; i < options.nodes; ++i) {
    if (Status added = network->add(options, starting); !added) {
      return std::unexpected(added.error());
    }
    if (i > 0 && i + 1 < options.nodes) continue;
    for (Child& child : starting) {
      if (Status joined = network->join(std::move(child), interrupt); !joined) {
        return std::unexpected(joined.error());
      }
    }
    starting.clear();
  }
  return network;
}

Status Network::add(const NetworkOptions& options, std::vector<Child>& starting) {
  const std::size_t index = members_.size() + starting.size();
  const auto path = [&](std::string_view what) {
    return (directory_ / fmt::format("{}.{}", index, what)).string();
  };
  const auto identity = crypto::Identity::generate();
  if (!identity) return std::unexpected(identity.error());
  if (Status saved = node::save_identity(path("key"), *identity); !saved) return saved;

  const bool apart = index == 0 && options.first_shards > 0;
  const unsigned shards = apart ? options.first_shards : options.shards;
  std::vector<std::string> arguments{"node",
                                     "--identity",
                                     path("key"),
                                     "--listen",
                                     options.hosts[index % options.hosts.size()] + ":0",
                                     "--shards",
                                     std::to_string(shards),
                                     "--gossip_interval",
                                     options.gossip_interval,
                                     "--limits.links_per_prefix",  // on loopback all are one block
                                     std::to_string(options.links_max),
                                     "--limits.links",
                                     std::to_string(options.links_max),
                                     "--log.level",
                                     options.log_level,
                                     "--api.socket",
                                     path("sock")};
  if (options.memory > 0) {
    arguments.insert(arguments.end(), {"--limits.memory", std::to_string(options.memory)});
  }
  arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
  if (!members_.empty()) {
    arguments.push_back("--bootstrap");
    arguments.push_back(members_[0].id.to_string() + "@" + members_[0].address);
  }
  auto child = Child::start(options.program, arguments, path("log"));
  if (!child) return std::unexpected(child.error());
  starting.push_back(std::move(*child));
  return {};
}

Status Network::join(Child child, Interrupt& interrupt) {
  const auto line = child.ready(kReadyPatience, interrupt);
  if (!line) return std::unexpected(line.error());
  boost::system::error_code ec;
  const json::value ready = json::parse(*line, ec);
  if (ec) return fail(Errc::internal, "the ready line of a node is not JSON");
  const auto text = [&](const char* name) {
    return std::string(ready.at(name).as_string().c_str());
  };
  const auto id = NodeId::parse(text("id"));
  if (!id) return std::unexpected(id.error());
  members_.push_back({std::move(child), *id, text("address"), text("socket")});
  return {};
}

Network::~Network() {
  stop();
  std::error_code no_throw;
  std::filesystem::remove_all(directory_, no_throw);
}

Status Network::wait_for_netmaps(std::chrono::milliseconds patience, Interrupt& interrupt) const {
  const auto deadline = Clock::now() + patience;
  for (const Member& member : members_) {
    std::int64_t known = 0;
    for (;;) {
      const auto page = api::Client(member.socket).get("/v1/status");
      if (!page) return std::unexpected(page.error());
      const json::value status = json::parse(*page);
      known = std::min(status.at("nodes_known").to_number<std::int64_t>(),
                       status.at("relays_known").to_number<std::int64_t>() + 1);
      if (known >= static_cast<std::int64_t>(members_.size())) break;
      if (Clock::now() > deadline) {
        return fail(Errc::timed_out, fmt::format("a node knows {} of {} nodes after {} s", known,
                                                 members_.size(), patience.count() / 1000));
      }
      if (interrupt.wait(std::chrono::milliseconds(20))) {
        return fail(Errc::shutting_down, "interrupted");
      }
    }
  }
  return {};
}

Status Network::watch(Interrupt& interrupt) {
  while (!interrupt.wait(std::chrono::milliseconds(200))) {
    for (Member& member : members_) {
      if (!member.child.alive()) return fail(Errc::io_error, "a node ended by itself");
    }
  }
  return {};
}

bool Network::stop() {
  bool all = true;
  for (Member& member : members_) member.child.ask_to_end();
  for (Member& member : members_) all = member.child.reap(kEndPatience) && all;
  members_.clear();
  return all;
}

double Network::cpu_seconds() const {
  double sum = 0;
  for (const Member& member : members_) sum += member.child.cpu_seconds();
  return sum;
}

std::string Network::name_of(std::string_view text) const {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (members_[i].address == text || members_[i].id.to_string() == text) {
      return fmt::format("node {}", i);
    }
  }
  return std::string(text);
}

}  // namespace qudag::app
