#include "nodes.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <thread>

namespace qudag::traffic {
namespace {

using namespace std::chrono_literals;
constexpr auto kPatience = 20s;

const char* from_environment(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  if (value == nullptr) give_up("no " + name + ": not inside the emulator");
  return value;
}

/// Inside, what is made belongs to that node; threads that are started too.
void enter(const std::string& space) {
  const int fd = ::open(from_environment("QUDAG_EMULATOR_NET_" + space), O_RDONLY | O_CLOEXEC);
  if (fd < 0 || ::setns(fd, CLONE_NEWNET) != 0) give_up("cannot enter " + space);
  ::close(fd);
}

Congestion congestion(std::string_view name) {
  for (const Congestion each : {Congestion::automatic, Congestion::cubic, Congestion::bbr}) {
    if (name == name_of(each)) return each;
  }
  give_up("congestion=auto, cubic or bbr");
}

}  // namespace

void give_up(const std::string& why) {
  std::fprintf(stderr, "qudag_traffic: %s\n", why.c_str());
  std::_Exit(1);
}

Words::Words(int count, char** words) {
  for (int i = 0; i < count; ++i) {
    const std::string_view word(words[i]);
    const std::size_t at = word.find('=');
    if (at == std::string_view::npos) give_up("KEY=VALUE, not " + std::string(word));
    all_[std::string(word.substr(0, at))] = word.substr(at + 1);
  }
}

std::string Words::text(const std::string& key, const std::string& otherwise) const {
  const auto found = all_.find(key);
  return found == all_.end() ? otherwise : found->second;
}

double Words::number(const std::string& key, double otherwise) const {
  const auto found = all_.find(key);
  return found == all_.end() ? otherwise : std::strtod(found->second.c_str(), nullptr);
}

void command(std::string_view line) {
  static const int fd = ::open(from_environment("QUDAG_EMULATOR_CONTROL"), O_WRONLY | O_CLOEXEC);
  const std::string text = std::string(line) + "\n";
  if (::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    give_up("the emulator takes no commands");
  }
  for (int waiting = 1; waiting > 0;) {
    if (::ioctl(fd, FIONREAD, &waiting) != 0) give_up("the emulator is gone");
  }
}

std::vector<NodeSpec> line_of(unsigned relays, bool publish) {
  const auto address = [](unsigned number) { return "10." + std::to_string(number) + ".0.1"; };
  std::vector<NodeSpec> out;
  // Everyone's bootstrap entry: only a relay passes on what it knows.
  out.push_back({.space = "b", .address = address(relays + 2), .relay = true, .publish = publish});
  for (unsigned i = 1; i <= relays; ++i) {
    out.push_back({.space = "r" + std::to_string(i), .address = address(i + 1), .relay = true});
  }
  out.push_back({.space = "a", .address = address(1), .known = false});
  return out;
}

void Nodes::start(const std::vector<NodeSpec>& specs) {
  for (const NodeSpec& spec : specs) {
    known_ += spec.known ? 1 : 0;
    Options options;
    options.listen = SocketAddress::v4(0, 0, 0, 0, spec.port);
    const auto at = SocketAddress::parse(spec.address + ":" + std::to_string(spec.port));
    if (spec.publish) options.publish = {*at};
    if (!nodes_.empty()) {
      const NodeSpec& first = specs.front();
      options.bootstrap = {
          {nodes_.front()->id(),
           *SocketAddress::parse(first.address + ":" + std::to_string(first.port))}};
    }
    options.relay = spec.relay;
    options.known = spec.known;
    options.shards = 1;
    options.guards = 0;
    options.gossip_interval = std::chrono::seconds(static_cast<int>(words_.number("gossip", 1)));
    options.limits.warm_links = static_cast<std::size_t>(words_.number("warm_links", 16));
    if (words_.text("log", "off") != "off")
      options.log_level = LogLevel::trace;
    else
      options.log_level = LogLevel::off;
    options.packet_bytes_max = static_cast<std::size_t>(words_.number("packet_bytes_max", 1'452));
    options.congestion = congestion(words_.text("congestion", "auto"));
    std::thread([&] {
      enter(spec.space);
      auto node = Node::start(options);
      if (!node) give_up(spec.space + ": " + node.error().message());
      nodes_.push_back(std::move(*node));
    }).join();
  }
}

void Nodes::wait_for_netmaps() const {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  const auto knows_all = [&](const auto& node) {
    return node->status().get().nodes_known >= known_;
  };
  while (!std::ranges::all_of(nodes_, knows_all)) {
    if (std::chrono::steady_clock::now() > until) give_up("the nodes do not find each other");
    std::this_thread::sleep_for(20ms);
  }
}

void Nodes::stop() {
  for (const auto& node : nodes_) node->stop(0ms);
}

double Nodes::metric(std::size_t node, std::string_view name, std::string_view label) const {
  double sum = 0;
  for (const MetricSample& each : nodes_[node]->metrics().get()) {
    if (each.name == name && each.labels.find(label) != std::string::npos) sum += each.value;
  }
  return sum;
}

}  // namespace qudag::traffic
