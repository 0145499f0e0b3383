// modules: api
// Bytes as a method, a space and a target: the parser must answer, and what it accepts is in range.
// The same target, and as a token too, at the port of the web page: nobody gets past the files
// without having been told the token.
#include "api/server/request.h"
#include "api/server/view/web_gate.h"

#include <cstdlib>

static void ask_gate(std::string_view method, std::string_view target) {
  static const qudag::api::WebGate gate(true);
  const auto answer = gate.ask({.method = method,
                                .target = target,
                                .host = "127.0.0.1:80",
                                .origin = "http://127.0.0.1:80",
                                .token = target});
  if (answer.what == qudag::api::WebAnswer::What::pass) std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t space = std::min(text.find(' '), text.size());
  const auto request = qudag::api::parse_request(text.substr(0, space),
                                                 text.substr(std::min(space + 1, text.size())));
  ask_gate(text.substr(0, space), text.substr(std::min(space + 1, text.size())));
  if (!request) {
    if (request.error().status < 400 || request.error().status > 499) std::abort();
    return 0;
  }
  if (const auto* post = std::get_if<qudag::api::PostMessage>(&*request)) {
    if (post->options.relays > qudag::kRelaysMax || post->options.ttl.count() < 1) std::abort();
  }
  if (const auto* one = std::get_if<qudag::api::AcknowledgeMessage>(&*request)) {
    const bool again = one->answer == qudag::api::AcknowledgeRecord::Answer::again;
    if (one->delay && (!again || one->delay->count() < 0 || *one->delay > qudag::api::kAgainMax)) {
      std::abort();
    }
  }
  return 0;
}
