// Answers that the application owes: it took a message in hand (Taken::later) and says afterwards
// what became of it. Until then its sender hears nothing.
//
// The message stays claimed in the node's window (delivered.h), so nothing hands it out twice. If
// its circuit ends meanwhile, the sender tries again over another one: that copy is not handed out,
// but waits for the same answer. On the same shard it gets the answer at once; on another one it
// looks at the window now and then (kLookEvery).
#pragma once

#include "message/assembly.h"
#include "message/messages.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>

namespace qudag::message {

/// Messages that an application has in hand, on one shard: from there on nothing is handed out.
inline constexpr std::size_t kOwedMax = 1 << 16;
/// So many places are reserved at a time.
inline constexpr std::size_t kOwedStep = 256;
/// How often a copy looks whether another shard's application has answered.
inline constexpr auto kLookEvery = std::chrono::milliseconds(100);

struct Owed : Timed {
  Owed() : Timed(TimedKind::owed) {}

  Handed handed;
  CircuitEnd* circuit_end = nullptr;  // null: its circuit has ended
  bool is_reply = false;              // at a source: known by no key
  bool is_copy = false;               // it was handed out elsewhere
  wire::MessageId key{};
  std::optional<wire::MessageId> signed_key;
  TimePoint expires{};
  std::size_t bytes = 0;
  Priority priority = Priority::normal;

  Links<Owed> order;  // in circuit_end->owed
  Owed* same_key = nullptr;
};

using OwedOrder = List<Owed, &Owed::order>;

struct OwedKey : IdHash {
  static const wire::MessageId& key(const Owed& o) { return o.key; }
};

class OwedTable {
 public:
  explicit OwedTable(IdHash hash) : copies_(OwedKey{hash}) {}

  /// Handed out here. Copies are no more than one for each message in hand on any shard.
  std::size_t size() const { return records_.size() - copies_.size(); }
  /// Whether the next one has no place. Places are reserved some at a time: make_room().
  bool full() const { return size() >= places_; }
  void make_room(memory::Budget& budget);
  /// Null if that circuit and number have one.
  Owed* add(const Handed& handed);
  Owed* find(const Handed& handed);
  Owed* find_copy(const wire::MessageId& key) const { return copies_.find(key); }
  /// From now on it is found as a copy.
  void name_copy(Owed& owed, const wire::MessageId& key) {
    owed.is_copy = true;
    owed.key = key;
    copies_.insert(owed);
  }
  /// Not in a circuit end's list any more, and without a deadline.
  void erase(Owed& owed);

 private:
  struct Hash {
    std::size_t operator()(const Handed& handed) const {
      return static_cast<std::size_t>((handed.circuit ^ (handed.circuit >> 32)) * 31 + handed.ref);
    }
  };
  std::unordered_map<Handed, Owed, Hash> records_;
  Index<Owed, &Owed::same_key, OwedKey> copies_;
  std::size_t places_ = kOwedStep;  // the first ones are part of the shard
  memory::Reservation reserved_;    // for the others
};

}  // namespace qudag::message
