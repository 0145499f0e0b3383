// The form in a file, all big-endian:
//   "qudag guards" (12) || version u16 (1) || for each layer: count u16, count * guard || SHA-256
//   of all that is before it (32)
//   guard = id (32) || ip (16) || port u16 || added u64 || until u64 || confirmed u64 || gone u64
#include "netmap/routes/guards.h"

#include "crypto/kdf.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace qudag::netmap {
namespace {

constexpr std::string_view kMagic = "qudag guards";
constexpr std::uint16_t kVersion = 1;
constexpr std::size_t kGuardBytes = NodeId::kSize + 16 + 2 + 4 * 8;
constexpr std::size_t kFixedBytes = kMagic.size() + 2 + kLayers * 2 + sizeof(crypto::Digest);
static_assert(kFixedBytes + kLayers * Guards::kKeptMax * kGuardBytes <= Guards::kEncodedBytesMax);

constexpr std::chrono::seconds kClockMaySlip = std::chrono::minutes(10);

// Clocks that show less were never set: times of the file say more than they do (2025-01-01).
constexpr UnixSeconds kLongAgo = 1'735'689'600;
constexpr UnixSeconds kYear = 365ull * 24 * 3600;
constexpr UnixSeconds kSetMayBeBehind = 2 * kYear, kUnsetMayBeBehind = 100 * kYear;

UnixSeconds seconds(std::chrono::seconds time) { return static_cast<UnixSeconds>(time.count()); }

UnixSeconds life_max(Layer layer) {
  return seconds(layer == Layer::first ? Guards::kFirstLifeMax : Guards::kSecondLifeMax);
}

UnixSeconds draw_life(Layer layer, Rng& rng) {
  const bool first = layer == Layer::first;
  const UnixSeconds least = seconds(first ? Guards::kFirstLifeMin : Guards::kSecondLifeMin);
  const UnixSeconds range = life_max(layer) - least + 1;
  const UnixSeconds one = rng.below(range);
  return least + (first ? one : std::max(one, rng.below(range)));
}

std::size_t kept_max(std::size_t wanted) {
  return std::min(Guards::kKeptMax, Guards::kKeptForEach * wanted);
}

/// How long that has been, or nothing if it lies ahead: a clock was set.
UnixSeconds since(UnixSeconds then, Now now) {
  return now.unix_seconds > then ? now.unix_seconds - then : 0;
}

void write(ByteWriter& out, const Guard& guard) {
  out.put(guard.id.bytes);
  for (const std::uint8_t byte : guard.at.ip) out.u8(byte);
  out.u16(guard.at.port);
  for (const UnixSeconds time : {guard.added, guard.until, guard.confirmed, guard.gone}) {
    out.u64(time);
  }
}

Guard read(ByteReader& in) {
  Guard guard;
  guard.id.bytes = in.array<NodeId::kSize>();
  for (std::uint8_t& byte : guard.at.ip) byte = in.u8();
  guard.at.port = in.u16();
  for (UnixSeconds* time : {&guard.added, &guard.until, &guard.confirmed, &guard.gone}) {
    *time = in.u64();
  }
  return guard;
}

}  // namespace

std::vector<NodeId> Guards::ids(Layer layer) const {
  std::vector<NodeId> out;
  for (const Guard& guard : all(layer)) {
    if (guard.gone == 0) out.push_back(guard.id);
  }
  return out;
}

const Guard* Guards::find(Layer layer, const NodeId& id) const {
  const auto guards = all(layer);
  const auto at = std::ranges::find(guards, id, &Guard::id);
  return at == guards.end() ? nullptr : &*at;
}

void Guards::update(const std::function<bool(const NodeId&)>& listed, Now now) {
  if (from_file_) {
    from_file_ = false;
    settled_ = now.mono + kSettles;
    may_leave_.fill(now.mono + kLeaveEvery);
  }
  const bool was_set = clock_was_set(now);
  for (const Layer which : {Layer::first, Layer::second}) {
    for (Guard& guard : layer(which)) {
      if (was_set && guard.gone != 0) guard.gone = std::max<UnixSeconds>(now.unix_seconds, 1);
      const bool there = listed(guard.id);
      if (there == (guard.gone == 0)) continue;
      guard.gone = there ? 0 : std::max<UnixSeconds>(now.unix_seconds, 1);
      ++version_;
    }
    drop_old(which, now);
  }
}

