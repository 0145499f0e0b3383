// run: alone
// Two nodes in one process: a message goes over a direct link, its answer comes back on the same
// circuit. The receiver does not learn who asked.
#include <qudag/node.h>

#include <cstdio>
#include <future>
#include <string>
#include <string_view>

namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

std::string text_of(const qudag::Buffer& buffer) {
  const std::vector<std::byte> bytes = buffer.to_vector();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

int failed(const qudag::Error& error) {
  std::fprintf(stderr, "%s\n", error.message().c_str());
  return 1;
}

}  // namespace

int main() {
  qudag::Options options;
  options.shards = 1;
  options.log_level = qudag::LogLevel::warn;
  auto server = qudag::Node::start(options);
  if (!server) return failed(server.error());

  // Answers on the circuit that the question came on.
  qudag::Node& answering = **server;
  answering.on_message([&answering](qudag::Message&& message) {
    if (message.reply_to) {
      const std::string answer = "you said: " + text_of(message.payload);
      (void)answering.reply(*message.reply_to, bytes_of(answer), {.ttl = std::chrono::seconds(10)},
                            {});
    }
    return qudag::Accept::taken;
  });

  options.bootstrap = {{answering.id(), answering.address()}};
  auto client = qudag::Node::start(options);
  if (!client) return failed(client.error());

  std::promise<std::string> answered;
  (*client)->on_message([&answered](qudag::Message&& message) {
    answered.set_value(text_of(message.payload));
    return qudag::Accept::taken;
  });

  // The client has to learn the server's descriptor first.
  if (!(*client)->wait_until_known(answering.id(), std::chrono::seconds(20))) return 1;

  const qudag::SendOptions direct{.ttl = std::chrono::seconds(10), .relays = 0};
  const auto sent = (*client)->send(
      answering.id(), bytes_of("hello"), direct, [](const qudag::Delivery& delivery) {
        std::printf("the question was %s\n", std::string(name_of(delivery.outcome)).c_str());
      });
  if (!sent) return failed(sent.error());

  std::future<std::string> answer = answered.get_future();
  if (answer.wait_for(std::chrono::seconds(20)) != std::future_status::ready) {
    return failed({qudag::Errc::timed_out, "no answer"});
  }
  const std::string text = answer.get();
  std::printf("the answer is \"%s\"\n", text.c_str());
  (*client)->stop();
  (*server)->stop();
  return text == "you said: hello" ? 0 : 1;
}
