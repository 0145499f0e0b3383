// qudag pipe, forward, expose: pipes for programs that speak TCP or nothing but bytes, over a node
// that runs. What forward and expose make lasts as long as the command.
#include "commands.h"
#include "query.h"

#include "api/client/client.h"

#include <fmt/format.h>
#include <unistd.h>
#include <boost/json.hpp>
#include <csignal>

#include <string>

namespace qudag::app {
namespace {

/// One line of the node's, for people or as it is.
Exit hold(const SocketArgs& socket, const std::string& target, bool json, std::string_view key,
          const std::string& says) {
  // Its end is in order: the node withdraws what was made when the connection has ended.
  std::signal(SIGINT, [](int) { ::_exit(0); });
  std::signal(SIGTERM, [](int) { ::_exit(0); });
  const Status ended = client_of(socket).hold(target, [&](std::string_view line) {
    if (json) {
      static_cast<void>(print(std::string(line) + "\n"));
      return;
    }
    boost::system::error_code ec;
    const auto value = boost::json::parse(boost::json::string_view(line.data(), line.size()), ec);
    const auto* text = ec || !value.is_object()
                           ? nullptr
                           : value.get_object().if_contains({key.data(), key.size()});
    const std::string shown =
        text != nullptr && text->is_string() ? std::string(text->get_string()) : std::string();
    static_cast<void>(print(fmt::format("{} {}; Ctrl-C ends it\n", says, shown)));
  });
  return report(ended.error(), json);
}

}  // namespace

Exit pipe(const PipeArgs& args) {
  const std::string target =
      fmt::format("/v1/pipes?to={}&service={}&priority={}&relays={}", args.to, args.service,
                  name_of(args.priority), args.relays);
  const Status done = client_of(args.socket).pipe(target, STDIN_FILENO, STDOUT_FILENO);
  return done ? Exit::ok : report(done.error(), false);
}

Exit forward(const ForwardArgs& args) {
  const std::string target =
      fmt::format("/v1/forwards?listen={},priority={},relays={}&to={}&service={}",
                  escaped(args.listen), name_of(args.priority), args.relays, args.to, args.service);
  return hold(args.socket, target, args.json, "listen",
              fmt::format("{} of {} is at", args.service, args.to));
}

Exit expose(const ExposeArgs& args) {
  return hold(args.socket, "/v1/services?service=" + escaped(args.service), args.json, "name",
              "others reach it as");
}

}  // namespace qudag::app
