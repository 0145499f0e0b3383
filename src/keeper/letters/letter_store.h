// Where a keeper's letters and registrations lie: the seam to a disk. The node has a file and a
// thread behind it (node/letters), the simulator a file alone.
//
// A letter is said to be stored after its commit and not before: put() answers then. Rows go by a
// box, the hash of the inbox id.
#pragma once

#include "base/bytes.h"
#include "base/time.h"
#include "wire/keeper_frames.h"

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace qudag::keeper {

/// SHA-256("qudag/1 letter box" || inbox id).
using LetterBox = std::array<std::byte, 32>;
LetterBox box_of(const wire::InboxId& inbox);

struct LetterRow {
  LetterBox box{};
  wire::LetterId id{};
  UnixSeconds expires = 0;  // then it is deleted, taken or not
  UnixSeconds resent = 0;   // until then its id is known, taken or not
  std::vector<std::byte> sealed;
};
struct KeptLetter {
  std::uint64_t number = 0;
  wire::LetterId id{};
  std::vector<std::byte> sealed;
};
/// So that a keeper knows after a restart who is away.
struct RegisteredRow {
  wire::InboxId inbox{};
  wire::InboxEntry limits{};  // without the owner's secret
  UnixSeconds until = 0;
};

enum class LetterEnd : std::uint8_t {
  stored,
  known,   // it is there, or was taken: the same answer
  full,    // the node's own bound
  failed,  // it cannot be written
};

/// Any thread; nothing here waits for the disk. What is given as `done` runs once, on the store's
/// thread, unless false is returned or the store stops.
class LetterStore {
 public:
  virtual ~LetterStore() = default;
  [[nodiscard]] virtual bool put(LetterRow letter, std::function<void(LetterEnd)> done) = 0;
  /// The first one of the box with a number above `after`; nothing: there is none, or it cannot be
  /// read.
  [[nodiscard]] virtual bool next(const LetterBox& box, std::uint64_t after,
                                  std::function<void(std::optional<KeptLetter>)> done) = 0;
  /// Removes those of them that are in one of the boxes.
  virtual void take(std::vector<LetterBox> boxes, std::vector<std::uint64_t> numbers) = 0;
  /// Removes all of the box.
  virtual void drop(const LetterBox& box) = 0;
  virtual void put(const RegisteredRow& row) = 0;
  virtual void drop_registered(const wire::InboxId& inbox) = 0;
};

}  // namespace qudag::keeper
