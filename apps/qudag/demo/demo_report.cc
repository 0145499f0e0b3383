// The demo's result as JSON and as a short table.
#include "common/json_text.h"
#include "demo/receiver.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <functional>

namespace qudag::app {
namespace {

namespace json = boost::json;

double us(const LoadResult& load, double percent) {
  return static_cast<double>(load.latency_ns.percentile(percent)) / 1e3;
}

json::object receiver_json(const ReceiverResult& r, bool behind_nat) {
  return {{"behind_nat", behind_nat},
          {"invited_s", r.invited_seconds},
          {"messages",
           {{"sent", r.messages.sent},
            {"delivered", r.messages.delivered},
            {"received_once", r.messages.received},
            {"wrong", r.messages.wrong},
            {"per_s", r.messages.per_second()},
            {"p50_us", us(r.messages, 50)},
            {"p99_us", us(r.messages, 99)}}},
          {"file",
           {{"bytes", r.file.bytes},
            {"sha256_match", r.file.sha256_match},
            {"seconds", r.file.seconds},
            {"mb_per_s", r.file.mb_per_s}}},
          {"letters",
           {{"sent", kLetters},
            {"stored", r.stored},
            {"received_once", r.letters_received},
            {"wrong", r.letters_wrong},
            {"store_s", r.store_seconds},
            {"fetch_s", r.fetch_seconds}}}};
}

using Line = std::function<void(std::string_view what, const std::string& value)>;

void receiver_table(const ReceiverResult& r, const Line& line) {
  line("invited after", fmt::format("{:.1f} s from the start of its node", r.invited_seconds));
  line("file",
       fmt::format("{} bytes in {:.2f} s, {:.1f} MB/s, SHA-256 {}", r.file.bytes, r.file.seconds,
                   r.file.mb_per_s, r.file.sha256_match ? "matches" : "DOES NOT MATCH"));
  const LoadResult& m = r.messages;
  line("messages", fmt::format("{} of {} delivered, {} received once and whole, {:.0f}/s",
                               m.delivered, m.sent, m.received, m.per_second()));
  if (m.other > 0) line("", "first error: " + m.first_other.message());
  line("latency, one way", fmt::format("p50 {:.0f} us, p99 {:.0f} us", us(m, 50), us(m, 99)));
  line("killed; letters",
       fmt::format("{} of {} stored after {:.1f} s", r.stored, kLetters, r.store_seconds));
  if (!r.letter_error.empty()) line("", r.letter_error);
  line("there again", fmt::format("{} of them received once and whole {:.1f} s from its start",
                                  r.letters_received, r.fetch_seconds));
}

}  // namespace

std::string demo_json(const DemoResult& r) {
  json::array relays;
  for (const RelayView& view : r.relays) {
    relays.push_back(json::object{{"relay", view.relay},
                                  {"priority", view.priority},
                                  {"previous", view.previous},
                                  {"next", view.next},
                                  {"cells_forward", view.cells_forward},
                                  {"cells_backward", view.cells_backward}});
  }
  json::array tls(r.tls.begin(), r.tls.end());
  const LoadResult& m = r.messages;
  json::object messages{{"sent", m.sent},
                        {"delivered", m.delivered},
                        {"received_once", m.received},
                        {"wrong", m.wrong},
                        {"bytes", r.args.message_bytes},
                        {"window", r.args.window},
                        {"seconds", m.seconds},
                        {"per_s", m.per_second()},
                        {"p50_us", us(m, 50)},
                        {"p99_us", us(m, 99)},
                        {"unloaded_p50_us", us(r.unloaded, 50)},
                        {"unloaded_p99_us", us(r.unloaded, 99)}};
  if (m.other > 0) messages["first_error"] = m.first_other.message();
  json::object file{{"bytes", r.file.bytes},
                    {"sha256_match", r.file.sha256_match},
                    {"seconds", r.file.seconds},
                    {"mb_per_s", r.file.mb_per_s}};
  if (r.file.delivery.outcome != Outcome::delivered) {
    file["error"] = r.file.delivery.reason.message();
  }
  json::value receiver;
  if (r.receiver) receiver = receiver_json(*r.receiver, !r.args.receiver_net.empty());
  return json_text(json::object{{"ok", r.ok()},
                                {"relays", r.args.relays},
                                {"processes", r.args.net.nodes},
                                {"file", std::move(file)},
                                {"messages", std::move(messages)},
                                {"circuit_build_ms", r.circuit_build_ms},
                                {"circuit_builds", r.circuit_builds},
                                {"cpu_s_per_gb", r.cpu_s_per_gb()},
                                {"stopped_in_order", r.stopped_in_order},
                                {"tls", std::move(tls)},
                                {"receiver", std::move(receiver)},
                                {"relays", std::move(relays)}}) +
         "\n";
}

std::string demo_table(const DemoResult& r) {
  const LoadResult& m = r.messages;
  std::string out = fmt::format("\n{} processes, {} relays between sender and receiver\n\n",
                                r.args.net.nodes, r.args.relays);
  const auto line = [&out](std::string_view what, const std::string& value) {
    out += fmt::format("  {:<22} {}\n", what, value);
  };
  line("file",
       fmt::format("{} bytes in {:.2f} s, {:.1f} MB/s, SHA-256 {}", r.file.bytes, r.file.seconds,
                   r.file.mb_per_s, r.file.sha256_match ? "matches" : "DOES NOT MATCH"));
  if (r.file.delivery.outcome != Outcome::delivered) line("", r.file.delivery.reason.message());
  line("CPU", fmt::format("{:.1f} s per GB, all nodes together", r.cpu_s_per_gb()));
  line("messages", fmt::format("{} of {} delivered, {} received once and whole, {:.0f}/s",
                               m.delivered, m.sent, m.received, m.per_second()));
  if (m.other > 0) line("", "first error: " + m.first_other.message());
  line("latency, one way", fmt::format("p50 {:.0f} us, p99 {:.0f} us, with {} messages under way",
                                       us(m, 50), us(m, 99), r.args.window));
  line("", fmt::format("p50 {:.0f} us, p99 {:.0f} us, one message at a time", us(r.unloaded, 50),
                       us(r.unloaded, 99)));
  line("circuit build",
       fmt::format("{:.2f} ms (median of {})", r.circuit_build_ms, r.circuit_builds));
  for (const std::string& tls : r.tls) line("links", tls);
  line("stopped in order", r.stopped_in_order ? "yes" : "NO");

  out += "\n  What each relay saw of a circuit, and nothing else:\n";
  out += fmt::format("  {:<10}{:<8}{:<26}{:<26}{:>12}{:>12}\n", "relay", "priority", "previous hop",
                     "next hop", "cells ->", "cells <-");
  for (const RelayView& view : r.relays) {
    out += fmt::format("  {:<10}{:<8}{:<26}{:<26}{:>12}{:>12}\n", view.relay, view.priority,
                       view.previous, view.next, view.cells_forward, view.cells_backward);
  }
  if (r.receiver) {
    out += fmt::format("\n  To a receiver without an address{}:\n",
                       r.args.receiver_net.empty() ? "" : ", behind a NAT");
    receiver_table(*r.receiver, line);
  }
  return out + fmt::format("\n  {}\n", r.ok() ? "ok" : "FAILED");
}

}  // namespace qudag::app