/// Since the last look the wall clock went otherwise than time did: how long somebody has been gone
/// cannot be told by it.
bool Guards::clock_was_set(Now now) {
  const std::optional<Now> before = std::exchange(updated_, now);
  if (!before) return false;
  const auto passed = std::chrono::duration_cast<std::chrono::seconds>(now.mono - before->mono);
  const auto wall = static_cast<std::int64_t>(now.unix_seconds - before->unix_seconds);
  return std::chrono::abs(std::chrono::seconds(wall) - passed) > kClockMaySlip;
}

void Guards::drop_old(Layer which, Now now) {
  const bool first = which == Layer::first;
  const UnixSeconds gone_max = seconds(first ? kFirstGoneMax : kSecondGoneMax);
  const std::size_t before = layer(which).size();
  std::erase_if(layer(which), [&](const Guard& guard) {
    return guard.gone != 0 && since(guard.gone, now) > gone_max;
  });
  version_ += before - layer(which).size();

  TimePoint& may_leave = may_leave_[static_cast<std::size_t>(which)];
  if (now.mono < may_leave) return;
  const auto oldest = std::ranges::min_element(layer(which), {}, &Guard::until);
  if (oldest == layer(which).end() || oldest->until > now.unix_seconds) return;
  remove(which, *oldest);
  may_leave = now.mono + kLeaveEvery;
}

void Guards::remove(Layer which, const Guard& guard) {
  layer(which).erase(layer(which).begin() + (&guard - layer(which).data()));
  ++version_;
}

const Guard* Guards::longest_gone(Layer which, Now now) const {
  const UnixSeconds least = seconds(which == Layer::first ? kFirstGoneMin : kSecondGoneMin);
  const Guard* out = nullptr;
  for (const Guard& guard : all(which)) {
    if (guard.gone == 0 || since(guard.gone, now) < least) continue;
    if (out == nullptr || guard.gone < out->gone) out = &guard;
  }
  return out;
}

bool Guards::has_place(Layer layer, std::size_t wanted, Now now) const {
  const auto guards = all(layer);
  const auto gone = static_cast<std::size_t>(
      std::ranges::count_if(guards, [](const Guard& guard) { return guard.gone != 0; }));
  if (guards.size() - gone >= wanted) return false;
  if (gone > 0 && now.mono < settled_) return false;
  return guards.size() < kept_max(wanted) || longest_gone(layer, now) != nullptr;
}

void Guards::add(Layer which, const NodeId& id, std::size_t wanted, Now now, Rng& rng) {
  if (contains(which, id) || !has_place(which, wanted, now)) return;
  if (all(which).size() >= kept_max(wanted)) remove(which, *longest_gone(which, now));
  layer(which).push_back(
      {.id = id, .added = now.unix_seconds, .until = now.unix_seconds + draw_life(which, rng)});
  ++version_;
}

void Guards::confirmed(const NodeId& id, Now now) {
  std::vector<Guard>& guards = layer(Layer::first);
  const auto at = std::ranges::find(guards, id, &Guard::id);
  if (at == guards.end() || at->confirmed != 0) return;
  at->confirmed = std::max<UnixSeconds>(now.unix_seconds, 1);
  const auto place =
      std::find_if(guards.begin(), at, [](const Guard& g) { return g.confirmed == 0; });
  std::rotate(place, at, at + 1);
  ++version_;
}

void Guards::not_reached(const NodeId& first, const NodeId& second, Now now) {
  if (!contains(Layer::second, second)) return;
  // Of half of them it is believed; of more we ask it nevertheless.
  const auto said = std::ranges::count_if(breaks_, [&](const Break& one) {
    return one.believed && one.first == first && !(one.second == second) && now.mono < one.until &&
           contains(Layer::second, one.second);
  });
  const bool believed = 2 * (static_cast<std::size_t>(said) + 1) <= ids(Layer::second).size();
  auto at = std::ranges::find_if(
      breaks_, [&](const Break& one) { return one.first == first && one.second == second; });
  if (at == breaks_.end()) {
    if (breaks_.size() >= kBreaksMax) {
      breaks_.erase(std::ranges::min_element(breaks_, {}, &Break::until));
    }
    at = breaks_.insert(breaks_.end(), {.first = first, .second = second});
  } else if (now.mono < at->until && at->believed == believed) {
    return;  // of a build that was under way
  }
  at->believed = believed;
  at->lasts = std::clamp(at->lasts * 2, kBreakMin, kBreakMax);
  at->until = now.mono + at->lasts;
}

