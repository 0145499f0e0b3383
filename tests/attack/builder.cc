#include "attack/builder.h"

#include "wire/message_frames.h"

#include <array>
#include <cstring>

namespace qudag::attack {
namespace {

using namespace std::chrono_literals;

constexpr Duration kPace = 10ms;
constexpr auto kBuildTimeout = 10s;  // as a node waits
constexpr auto kPatience = 30s;
/// More than a user has; links take turns with builds, so more would wait for each other and, with
/// those of attackers, be more than a node keeps places for.
constexpr std::size_t kUnderWayMax = 50;
constexpr std::size_t kMessageBytes = 256;

RogueOptions options() {
  RogueOptions out;
  out.build_timeout = kBuildTimeout;
  return out;
}

bool is_delivered(Bytes payload) {
  wire::FrameReader frames(payload);
  while (const auto frame = frames.next()) {
    const auto* ack = std::get_if<wire::AckFrame>(&*frame);
    if (ack != nullptr) return ack->status == wire::AckStatus::delivered;
  }
  return false;
}

bool has_answer(Bytes payload) {
  wire::FrameReader frames(payload);
  while (const auto frame = frames.next()) {
    if (std::holds_alternative<wire::AckFrame>(*frame)) return true;
  }
  return false;
}

}  // namespace

Builder::Builder(const PeerAddress& relay, const NodeId& to)
    : relay_(relay), to_(to), thread_([this] { run(); }) {}

Builder::~Builder() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void Builder::run() {
  peer_ = std::make_unique<Rogue>(options());
  peer_->on_ready = [this](circuit::CircuitId circuit, Duration took) {
    {
      const std::lock_guard lock(mutex_);
      under_way_[circuit].ready = true;
      ++figures_.built;
      figures_.build_ns.record(static_cast<std::uint64_t>(took.count()));
    }
    say(circuit);
  };
  peer_->on_cell = [this](circuit::CircuitId circuit, Bytes payload) {
    if (!has_answer(payload)) return;  // credit
    peer_->circuits().close(circuit, Rogue::now());
    ended(circuit, is_delivered(payload) ? "" : "the message was refused");
  };
  peer_->on_end = [this](circuit::CircuitId circuit, const Error& why) {
    ended(circuit, why.message());
  };
  TimePoint next = Rogue::now().mono;
  while (!stop_ || !under_way_.empty()) {
    peer_->turn();
    give_up_late();
    if (peer_->links_closed > 0) link_.reset();
    const TimePoint now = Rogue::now().mono;
    if (now < next || stop_ || pause_) continue;
    if (join()) ask();
    next = std::max(next + kPace, now - 10 * kPace);
  }
}

bool Builder::join() {
  if (!link_) {
    peer_->links_closed = 0;
    link_ = peer_->join(relay_);
  }
  return link_ && peer_->hop(relay_.id) && peer_->hop(to_);
}

void Builder::ask() {
  if (under_way_.size() >= kUnderWayMax) return;
  const std::array route{*peer_->hop(relay_.id), *peer_->hop(to_)};
  const Now now = Rogue::now();
  const auto circuit = peer_->circuits().build(route, Priority::normal, now);
  const std::lock_guard lock(mutex_);
  ++figures_.asked;
  if (!circuit) {
    ++figures_.otherwise[circuit.error().message()];
    return;
  }
  under_way_[*circuit] = {.at = now.mono};
  open_ = under_way_.size();
}

/// One message of one fragment.
void Builder::say(circuit::CircuitId circuit) {
  memory::Block payload = peer_->circuits().payload_block(Priority::normal);
  if (!payload) return;
  static constexpr std::array<std::byte, kMessageBytes> kText{};
  wire::MessageStart start{
      .size = kMessageBytes, .ttl_ms = 32'768, .priority = Priority::normal, .in_reply_to = {}};
  rng_.fill(start.id);
  ByteWriter out(payload.bytes());
  wire::append(out, wire::ScopeFrame{});
  wire::append(out, wire::DataFrame{.ref = 0, .start = start, .last = true, .bytes = kText});
  wire::append_padding(out);
  peer_->circuits().send(circuit, std::move(payload), Rogue::now());
}

/// `otherwise` empty: its message was delivered.
void Builder::ended(circuit::CircuitId circuit, const std::string& otherwise) {
  const std::lock_guard lock(mutex_);
  const auto at = under_way_.find(circuit);
  if (at == under_way_.end()) return;
  if (otherwise.empty()) {
    ++figures_.answered;
    ++answered_;
    const Duration took = Rogue::now().mono - at->second.at;
    figures_.message_ns.record(static_cast<std::uint64_t>(took.count()));
  } else {
    ++figures_.otherwise[(at->second.ready ? "after it was ready: " : "") + otherwise];
  }
  under_way_.erase(at);
  open_ = under_way_.size();
  if (open_ == 0 || otherwise.empty()) changed_.notify_all();
}

void Builder::give_up_late() {
  const TimePoint now = Rogue::now().mono;
  std::vector<circuit::CircuitId> late;
  for (const auto& [circuit, asked] : under_way_) {
    if (now - asked.at > kPatience) late.push_back(circuit);
  }
  for (const circuit::CircuitId circuit : late) {
    peer_->circuits().close(circuit, Rogue::now());
    ended(circuit, "no answer");
  }
}

bool Builder::wait_ready() const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [this] { return answered_ > 0; });
}

Builder::Figures Builder::mark() {
  pause_ = true;
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kPatience, [this] { return open_ == 0; });
  pause_ = false;
  return std::exchange(figures_, {});
}

Builder::Figures Builder::finish() {
  stop_ = true;
  thread_.join();
  const std::lock_guard lock(mutex_);
  return std::exchange(figures_, {});
}

}  // namespace qudag::attack
