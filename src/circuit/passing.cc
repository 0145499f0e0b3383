// What this node gives to others, and its bound: Core's part of the quota (quota/quota.h).
//
//   1. bytes of others have left: they are counted, and their link has its window back;
//   2. their stream has its window back if the rate has tokens and nobody waits; else it stands in
//      held_windows_, and its sender stops when the rest of its window is used;
//   3. serve_held(): tokens come in, and windows are given back in turn;
//   4. a circuit that ends before leaves a debt, which its link pays first.
//
// So a byte is paid for once, nothing is dropped, nothing waits in memory, and what is passed on in
// a time is no more than rate * time, a burst, and a window for each circuit.
#include "circuit/core.h"

#include <algorithm>

namespace qudag::circuit {
namespace {

/// What windows wait for is looked at when a hundredth of a second's tokens are there.
constexpr std::uint64_t kServeOneIn = 100;
constexpr std::uint64_t kServeLeast = 1'024;
constexpr int kServedInATurn = 512, kEndedInATurn = 512;

/// A link may leave so much unpaid before its new circuits are refused, and all links four times
/// as much.
constexpr std::uint64_t kDebtLeast = 1 << 20;
constexpr std::uint64_t kDebtsOfAll = 4;

constexpr Duration kEndPassingEvery = std::chrono::seconds(1);

}  // namespace

void Core::pass_metered(Circuit& circuit, Side& from, std::size_t bytes, TimePoint now) {
  options.quota->count(bytes);
  const std::size_t back = std::min<std::size_t>(bytes, from.unconsumed);
  if (options.quota->per_second() == 0 || back == 0 || !from.open()) return consume(from, bytes);
  from.unconsumed -= static_cast<std::uint32_t>(back);
  sink.release(from.stream, back);
  std::size_t given = 0;
  if (held_windows_.empty()) given = options.quota->rate().take(options.shard, back, now);
  if (given > 0) sink.reopen(from.stream, given);
  if (given < back) hold(circuit, from, back - given, now);
}

void Core::hold(const Circuit& circuit, Side& side, std::size_t bytes, TimePoint now) {
  if (side.held == 0) {
    held_windows_.add(side.stream.link, circuit.priority == Priority::low, side.context);
    options.quota->rate().wait(options.shard, held_windows_.lines(), now);
  }
  side.held += static_cast<std::uint32_t>(bytes);
  if (serve_at_ == kNever) serve_at_ = now;
}

/// Its stream is gone: what it owes is its link's debt.
void Core::drop_held(Side& side) {
  const Circuit& circuit = *find(circuit_of(side.context));
  held_windows_.remove(side.stream.link, circuit.priority == Priority::low, side.context);
  held_windows_.owe(side.stream.link, side.held);
  side.held = 0;
}

void Core::serve_held(TimePoint now) {
  sync::SharedRate& rate = options.quota->rate();
  std::uint64_t tokens = 0;
  int turns_left = kServedInATurn;
  while (!held_windows_.empty() && turns_left-- > 0) {
    if (tokens == 0) tokens = rate.take(options.shard, HeldWindows::kPartBytes, now);
    if (tokens == 0) break;
    const HeldWindows::Turn turn = held_windows_.next();
    if (turn.debt > 0) {
      const std::uint64_t bytes = std::min(tokens, turn.debt);
      tokens -= bytes;
      held_windows_.paid(turn, bytes);
      continue;
    }
    Side& side = find(circuit_of(turn.context))->side(side_of(turn.context));
    const auto bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(tokens, side.held));
    tokens -= bytes;
    side.held -= bytes;
    const StreamId stream = side.stream;
    held_windows_.served(turn, bytes, side.held > 0);
    sink.reopen(stream, bytes);
  }
  if (tokens > 0) rate.give_back(options.shard, tokens, now);
  rate.wait(options.shard, held_windows_.lines(), now);
  serve_at_ = kNever;
  if (held_windows_.empty()) return;
  const std::uint64_t piece =
      std::clamp(options.quota->per_second() / kServeOneIn, kServeLeast, HeldWindows::kPartBytes);
  const std::uint64_t burst = std::max<std::uint64_t>(1, options.quota->burst());
  serve_at_ = rate.ready_at(options.shard, std::min(piece, burst), now);
}

bool Core::quota_refuses(LinkId link) const {
  if (!metered_) return false;
  if (options.quota->stage() >= QuotaStage::closed) return true;
  const std::uint64_t most = std::max(kDebtLeast, options.quota->burst());
  return held_windows_.debt(link) > most || held_windows_.debt() > kDebtsOfAll * most;
}

void Core::look_at_quota(Now now) {
  if (options.quota == nullptr) return;
  metered_ = options.quota->on();
  if (serve_at_ <= now.mono) serve_held(now.mono);
  if (!metered_ || now.mono < end_passing_at_) return;
  if (options.quota->stage() == QuotaStage::spent) end_passing(now);
}

/// The month's bytes are used up. None comes after these, but those that were being built.
void Core::end_passing(Now now) {
  end_passing_at_ = now.mono + kEndPassingEvery;
  int left = kEndedInATurn;
  for (const CircuitId id : ids()) {
    Circuit* const circuit = find(id);
    if (circuit == nullptr || !passes_on(*circuit) || circuit->phase == Phase::opening ||
        circuit->phase == Phase::draining) {
      continue;
    }
    if (left-- == 0) {  // the next turn goes on
      end_passing_at_ = now.mono;
      break;
    }
    ++stats.ended_quota;
    end(*circuit,
        {.why = {Errc::refused_circuits, "the month's bytes are used up"},
         .previous = EndCode::refused,
         .next = EndCode::refused},
        now);
  }
  ends_more_ = left < 0;
}

}  // namespace qudag::circuit
