#include "node/letters/letter_rows.h"

#include <algorithm>

namespace qudag::node {
namespace {

constexpr std::byte kRegistered{'r'};
/// Rows of one query.
constexpr std::size_t kRowsAtOnce = 256;

store::RecordKey key_of(const wire::InboxId& inbox) {
  const keeper::LetterBox box = keeper::box_of(inbox);
  store::RecordKey out;
  std::copy_n(box.begin(), out.size(), out.begin());
  return out;
}

/// All of a box, in their order.
template <class F>
Status each(store::RecordFile& file, Bytes box, UnixSeconds now, F&& f) {
  std::uint64_t after = 0;
  for (;;) {
    const auto heads = file.list(box, after, kRowsAtOnce, now);
    if (!heads) return std::unexpected(heads.error());
    if (heads->empty()) return {};
    for (const store::RecordHead& head : *heads) {
      if (auto ok = f(head); !ok) return ok;
    }
    after = heads->back().number;
  }
}

}  // namespace

store::Box box_of(const keeper::LetterBox& box) { return {box.begin(), box.end()}; }

store::RecordName name_of(const keeper::LetterRow& letter) {
  return {.box = box_of(letter.box),
          .key = letter.id,
          .expires = letter.expires,
          .resent = letter.resent};
}

store::RecordName name_of(const keeper::RegisteredRow& row) {
  return {.box = {kRegistered}, .key = key_of(row.inbox), .expires = row.until, .resent = 0};
}

std::array<std::byte, kRegisteredBytes> encode(const keeper::RegisteredRow& row) {
  std::array<std::byte, kRegisteredBytes> raw;
  ByteWriter out(raw);
  out.put(row.inbox);
  out.u16(row.limits.letters);
  out.u32(row.limits.letter_bytes);
  out.u16(row.limits.joins_per_second);
  out.u16(row.limits.burst);
  out.u16(row.limits.splices);
  return raw;
}

Result<keeper::RegisteredRow> decode_registered(Bytes body, UnixSeconds until) {
  ByteReader in(body);
  keeper::RegisteredRow row;
  row.inbox = in.array<32>();
  row.limits.letters = in.u16();
  row.limits.letter_bytes = in.u32();
  row.limits.joins_per_second = in.u16();
  row.limits.burst = in.u16();
  row.limits.splices = in.u16();
  row.until = until;
  if (!in.done()) return fail(Errc::malformed, "a registration has another length");
  return row;
}

std::optional<keeper::LetterBox> letter_box_of(const store::RecordHead& head) {
  keeper::LetterBox box;
  if (head.name.box.size() != box.size()) return std::nullopt;
  std::ranges::copy(head.name.box, box.begin());
  return box;
}

Result<KeptRows> load_rows(store::RecordFile& file, UnixSeconds now) {
  KeptRows out;
  const store::Box registered{kRegistered};
  const Status read = each(file, registered, now, [&](const store::RecordHead& head) -> Status {
    if (head.bytes != kRegisteredBytes) return {};
    std::array<std::byte, kRegisteredBytes> body;
    const MutableBytes into(body);
    // One that was changed on the disk is no registration: its receiver makes another.
    if (!file.read(head, {&into, 1})) return {};
    auto row = decode_registered(body, head.name.expires);
    if (row) out.registered.push_back({.row = std::move(*row), .number = head.number});
    return {};
  });
  if (!read) return std::unexpected(read.error());
  const auto boxes = file.boxes();
  if (!boxes) return std::unexpected(boxes.error());
  for (const store::Box& box : *boxes) {
    KeptRows::Letters letters;
    if (box.size() != letters.box.size()) continue;
    std::ranges::copy(box, letters.box.begin());
    const Status counted = each(file, box, now, [&](const store::RecordHead& head) -> Status {
      ++letters.letters;
      letters.bytes += head.bytes + keeper::kLetterCost;
      return {};
    });
    if (!counted) return std::unexpected(counted.error());
    out.letters.push_back(letters);
  }
  return out;
}

void restore(const KeptRows& kept, keeper::Registry& registry, keeper::LetterRoom& room, Now now) {
  for (const KeptRows::Registered& one : kept.registered) {
    const keeper::RegisteredRow& row = one.row;
    if (row.until <= now.unix_seconds) continue;
    const auto left = std::chrono::seconds(row.until - now.unix_seconds);
    registry.restore(row.inbox, row.limits, now.mono + std::min<Duration>(left, keeper::kAwayMax),
                     now);
    room.restore(keeper::box_of(row.inbox), row.limits, row.until);
  }
  for (const KeptRows::Letters& one : kept.letters) {
    room.restore(one.box, one.letters, one.bytes);
  }
}

Result<std::optional<keeper::KeptLetter>> read_next(store::RecordFile& file,
                                                    const keeper::LetterBox& box,
                                                    std::uint64_t after, UnixSeconds now,
                                                    std::vector<std::uint64_t>& unreadable) {
  for (;;) {
    const auto heads = file.list(box, after, 1, now);
    if (!heads) return std::unexpected(heads.error());
    if (heads->empty()) return std::nullopt;
    const store::RecordHead& head = heads->front();
    after = head.number;
    if (!wire::is_letter_size(static_cast<std::uint32_t>(head.bytes))) {
      unreadable.push_back(head.number);
      continue;
    }
    keeper::KeptLetter out{.number = head.number, .id = head.name.key, .sealed = {}};
    out.sealed.resize(head.bytes);
    const MutableBytes into(out.sealed);
    const Status read = file.read(head, {&into, 1});
    if (read) return std::optional(std::move(out));
    if (read.error() != Errc::authentication_failed) return std::unexpected(read.error());
    unreadable.push_back(head.number);
  }
}

Result<std::optional<store::RecordHead>> find_letter(store::RecordFile& file,
                                                     std::span<const keeper::LetterBox> boxes,
                                                     std::uint64_t number, UnixSeconds now) {
  if (number == 0) return std::nullopt;
  for (const keeper::LetterBox& box : boxes) {
    auto heads = file.list(box, number - 1, 1, now);
    if (!heads) return std::unexpected(heads.error());
    if (!heads->empty() && heads->front().number == number) {
      return std::optional(std::move(heads->front()));
    }
  }
  return std::nullopt;
}

}  // namespace qudag::node
