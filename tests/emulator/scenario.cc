#include "scenario.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <span>

namespace qudag::emulator {
namespace {

using Words = std::vector<std::string>;
using View = std::span<const std::string>;

Words words_of(std::string_view line) {
  Words out;
  bool quoted = false, open = false;
  for (const char c : line) {
    if (c == '#' && !quoted && !open) break;
    if (c == '"') {
      quoted = !quoted;
      if (!open) out.emplace_back();
      open = true;
    } else if (!quoted && (c == ' ' || c == '\t' || c == '\r' || c == '\n')) {
      open = false;
    } else {
      if (!open) out.emplace_back();
      open = true;
      out.back() += c;
    }
  }
  return out;
}

Group group_of(std::string_view text) {
  Group out;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    out.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

struct Unit {
  std::string_view name;
  double factor;
};
constexpr Unit kTimes[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"min", 60e9}};
constexpr Unit kShares[] = {{"", 1}, {"%", 0.01}};
constexpr Unit kRates[] = {{"bit", 1}, {"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}};
constexpr Unit kSizes[] = {{"", 1}, {"B", 1}, {"kB", 1e3}, {"MB", 1e6}};
constexpr Unit kPlain[] = {{"", 1}};

std::optional<double> number(std::string_view text, std::span<const Unit> units) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !(value >= 0) || value > 1e15) return std::nullopt;
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const Unit& each : units) {
    if (each.name == unit) return value * each.factor;
  }
  return std::nullopt;
}

std::optional<Nanos> time_of(std::string_view text) {
  const auto value = number(text, kTimes);
  if (!value) return std::nullopt;
  return Nanos(static_cast<Nanos::rep>(*value));
}

std::unexpected<Error> wrong(std::string_view what, std::string_view line) {
  return fail(Errc::malformed, std::string(what) + " in: " + std::string(line));
}

Result<Command> ways(View words, std::string_view line) {
  if (words.size() < 4) return wrong("two nodes and settings are missing", line);
  SetWays out{group_of(words[1]), group_of(words[2]), words[0] == "link", {}};
  WaySettings scratch;
  for (const std::string& setting : words.subspan(3)) {
    if (auto ok = apply_setting(scratch, setting); !ok) return std::unexpected(ok.error());
    out.settings.push_back(setting);
  }
  return out;
}

Result<Command> partition(View words, std::string_view line) {
  Partition out;
  if (words.size() == 5 && words[3] == "for") out.lasts = time_of(words[4]);
  if (words.size() != 3 && !out.lasts) return wrong("partition A B [for TIME]", line);
  out.one = group_of(words[1]);
  out.other = group_of(words[2]);
  return out;
}

Result<Command> command_of(View words, std::string_view line) {
  if (words.empty()) return wrong("no command", line);
  const std::string& verb = words[0];
  if (verb == "link" || verb == "way") return ways(words, line);
  if (verb == "partition") return partition(words, line);
  if (verb == "heal" && words.size() == 1) return Heal{};
  const auto address = words.size() == 3 ? parse_ipv4(words[2]) : std::nullopt;
  if (verb == "move" && address) return Move{words[1], *address};
  if (verb == "nat" && address) return BehindNat{words[1], *address};
  if (verb == "rebind" && (address || words.size() == 2)) return Rebind{words[1], address};
  return wrong("no such command, or its words are wrong,", line);
}

}  // namespace

Status apply_setting(WaySettings& s, std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == text.npos) return wrong("no =", text);
  const std::string_view key = text.substr(0, equals);
  const std::string_view value = text.substr(equals + 1);
  const auto time = time_of(value);
  const auto share = number(value, kShares);
  const auto set = [](auto& field, const auto& parsed) {
    if (parsed) field = static_cast<std::remove_reference_t<decltype(field)>>(*parsed);
    return parsed.has_value();
  };
  bool good = false;
  if (key == "delay") good = set(s.delay, time);
  if (key == "jitter") good = set(s.jitter, time);
  if (key == "reorder_by") good = set(s.reorder_by, time);
  if (key == "loss") good = set(s.loss, share) && s.loss <= 1;
  if (key == "dup") good = set(s.dup, share) && s.dup <= 1;
  if (key == "reorder") good = set(s.reorder, share) && s.reorder <= 1;
  if (key == "burst") good = set(s.burst, number(value, kPlain));
  if (key == "rate")
    good = value == "none" ? (s.rate = 0, true) : set(s.rate, number(value, kRates));
  if (key == "queue") good = set(s.queue_bytes, number(value, kSizes));
  if (key == "queue_packets") good = set(s.queue_packets, number(value, kPlain));
  if (!good) return wrong("no such setting, or a wrong value,", text);
  return {};
}

std::optional<Nanos> parse_time(std::string_view text) { return time_of(text); }

Result<Command> parse_command(std::string_view line) { return command_of(words_of(line), line); }

Status Scenario::add(std::string_view line) {
  const Words words = words_of(line);
  if (words.empty()) return {};
  const std::string& verb = words[0];
  if ((verb == "seed" || verb == "mtu") && words.size() == 2) {
    const auto value = number(words[1], kPlain);
    if (!value || (verb == "mtu" && (*value < 576 || *value > 9'000))) return wrong("number", line);
    if (verb == "seed") seed = static_cast<std::uint64_t>(*value);
    if (verb == "mtu") mtu = static_cast<std::size_t>(*value);
    return {};
  }
  if (verb == "time" && words.size() == 2) {
    const auto value = time_of(words[1]);
    if (!value) return wrong("time", line);
    time = *value;
    return {};
  }
  if (verb == "node" && words.size() >= 3) {
    std::vector<Ipv4> addresses;
    for (const std::string& word : View(words).subspan(2)) {
      if (const auto address = parse_ipv4(word)) addresses.push_back(*address);
    }
    if (addresses.size() != words.size() - 2 || words[1] == kHost || words[1] == "*") {
      return wrong("name or address", line);
    }
    nodes.push_back({words[1], addresses[0], {addresses.begin() + 1, addresses.end()}});
    return {};
  }
  if ((verb == "run" || verb == "serve") && words.size() >= 3) {
    programs.push_back({words[1], verb == "serve", {words.begin() + 2, words.end()}});
    return {};
  }
  const bool later = verb == "at" && words.size() > 2;
  const auto at = later ? time_of(words[1]) : std::optional(Nanos(0));
  if (!at) return wrong("time", line);
  auto command = command_of(View(words).subspan(later ? 2 : 0), line);
  if (!command) return std::unexpected(command.error());
  const auto after = std::ranges::upper_bound(timed, *at, {}, &Timed::at);
  timed.insert(after, {*at, std::move(*command)});
  return {};
}

Status Scenario::check() const {
  if (nodes.empty() || nodes.size() > kNodesMax) return fail(Errc::malformed, "1 to 64 nodes");
  std::set<std::string> names;
  std::set<Ipv4> addresses;
  for (const NodeSpec& node : nodes) {
    bool once = names.insert(node.name).second && addresses.insert(node.address).second;
    for (const Ipv4 more : node.more) once = addresses.insert(more).second && once;
    if (!once) return fail(Errc::malformed, "twice: " + node.name);
  }
  for (const Program& program : programs) {
    const bool known = program.node == kHost ||
                       std::ranges::find(nodes, program.node, &NodeSpec::name) != nodes.end();
    if (!known) return fail(Errc::malformed, "no such node: " + program.node);
  }
  return {};
}

}  // namespace qudag::emulator
