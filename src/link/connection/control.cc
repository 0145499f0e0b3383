// The control stream's frames, as they leave and as they come.
#include "link/connection/connection.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace qudag::link {
namespace {

constexpr std::uint8_t number_of(wire::ControlType type) { return static_cast<std::uint8_t>(type); }

/// Unsent control bytes per link; beyond it the peer is too slow and frames are refused.
constexpr std::size_t kControlQueueBytesMax = 256 * 1024;

/// Such frames share blocks: a PONG in a block of its own would hold a hundred times its bytes.
constexpr std::size_t kSmallBodyMax = 64;

/// In blocks as large as it is; empty if the pool had none.
memory::Chain frame_of(memory::BlockPool& pool, Bytes head, Bytes body) {
  const std::size_t total = head.size() + body.size();
  const auto size = total <= memory::capacity_of(memory::BlockSize::cell) ? memory::BlockSize::cell
                                                                          : memory::BlockSize::bulk;
  memory::Chain frame;
  while (!head.empty() || !body.empty()) {
    memory::Block block = pool.take(size, memory::For::high);
    if (!block) return {};
    for (Bytes* part : {&head, &body}) {
      const std::size_t n = std::min(block.capacity() - block.size(), part->size());
      if (n == 0) continue;
      const std::size_t at = block.size();
      block.append(n);
      std::memcpy(block.data() + at, part->data(), n);
      *part = part->subspan(n);
    }
    frame.push_back(std::move(block));
  }
  return frame;
}

}  // namespace

bool Connection::probe_peer() {
  return send_control(number_of(wire::ControlType::ping), wire::encode_ping(shared_.rng.u64()));
}

bool Connection::send_control(std::uint8_t type, Bytes body) {
  if (retired() || closing_soon() || state() < LinkState::ready) return false;
  if (body.size() > wire::kControlBodyBytesMax) return false;
  if (streams_.control().queued_bytes() + body.size() > kControlQueueBytesMax) return false;
  const auto header = wire::encode_control_header(type, body.size());
  if (body.size() <= kSmallBodyMax) {
    std::array<std::byte, wire::kControlHeaderBytes + kSmallBodyMax> small;
    std::ranges::copy(body, std::ranges::copy(header, small.begin()).out);
    if (streams_.control().append(Bytes(small).first(header.size() + body.size()))) {
      shared_.stats.bytes_copied += header.size() + body.size();
      return true;
    }
  }
  memory::Chain frame = frame_of(shared_.pool, header, body);
  if (frame.empty()) return false;
  shared_.stats.bytes_copied += header.size() + body.size();
  while (!frame.empty()) write(streams_.control(), frame.pop_front());
  return true;
}

bool Connection::on_control_data(Bytes data) {
  control_pace_.note(data.size(), 0);
  ControlFrame frame;
  for (;;) {
    switch (control_reader_.next(data, frame)) {
      case ControlReader::Step::need_more:
        return true;
      case ControlReader::Step::malformed:
        return violation("control frame too long");
      case ControlReader::Step::frame:
        break;
    }
    control_pace_.note(0, 1);
    if (!on_control_frame(frame) || closing_soon()) return false;
  }
}

/// As much of its window as its peer's pace allows.
void Connection::pay_control() { consume(streams_.control(), control_pace_.pay(shared_.now.mono)); }

bool Connection::on_control_frame(const ControlFrame& in) {
  const auto type = static_cast<wire::ControlType>(in.type);
  if (type == wire::ControlType::hello) return on_hello(in.body);
  if (!hello_seen_) return violation("no hello");
  switch (type) {
    case wire::ControlType::ping: {
      const auto token = wire::parse_ping(in.body);
      if (!token) return violation("ping");
      send_control(number_of(wire::ControlType::pong), wire::encode_ping(*token));
      return true;
    }
    case wire::ControlType::pong:
      return wire::parse_ping(in.body) || violation("pong");
    case wire::ControlType::goodbye: {
      const auto code = wire::parse_goodbye(in.body);
      if (!code) return violation("goodbye");
      const bool replaced = *code == static_cast<std::uint8_t>(EndCode::none);
      begin_drain(LifeEvent::heard_goodbye, replaced ? Drain::replaced : Drain::stopping);
      if (replaced) say_goodbye(Drain::replaced);  // nothing more from us either
      return true;
    }
    default:
      break;
  }
  if (wire::is_forbidden_control_type(in.type)) return violation("unknown control frame");
  if (wire::is_known_control_type(in.type)) {  // gossip and load are the owner's
    shared_.events.on_control_frame(id_, in.type, in.body, shared_.now);
  }
  return true;
}

}  // namespace qudag::link
