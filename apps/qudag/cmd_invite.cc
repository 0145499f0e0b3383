// qudag invite: 1 the node opens the receiver, if it is not open, 2 wait until its keepers have its
// card, 3 print the invitation. qudag contact: the names that this node's owner gave.
#include "commands.h"
#include "common/json_text.h"
#include "qr.h"
#include "query.h"

#include "base/posix.h"
#include "store/file.h"

#include <fmt/format.h>
#include <unistd.h>
#include <boost/json.hpp>

#include <chrono>
#include <optional>
#include <span>
#include <thread>

namespace qudag::app {
namespace {

namespace json = boost::json;

std::string text_of(const json::value& value) {
  return value.is_string() ? std::string(value.get_string().c_str()) : std::string();
}

/// Its entry on the page; nothing if there is none.
Result<std::optional<json::value>> receiver_of(const api::Client& client, std::string_view name) {
  const Result<std::string> page = client.get("/v1/receivers");
  if (!page) return std::unexpected(page.error());
  const json::value all = json::parse(*page);
  for (const json::value& one : all.at("receivers").as_array()) {
    if (text_of(one.at("name")) == name) return std::optional(one);
  }
  return std::optional<json::value>();
}

bool at_all_keepers(const json::value& receiver) {
  const json::array& keepers = receiver.at("keepers").as_array();
  return !keepers.empty() && std::ranges::all_of(keepers, [](const json::value& keeper) {
    return keeper.at("registered").as_bool() && keeper.at("has_card").as_bool();
  });
}

/// Until each of its keepers has the card; one that does not answer is not waited for very long.
Result<json::value> wait_for_invitation(const api::Client& client, const InviteArgs& args) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::seconds kOthersMax{10};
  constexpr std::chrono::milliseconds kStep{100};
  const Clock::time_point end = Clock::now() + args.patience;
  std::optional<Clock::time_point> first;
  for (;;) {
    auto receiver = receiver_of(client, args.name);
    if (!receiver) return std::unexpected(receiver.error());
    if (*receiver && (*receiver)->at("invitation").is_string()) {
      if (!first) first = Clock::now();
      if (at_all_keepers(**receiver) || Clock::now() - *first >= kOthersMax) return **receiver;
    }
    if (Clock::now() >= end) {
      return fail(Errc::timed_out,
                  "no keeper has answered; qudag status tells whether the node has joined");
    }
    std::this_thread::sleep_for(kStep);
  }
}

/// An invitation or an id from standard input, white space around it left out.
Result<std::string> read_text() {
  constexpr std::size_t kMost = 4'096;
  std::string out(kMost, 0);
  const ssize_t got = store::read_all(STDIN_FILENO, std::as_writable_bytes(std::span(out)));
  if (got < 0) return system_failure("standard input");
  out.resize(static_cast<std::size_t>(got));
  std::erase_if(out, [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; });
  if (NodeId::parse(out)) return out;
  const auto invitation = Invitation::parse(out);
  if (!invitation)
    return fail(Errc::invalid_argument, "standard input: " + invitation.error().detail);
  return out;
}

}  // namespace

Result<Invited> invitation(const api::Client& client, const InviteArgs& args) {
  const Status opened =
      client.change("POST", fmt::format("/v1/receivers?name={}&hidden={}&keepers={}", args.name,
                                        !args.behind_router, args.keepers));
  if (!opened) return std::unexpected(opened.error());
  const Result<json::value> receiver = wait_for_invitation(client, args);
  if (!receiver) return std::unexpected(receiver.error());
  return Invited{text_of(receiver->at("id")), text_of(receiver->at("invitation"))};
}

Exit invite(const InviteArgs& args) {
  const auto invited = invitation(client_of(args.socket), args);
  if (!invited) return report(invited.error(), args.json);
  const std::string& text = invited->text;
  if (args.json) {
    const Status printed =
        print(json_text({{"name", args.name}, {"id", invited->id}, {"invitation", text}}) + "\n");
    return printed ? Exit::ok : report(printed.error(), false);
  }
  std::string out = text + "\n";
  if (args.qr || ::isatty(STDOUT_FILENO) == 1) {
    if (const auto code = qr_code(text)) out += "\n" + *code;
  }
  const Status printed = print(out);
  return printed ? Exit::ok : report(printed.error(), false);
}

Exit contact_add(const ContactArgs& args) {
  const Result<std::string> text = args.text == "-" ? read_text() : Result<std::string>(args.text);
  if (!text) return report(text.error(), args.json);
  const Status done =
      client_of(args.socket)
          .change("POST", fmt::format("/v1/contacts?name={}&text={}", args.name, escaped(*text)));
  return done ? Exit::ok : report(done.error(), args.json);
}

Exit contact_remove(const ContactArgs& args) {
  const Status done = client_of(args.socket).change("DELETE", "/v1/contacts/" + args.name);
  return done ? Exit::ok : report(done.error(), args.json);
}

Exit contact_list(const ContactArgs& args) {
  const Result<std::string> page = client_of(args.socket).get("/v1/contacts");
  if (!page) return report(page.error(), args.json);
  std::string out = args.json ? *page : std::string();
  if (!args.json) {
    const json::value all = json::parse(*page);
    for (const json::value& one : all.at("contacts").as_array()) {
      out += fmt::format("{:<24} {:<9} {}\n", text_of(one.at("name")),
                         one.at("receiver").as_bool() ? "receiver" : "node", text_of(one.at("id")));
    }
  }
  const Status printed = print(out);
  return printed ? Exit::ok : report(printed.error(), false);
}

}  // namespace qudag::app