void Guards::reached(const NodeId& first, const NodeId& second, Now now) {
  std::vector<Guard>& guards = layer(Layer::second);
  const auto at = std::ranges::find(guards, second, &Guard::id);
  if (at != guards.end() && at->confirmed == 0) {
    at->confirmed = std::max<UnixSeconds>(now.unix_seconds, 1);
    ++version_;
  }
  std::erase_if(breaks_,
                [&](const Break& one) { return one.first == first && one.second == second; });
}

bool Guards::passed_over(const NodeId& first, const NodeId& second, Now now) const {
  return std::ranges::any_of(breaks_, [&](const Break& one) {
    return one.believed && one.first == first && one.second == second && now.mono < one.until;
  });
}

bool Guards::out_of_reach(const NodeId& second, Now now) const {
  const Guard* const guard = find(Layer::second, second);
  const std::ptrdiff_t enough = guard == nullptr || guard->confirmed == 0 ? 1 : 2;
  return std::ranges::count_if(breaks_, [&](const Break& one) {
           return one.second == second && now.mono < one.until;
         }) >= enough;
}

void Guards::linked(const NodeId& id, const SocketAddress& at) {
  for (Guard& guard : layer(Layer::first)) {
    if (!(guard.id == id) || guard.at == at) continue;
    guard.at = at;
    ++version_;
  }
}

// ---- the file -----------------------------------------------------------------------------------

std::vector<std::byte> Guards::encode() const {
  std::size_t guards = 0;
  for (const auto& one : layers_) guards += one.size();
  std::vector<std::byte> raw(kFixedBytes + guards * kGuardBytes);
  ByteWriter out(raw);
  out.put(as_bytes(kMagic));
  out.u16(kVersion);
  for (const auto& one : layers_) {
    out.u16(static_cast<std::uint16_t>(one.size()));
    for (const Guard& guard : one) write(out, guard);
  }
  out.put(crypto::sha256(Bytes(raw).first(out.written())));
  return raw;
}

Result<Guards> Guards::parse(Bytes raw, UnixSeconds now) {
  if (raw.size() < kFixedBytes) return fail(Errc::malformed, "guards: too short");
  if (raw.size() > kEncodedBytesMax) return fail(Errc::malformed, "guards: too long");
  const Bytes body = raw.first(raw.size() - sizeof(crypto::Digest));
  ByteReader in(body);
  if (!std::ranges::equal(in.take(kMagic.size()), as_bytes(kMagic))) {
    return fail(Errc::malformed, "guards: not a file of guards");
  }
  if (in.u16() != kVersion) return fail(Errc::malformed, "guards: of another version");
  if (!std::ranges::equal(crypto::sha256(body), raw.subspan(body.size()))) {
    return fail(Errc::malformed, "guards: changed, or cut off");
  }
  Guards out;
  const UnixSeconds added_max = now + (now > kLongAgo ? kSetMayBeBehind : kUnsetMayBeBehind);
  for (const Layer which : {Layer::first, Layer::second}) {
    const std::size_t count = in.u16();
    if (count > kKeptMax) return fail(Errc::malformed, "guards: too many");
    for (std::size_t i = 0; i < count && in.ok(); ++i) {
      Guard guard = read(in);
      if (out.contains(which, guard.id)) return fail(Errc::malformed, "guards: one twice");
      if (guard.added > added_max) guard.added = now;
      guard.until = std::min(guard.until, guard.added + life_max(which));
      guard.confirmed = std::min(guard.confirmed, now);
      guard.gone = std::min(guard.gone, now);
      out.layer(which).push_back(guard);
    }
  }
  if (!in.done()) return fail(Errc::malformed, "guards: another length than it says");
  out.from_file_ = true;
  return out;
}

}  // namespace qudag::netmap
