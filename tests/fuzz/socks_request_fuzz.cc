// modules: gateway
// Bytes of a program at a SOCKS port, in pieces whose sizes the input says, too: bounded, the same
// in any pieces, and what is asked for is a printable name. The name is taken apart as well.
#include "gateway/names.h"
#include "gateway/socks_request.h"

#include <cstdlib>

namespace {

using namespace qudag::gateway;

struct Result {
  SocksRequest request;
  SocksRequest::State state = SocksRequest::State::more;
  std::string reply;
};

void feed(Result& out, qudag::Bytes bytes, std::size_t piece) {
  while (!bytes.empty() && out.state == SocksRequest::State::more) {
    const qudag::Bytes next = bytes.first(std::min(piece, bytes.size()));
    const auto fed = out.request.feed(next);
    if (fed.consumed > next.size()) std::abort();
    if (fed.state == SocksRequest::State::more && fed.consumed != next.size()) std::abort();
    out.state = fed.state;
    out.reply += fed.reply;
    bytes = bytes.subspan(fed.consumed);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const qudag::Bytes bytes(reinterpret_cast<const std::byte*>(data + 1), size - 1);
  Result whole, pieces;
  feed(whole, bytes, bytes.size());
  feed(pieces, bytes, std::size_t{1} + data[0]);
  if (whole.state != pieces.state || whole.reply != pieces.reply) std::abort();
  if (whole.request.name() != pieces.request.name()) std::abort();
  if (whole.reply.size() > 400) std::abort();
  if (whole.state != SocksRequest::State::asked) return 0;
  for (const char c : whole.request.name()) {
    if (c <= 0x20 || c >= 0x7f) std::abort();
  }
  const auto target = parse_name(whole.request.name(), whole.request.port(), {});
  if (target && !qudag::config::is_service_name(target->service)) std::abort();
  return 0;
}
