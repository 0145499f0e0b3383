// Who is there: the peer's HELLO, what came before it, and the token for the next time.
//
//   1. the handshake is complete; the peer has kHelloWithin to say HELLO, as its first frame;
//   2. streams that it opened and that overtook it wait (early.h);
//   3. the HELLO is read: they are told to the owner as if they had come now.
#include "link/connection/connection.h"

#include <utility>

namespace qudag::link {

/// Opened by the peer, which has not said HELLO yet.
bool Connection::before_hello(const Stream& stream) const {
  return !hello_seen_ && conn_ != nullptr &&
         ngtcp2_conn_is_local_stream(conn_, stream.index()) == 0;
}

bool Connection::hold_early(Stream& stream) {
  ++shared_.stats.streams_early;
  if (!early_) {
    memory::Reservation memory;
    if (memory::Budget* const budget = shared_.options.handshake_memory; budget != nullptr) {
      memory = memory::Reservation::take(*budget, EarlyStreams::kBytesMax);
      if (!memory) return false;
    }
    early_ = std::make_unique<EarlyStreams>(std::move(memory));
  }
  return early_->add(stream.index());
}

/// The HELLO is here: the streams that overtook it are streams like others.
void Connection::release_early() {
  hello_by_ = kNever;
  const std::unique_ptr<EarlyStreams> held = std::exchange(early_, nullptr);
  if (!held) return;
  for (const EarlyStreams::One& one : held->take()) {
    Stream* stream = find(one.index);
    if (stream == nullptr || closing_soon()) continue;
    take_stream(*stream);
    stream = find(one.index);
    if (stream != nullptr && !one.bytes.empty() && !closing_soon())
      take_stream_data(*stream, one.bytes);
  }
}

void Connection::drop_early(Stream& stream, EndCode code) {
  if (early_) early_->remove(stream.index());
  consume(stream, stream.unconsumed);
  reset(stream, code);
}

bool Connection::on_hello(Bytes body) {
  const auto hello = wire::parse_hello(body);
  if (!hello || hello_seen_) return violation("hello");
  if (!wire::common_version(*hello, {})) return violation("no common version");
  hello_seen_ = true;
  peer_place_ = hello->place;
  if (!dialer_ && hello->known) {
    peer_ = facts_.peer_key_id;
    give_token();
  }
  if (peer_) shared_.greeted.push_back(id_);
  release_early();
  return !closing_soon();
}

/// Who says who it is may come again without being asked for its address.
void Connection::give_token() {
  const NativePath path({}, remote());
  const std::vector<std::byte> token = shared_.address_keys->seal(path.remote, shared_.now);
  if (!token.empty()) check(ngtcp2_conn_submit_new_token(conn_, u8(Bytes(token)), token.size()));
}

/// Shown again it would say that we are the same: a node that hides who it is forgets it.
void Connection::on_new_token(Bytes token) {
  if (shared_.options.known) shared_.address_tokens.put(*peer_, token);
}

}  // namespace qudag::link
