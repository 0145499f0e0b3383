// Which stream of a link fills the next packet.
//
// Levels are strict: control, then high, normal, low. Inside a level sparse streams go first, those
// that have no more than a packet outstanding: a message does not wait behind a transfer. The
// others take turns by deficit round robin, so that long and short pieces get the same bytes, and
// get at least as much as the sparse ones together. Below a busy level every other level with data
// keeps a share of one byte in kShareOneIn, so that nothing starves.
//
// Source of the round: Shreedhar and Varghese, "Efficient fair queuing using deficit round robin",
// 1995; of the sparse streams: RFC 8290, 4.2. All lists are intrusive; nothing here allocates.
#pragma once

#include "base/limits.h"
#include "link/stream/stream.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace qudag::link {

/// Bytes of one turn, by level: small where latency counts, a whole bulk cell for low.
inline constexpr std::array<std::int32_t, kLevelCount> kTurnBytes = {16 * 1024, 2048, 4096,
                                                                     16 * 1024};
inline constexpr std::int64_t kShareOneIn = 16;
/// A level that waited while this much of more urgent data went out gets its share.
inline constexpr std::int64_t kStarvedBytes = 32 * 1024;

/// What a sparse stream has outstanding at most, sent or not: the content of one packet.
inline constexpr std::size_t kSparseBytes = limits::kPacketBytesPlain - 100;
/// So much of sparse streams goes before others of their level, then both get the same.
inline constexpr std::int64_t kSparseAheadMax = 16 * 1024;

class Scheduler {
 public:
  /// The stream has something to send and may.
  void add(Stream& stream);
  void remove(Stream& stream);
  bool empty() const { return streams_ == 0; }
  /// Whether all that can be sent is at most so many bytes; looks at no more streams than those
  /// that hold them.
  bool queued_at_most(std::size_t bytes) const;
  /// The most urgent level with something to send; the most urgent of all if there is none.
  std::uint8_t first_level() const;

  /// Null when nothing can be sent. The same stream until charge() ends its turn.
  Stream* pick();
  /// The same among sparse streams only: what is left of the window is theirs.
  Stream* pick_sparse();
  /// `stream` sent `bytes`; removes it if nothing is queued any more.
  void charge(Stream& stream, std::size_t bytes);

 private:
  struct Line {
    Stream* head = nullptr;
    Stream* tail = nullptr;
  };
  struct Level {
    bool empty() const { return sparse.head == nullptr && turns.head == nullptr; }
    Stream* first() const;

    Line sparse;
    Line turns;
    std::int64_t sparse_ahead = 0;  // bytes that sparse streams had more than those with turns
    // More urgent bytes that went out while this level had data, less what its own share paid for:
    // below 0 after a large packet.
    std::int64_t starved = 0;
  };

  Line& line_of(const Stream& stream);
  static void link_last(Line& line, Stream& stream);
  static void unlink(Line& line, Stream& stream);
  static Stream* begin_turn(Stream* stream);

  std::array<Level, kLevelCount> levels_{};
  std::size_t streams_ = 0;
};

}  // namespace qudag::link
