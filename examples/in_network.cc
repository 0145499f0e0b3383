// Runs a program inside a network that lives in this process: `in_network PROGRAM`. The program is
// given a bootstrap entry (ID@HOST:PORT) and the id of a node that answers every message.
#include <qudag/testing/network.h>

#include <cstdio>
#include <cstdlib>
#include <string>

int main(int count, char** arguments) {
  if (count != 2) return std::fprintf(stderr, "usage: in_network PROGRAM\n"), 2;
  auto network = qudag::testing::Network::start();
  if (!network) {
    return std::fprintf(stderr, "%s\n", network.error().message().c_str()), 1;
  }
  qudag::Node& echo = (**network)[(*network)->size() - 1];
  echo.on_message([&echo](qudag::Message&& message) {
    if (message.reply_to) {
      (void)echo.reply(*message.reply_to, std::move(message.payload), {}, {});
    }
    return qudag::Accept::taken;
  });
  const std::string command = std::string(arguments[1]) + " " + (*network)->entrance().to_string() +
                              " " + echo.id().to_string();
  return std::system(command.c_str()) == 0 ? 0 : 1;
}
