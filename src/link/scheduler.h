// Which stream of a link fills the next packet.
//
// Levels are strict: control, then high, normal, low. Inside a level streams take turns by deficit
// round robin, so that long and short pieces get the same bytes. Below a busy level every other
// level with data keeps a share of one byte in kShareOneIn, so that nothing starves.
//
// Source of the round: Shreedhar and Varghese, "Efficient fair queuing using deficit round robin",
// 1995. All lists are intrusive; nothing here allocates.
#pragma once

#include "link/stream.h"

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
  /// `stream` sent `bytes`; removes it if nothing is queued any more.
  void charge(Stream& stream, std::size_t bytes);

 private:
  struct Level {
    Stream* head = nullptr;
    Stream* tail = nullptr;
    // More urgent bytes that went out while this level had data, less what its own share paid for:
    // below 0 after a large packet.
    std::int64_t starved = 0;
  };

  void link_last(Level& level, Stream& stream);
  void unlink(Level& level, Stream& stream);

  std::array<Level, kLevelCount> levels_{};
  std::size_t streams_ = 0;
};

}  // namespace qudag::link
