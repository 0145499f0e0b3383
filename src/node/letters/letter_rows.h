// Letters and registrations of a keeper as records of a file (store/record_file): their names and
// bodies, and how they are found again.
//
//   a letter         box: keeper::LetterBox; key: its id; body: the sealed letter
//   a registration   box: "r"; key: the first bytes of its letters' box; body: RegisteredRow
#pragma once

#include "keeper/letters/letter_room.h"
#include "keeper/letters/letter_store.h"
#include "keeper/registry.h"
#include "store/record_file.h"

#include <optional>
#include <vector>

namespace qudag::node {

store::RecordName name_of(const keeper::LetterRow& letter);
store::RecordName name_of(const keeper::RegisteredRow& row);
store::Box box_of(const keeper::LetterBox& box);

inline constexpr std::size_t kRegisteredBytes = 32 + 2 + 4 + 2 + 2 + 2;
std::array<std::byte, kRegisteredBytes> encode(const keeper::RegisteredRow& row);
/// malformed.
Result<keeper::RegisteredRow> decode_registered(Bytes body, UnixSeconds until);

/// What is there at the start.
struct KeptRows {
  struct Registered {
    keeper::RegisteredRow row;
    std::uint64_t number = 0;
  };
  struct Letters {
    keeper::LetterBox box{};
    std::size_t letters = 0;
    std::uint64_t bytes = 0;  // as keeper::LetterRoom counts them
  };
  std::vector<Registered> registered;
  std::vector<Letters> letters;
};
Result<KeptRows> load_rows(store::RecordFile& file, UnixSeconds now);

/// Into the tables of a keeper that begins.
void restore(const KeptRows& kept, keeper::Registry& registry, keeper::LetterRoom& room, Now now);

/// The first letter of the box above that number; `unreadable` gets the numbers of those that were
/// changed on the disk, which are passed over.
Result<std::optional<keeper::KeptLetter>> read_next(store::RecordFile& file,
                                                    const keeper::LetterBox& box,
                                                    std::uint64_t after, UnixSeconds now,
                                                    std::vector<std::uint64_t>& unreadable);
/// That record, if it is in one of the boxes.
Result<std::optional<store::RecordHead>> find_letter(store::RecordFile& file,
                                                     std::span<const keeper::LetterBox> boxes,
                                                     std::uint64_t number, UnixSeconds now);
/// Of a record that is a letter: its box.
std::optional<keeper::LetterBox> letter_box_of(const store::RecordHead& head);

}  // namespace qudag::node
