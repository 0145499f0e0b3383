// From datagrams to links:
//   1. cut what the kernel merged into single datagrams;
//   2. find the link by the destination connection id;
//   3. without one: another shard's? a stateless reset for one of ours? an Initial that may become
//      a link, here or at a shard that has less to do? Otherwise a version negotiation, a stateless
//      reset or silence, all rate-limited.
// Nothing here trusts a byte before ngtcp2 authenticated it, and no answer is larger than three
// times the question (RFC 9000, 8.1).
#include "link/endpoint/endpoint_impl.h"

#include <ngtcp2/ngtcp2_crypto.h>

#include <algorithm>
#include <array>

namespace qudag::link {
namespace {

constexpr std::size_t kInitialBytesMin = 1200;                   // RFC 9000, 14.1
constexpr std::size_t kShortPacketMin = 1 + kCidBytes + 4 + 16;  // ids, number, tag
constexpr std::size_t kResetBytesMax = 42;  // below 43 nobody answers a reset with a reset
constexpr auto kRetryTokenLife = std::chrono::seconds(10);

}  // namespace

void Endpoint::Impl::receive(std::span<runtime::Received> batch, const SocketAddress& local,
                             Now now) {
  shared_.now = now;
  local_ = local;
  for (const runtime::Received& from : batch) {
    NativePath path(is_wildcard(from.to) ? local : from.to, from.from);
    const std::size_t segment = from.segment == 0 ? from.data.size() : from.segment;
    MutableBytes rest = from.data;
    while (!rest.empty()) {
      const MutableBytes datagram = rest.first(std::min(segment, rest.size()));
      rest = rest.subspan(datagram.size());
      ++shared_.stats.datagrams_in;
      receive_one(from, datagram, path);
    }
  }
  absorb_greeted();
  start_steps();
}

void Endpoint::Impl::receive_one(const runtime::Received& from, MutableBytes datagram,
                                 NativePath& path) {
  ngtcp2_version_cid ids{};
  const bool long_header = (std::to_integer<unsigned>(datagram[0]) & 0x80u) != 0;
  if (long_header) {
    const int rv = ngtcp2_pkt_decode_version_cid(&ids, u8(datagram), datagram.size(), kCidBytes);
    if (rv == NGTCP2_ERR_VERSION_NEGOTIATION ||
        (rv == 0 && ids.version != 0 && ids.version != NGTCP2_PROTO_VER_V1)) {
      send_version_negotiation(from, ids);
      return;
    }
    if (rv != 0) {
      ++shared_.stats.dropped_malformed;
      return;
    }
  } else {
    if (datagram.size() < 1 + kCidBytes) {
      ++shared_.stats.dropped_malformed;
      return;
    }
    ids.dcid = u8(datagram) + 1;
    ids.dcidlen = kCidBytes;
  }

  Connection* const link = shared_.routes.find(ids.dcid, ids.dcidlen);
  if (link == nullptr) {
    to_stranger(from, datagram, path, ids);
    return;
  }
  if (link->retired()) {
    const Bytes again = link->late_answer();
    const MutableBytes room = send_queue_.packet_room(again.size());
    if (again.empty() || room.empty()) return;
    std::memcpy(room.data(), again.data(), again.size());
    answer(from, room, static_cast<ngtcp2_ssize>(again.size()));
    return;
  }
  // RETRY and DROP_CONN come for a link's first packet only, which accept() reads.
  (void)link->receive(path, from.ecn, datagram);
}

void Endpoint::Impl::to_stranger(const runtime::Received& from, MutableBytes datagram,
                                 NativePath& path, const ngtcp2_version_cid& ids) {
  const EndpointOptions& options = shared_.options;
  if (options.shards > 1 && !from.handed_on && ids.dcidlen > 0 &&
      shard_of(ids.dcid[0], options.shards) != options.shard) {
    ++shared_.stats.dropped_wrong_shard;
    hand_over(from, datagram, shard_of(ids.dcid[0], options.shards), false);
    return;
  }
  const bool long_header = (std::to_integer<unsigned>(datagram[0]) & 0x80u) != 0;
  if (long_header) {
    accept(from, datagram, path);
    return;
  }
  // A peer that lost its state says so with a token that it once told us (RFC 9000, 10.3.1).
  if (datagram.size() >= NGTCP2_STATELESS_RESET_TOKENLEN + 5) {
    ResetToken token;
    std::memcpy(token.data(), datagram.data() + datagram.size() - token.size(), token.size());
    const auto found = shared_.reset_tokens.find(token);
    if (found != shared_.reset_tokens.end()) {
      (void)found->second->receive(path, from.ecn, datagram);
      return;
    }
  }
  ++shared_.stats.dropped_unknown;
  if (datagram.size() >= kShortPacketMin) send_stateless_reset(from, datagram);
}

void Endpoint::Impl::hand_over(const runtime::Received& from, MutableBytes datagram,
                               std::uint8_t shard, bool handed_on) {
  if (wrong_shard_ == nullptr) return;
  runtime::Received one = from;
  one.data = datagram;
  one.segment = datagram.size();
  one.handed_on = handed_on;
  wrong_shard_->hand_over(shard, one);
}

/// The kernel gives a stranger's first packet to a shard by the id in it, which is chance; the
/// shard that has least to do makes the link, and its own ids lead what follows there. Who answers
/// a Retry has an id of the shard that sent it.
bool Endpoint::Impl::hand_on(const runtime::Received& from, MutableBytes datagram,
                             const ngtcp2_pkt_hd& header) {
  const EndpointOptions& options = shared_.options;
  if (options.shards == 1 || !handed_on_ || from.handed_on || stopping_) return false;
  const Cid cid = Cid::of(header.dcid);
  std::optional<std::uint8_t> to = handed_on_->find(cid);
  if (!to) {
    const Bytes token(reinterpret_cast<const std::byte*>(header.token), header.tokenlen);
    const bool of_retry = !token.empty() && !AddressKeys::is_token(token);
    if (of_retry || handed_on_this_turn_ >= kAcceptsPerTurn) return false;
    to = options.place_link();
    if (*to == options.shard || !handed_on_->add(cid, *to, shared_.now.mono)) return false;
    ++handed_on_this_turn_;
    ++shared_.stats.links_handed_on;
  }
  hand_over(from, datagram, *to, true);
  return true;
}

void Endpoint::Impl::accept(const runtime::Received& from, MutableBytes datagram,
                            NativePath& path) {
  ngtcp2_pkt_hd header;
  if (datagram.size() < kInitialBytesMin ||
      ngtcp2_accept(&header, u8(datagram), datagram.size()) != 0) {
    ++shared_.stats.dropped_unknown;
    return;
  }
  if (hand_on(from, datagram, header)) return;
  Incoming incoming;
  incoming.header = &header;
  incoming.local = is_wildcard(from.to) ? local_ : from.to;
  incoming.remote = from.from;
  if (!admit(from, path, header, incoming)) return;

  const LinkId id = free_slot();
  auto made = Connection::accept(shared_, id, incoming);
  if (!made) {
    if (made.error() == Errc::refused_memory) {
      refuse(from, header, Refusal::memory);  // counts it
      return;
    }
    ++shared_.stats.links_refused;
    return;
  }
  switch ((*made)->receive(path, from.ecn, datagram)) {
    case Verdict::retry:
      send_retry(from, path, header);
      return;
    case Verdict::drop:
      ++shared_.stats.dropped_malformed;
      return;
    case Verdict::keep:
      break;
  }
  keep(id, std::move(*made));
}

/// The proof of address, if there is one; then link/admission/admission.h.
bool Endpoint::Impl::admit(const runtime::Received& from, NativePath& path,
                           const ngtcp2_pkt_hd& header, Incoming& out) {
  if (stopping_) {
    refuse(from, header, Refusal::stopping);
    return false;
  }
  const Bytes token(reinterpret_cast<const std::byte*>(header.token), header.tokenlen);
  // One that does not open says no more than none (RFC 9000, 8.1.3); a Retry's must open.
  const bool of_before = AddressKeys::is_token(token);
  out.came_before = of_before && shared_.address_keys->open(token, path.remote, shared_.now);
  if (out.came_before) ++shared_.stats.tokens_taken;
  const bool proven = out.came_before || (!token.empty() && !of_before);
  if (proven && !out.came_before) {
    ngtcp2_cid original;
    if (ngtcp2_crypto_verify_retry_token2(
            &original, header.token, header.tokenlen, native(shared_.retry_secret), Key256::size(),
            header.version, reinterpret_cast<const ngtcp2_sockaddr*>(&path.remote),
            sizeof path.remote, &header.dcid, to_native(Duration(kRetryTokenLife)),
            shared_.timestamp()) != 0) {
      ++shared_.stats.dropped_malformed;
      return false;
    }
    out.original_dcid = original;
  }
  // What others have of the places that are lent counts as taken here.
  const std::size_t most = std::min(links_most(), shared_.options.links_max);
  const Admission::Load load{.links = links_held() + (shared_.options.links_max - most),
                             .half_open = shared_.half_open};
  const auto [answer, why] = shared_.admission.ask(from.from, proven, load, shared_.now.mono);
  // A burst of strangers in one turn costs everybody else that turn: the rest of them come again.
  const bool late = !proven && accepted_this_turn_ >= kAcceptsPerTurn;
  if (answer == Admission::Answer::refuse) {
    refuse(from, header, why);
  } else if (answer == Admission::Answer::retry || late) {
    if (late) ++shared_.stats.turns_accepts_used_up;
    send_retry(from, path, header);
  } else {
    ++accepted_this_turn_;
    return true;
  }
  return false;
}

// ---- Answers without a link ---------------------------------------------------------------------

bool Endpoint::Impl::may_answer_stranger() { return stranger_answers_.take(1, shared_.now.mono); }

void Endpoint::Impl::answer(const runtime::Received& from, MutableBytes room,
                            ngtcp2_ssize written) {
  if (written <= 0 || static_cast<std::size_t>(written) > room.size()) return;
  TrainInfo train;
  train.to = from.from;
  train.from = is_wildcard(from.to) ? local_ : from.to;
  train.bytes = train.segment = static_cast<std::size_t>(written);
  send_queue_.add(train);
}

void Endpoint::Impl::send_version_negotiation(const runtime::Received& from,
                                              const ngtcp2_version_cid& ids) {
  const MutableBytes room = send_queue_.packet_room(kInitialBytesMin);
  if (from.segment < kInitialBytesMin || room.empty() || !may_answer_stranger()) {
    ++shared_.stats.dropped_malformed;
    return;
  }
  // A reserved version first, so that nobody learns to expect a fixed list (RFC 9000, 6.3).
  const auto noise = static_cast<std::uint32_t>(shared_.rng.u64());
  const std::array<std::uint32_t, 2> versions = {(noise & 0xf0f0f0f0u) | 0x0a0a0a0au,
                                                 NGTCP2_PROTO_VER_V1};
  answer(from, room,
         ngtcp2_pkt_write_version_negotiation(
             u8(room), room.size(), static_cast<std::uint8_t>(noise & 0xffu), ids.scid, ids.scidlen,
             ids.dcid, ids.dcidlen, versions.data(), versions.size()));
  ++shared_.stats.version_negotiations;
}

void Endpoint::Impl::send_stateless_reset(const runtime::Received& from, Bytes datagram) {
  const MutableBytes room = send_queue_.packet_room(kResetBytesMax);
  if (room.empty() || !may_answer_stranger()) return;
  ngtcp2_cid cid;
  ngtcp2_cid_init(&cid, u8(datagram) + 1, kCidBytes);
  ngtcp2_stateless_reset_token token;
  if (ngtcp2_crypto_generate_stateless_reset_token(token.data, native(shared_.reset_secret),
                                                   Key256::size(), &cid) != 0) {
    return;
  }
  // One byte shorter than the question, so that two such answers cannot go on for ever.
  const std::size_t size = std::min(kResetBytesMax, datagram.size() - 1);
  const auto noise = shared_.rng.bytes<kResetBytesMax>();
  answer(from, room,
         ngtcp2_pkt_write_stateless_reset2(u8(room), room.size(), &token, u8(Bytes(noise)),
                                           size - NGTCP2_STATELESS_RESET_TOKENLEN));
  ++shared_.stats.resets_sent;
}

void Endpoint::Impl::send_retry(const runtime::Received& from, NativePath& path,
                                const ngtcp2_pkt_hd& header) {
  const MutableBytes room = send_queue_.packet_room(kInitialBytesMin);
  if (room.empty()) return;
  const ngtcp2_cid source = make_cid(shared_.rng, shared_.options.shard, shared_.options.shards);
  std::array<std::uint8_t, NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN2> token;
  const ngtcp2_ssize token_size = ngtcp2_crypto_generate_retry_token2(
      token.data(), native(shared_.retry_secret), Key256::size(), header.version,
      reinterpret_cast<const ngtcp2_sockaddr*>(&path.remote), sizeof path.remote, &source,
      &header.dcid, shared_.timestamp());
  if (token_size < 0) return;
  answer(
      from, room,
      ngtcp2_crypto_write_retry(u8(room), room.size(), header.version, &header.scid, &source,
                                &header.dcid, token.data(), static_cast<std::size_t>(token_size)));
  ++shared_.stats.retries_sent;
}

void Endpoint::Impl::refuse(const runtime::Received& from, const ngtcp2_pkt_hd& header,
                            Refusal why) {
  ++shared_.stats.links_refused;
  ++shared_.stats.refused_by[static_cast<std::size_t>(why)];
  const std::string_view reason = reason_of(why);
  const MutableBytes room = send_queue_.packet_room(kInitialBytesMin);
  if (room.empty() || !may_answer_stranger()) return;
  answer(from, room,
         ngtcp2_crypto_write_connection_close(u8(room), room.size(), header.version, &header.scid,
                                              &header.dcid, NGTCP2_CONNECTION_REFUSED,
                                              reinterpret_cast<const std::uint8_t*>(reason.data()),
                                              reason.size()));
}

}  // namespace qudag::link
