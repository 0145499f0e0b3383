// modules: api
// Bytes as a method, a space and a target: the parser must answer, and what it accepts is in range.
#include "api/server/request.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t space = std::min(text.find(' '), text.size());
  const auto request = qudag::api::parse_request(text.substr(0, space),
                                                 text.substr(std::min(space + 1, text.size())));
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
