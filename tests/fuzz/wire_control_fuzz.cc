// modules: wire
// A control stream as it comes from a peer: frame by frame, each known body parsed and, when
// accepted, encoded again to the same bytes (flags of HELLO that we ignore excepted).
#include "wire/control.h"
#include "wire/gossip.h"

#include <algorithm>
#include <vector>

namespace {

using namespace qudag;

bool same(Bytes a, Bytes b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

void check_digest(Bytes body) {
  const auto view = wire::DigestView::parse(body);
  if (!view) return;
  std::vector<wire::DigestEntry> entries;
  for (std::size_t i = 0; i < view->size(); ++i) entries.push_back(view->at(i));
  QUDAG_ASSERT(same(wire::encode_digest(view->range(), entries), body));
}

void check_want(Bytes body) {
  const auto view = wire::WantView::parse(body);
  if (!view) return;
  std::vector<NodeId> ids;
  for (std::size_t i = 0; i < view->size(); ++i) ids.push_back(view->at(i));
  QUDAG_ASSERT(same(wire::encode_want(ids), body));
}

void check(std::uint8_t type, Bytes body) {
  switch (static_cast<wire::ControlType>(type)) {
    case wire::ControlType::hello:
      if (const auto hello = wire::parse_hello(body)) {
        QUDAG_ASSERT(wire::parse_hello(wire::encode_hello(*hello)) == hello);
        QUDAG_ASSERT(same(Bytes(wire::encode_hello(*hello)).first(4), body.first(4)));
      }
      break;
    case wire::ControlType::ping:
    case wire::ControlType::pong:
      if (const auto token = wire::parse_ping(body)) {
        QUDAG_ASSERT(same(wire::encode_ping(*token), body));
      }
      break;
    case wire::ControlType::goodbye:
      if (const auto code = wire::parse_goodbye(body)) {
        QUDAG_ASSERT(same(wire::encode_goodbye(*code), body));
      }
      break;
    case wire::ControlType::load:
      if (const auto load = wire::parse_load(body)) {
        QUDAG_ASSERT(same(wire::encode_load(*load), body));
      }
      break;
    case wire::ControlType::time:
      if (const auto seconds = wire::parse_time(body)) {
        QUDAG_ASSERT(same(wire::encode_time(*seconds), body));
      }
      break;
    case wire::ControlType::digest:
      check_digest(body);
      break;
    case wire::ControlType::want:
      check_want(body);
      break;
    case wire::ControlType::summary:
      if (const auto summary = wire::parse_summary(body)) {
        QUDAG_ASSERT(same(wire::encode_summary(*summary), body));
      }
      break;
    case wire::ControlType::ask:
      if (const auto asks = wire::parse_ask(body)) {
        QUDAG_ASSERT(same(wire::encode_ask(*asks), body));
      }
      break;
    default:
      break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader stream(Bytes(reinterpret_cast<const std::byte*>(data), size));
  while (const auto header = wire::parse_control_header(stream.rest())) {
    if (!wire::length_is_valid(*header)) break;
    stream.take(wire::kControlHeaderBytes);
    const Bytes body = stream.take(header->length);
    if (!stream.ok()) break;
    check(header->type, body);
  }
  return 0;
}
