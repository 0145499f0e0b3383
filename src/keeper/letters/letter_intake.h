// Letters at their receiver: opened letters -> their messages -> those that were not taken before
// -> messages, 64 at a time -> what became of them -> noted on the disk -> the letter may be
// deleted.
//
// A letter is kept by its keeper until all of its messages were taken: what was taken of one that
// comes again, since this node or its keeper ended in between, is not handed out twice
// (SeenLetters).
//
// Owned by a shard, used on its thread only.
#pragma once

#include "base/bytes.h"
#include "keeper/ports.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <span>
#include <vector>

namespace qudag::keeper {

/// The keys of messages that were taken, over restarts. Bounded: of more than kSeenMax the oldest
/// go.
class SeenLetters {
 public:
  static constexpr std::size_t kSeenMax = 65'536;
  virtual ~SeenLetters() = default;
  virtual bool has(const LetterKey& key) const = 0;
  /// `done` on the caller's thread, once they outlive a crash; or when they cannot be written,
  /// which costs the promise and no message.
  virtual void add(std::span<const LetterKey> keys, std::function<void(Now)> done) = 0;
};

/// One message of a letter.
struct LetterMessage {
  LetterKey key{};
  Priority priority = Priority::normal;
  std::vector<std::byte> frames;  // what a new circuit would bring: SCOPE, then DATA of ref 0
};
inline constexpr std::size_t kMessagesOfLetter = 256;
/// malformed: anything but whole messages, each under a scope.
Result<std::vector<LetterMessage>> split_letter(const NodeId& receiver, Bytes frames);

struct IntakeStats {
  std::uint64_t letters = 0, bad = 0, messages = 0, repeated = 0, not_taken = 0;
};

class LetterIntake final : private LetterHost {
 public:
  /// `seen`: null: of this run only. All outlive this.
  LetterIntake(const NodeId& receiver, Ports& ports, SeenLetters* seen)
      : receiver_(receiver), ports_(ports), seen_(seen) {}
  ~LetterIntake() override = default;

  /// `early`: our clock may be behind, so what is refused for its time may be taken later.
  /// `done(true)`: nothing of it is wanted again. Not inside this call.
  void take(std::vector<LetterMessage> messages, bool early,
            std::function<void(bool taken, Now)> done, Now now);
  /// They were taken as messages of a hail that may come as a letter, too.
  void note(std::span<const LetterKey> keys);
  void on_time(Now now);
  /// Something is to be told.
  bool due() const { return !ended_.empty(); }
  void close(Now now);
  IntakeStats& stats() { return stats_; }
  const IntakeStats& stats() const { return stats_; }

 private:
  struct Letter {
    std::vector<LetterKey> taken;
    std::size_t left = 0;  // messages without an answer
    bool all = true;       // nothing has to come again
    bool early = false;
    std::function<void(bool, Now)> done;
  };
  struct Waiting {
    std::uint64_t letter = 0;
    LetterMessage message;
  };
  void answered(std::uint64_t token, wire::AckStatus status, Now now) override;
  void hand_out(Now now);
  void note(std::uint64_t letter, Now now);
  bool was_taken(const LetterKey& key) const;

  const NodeId receiver_;
  Ports& ports_;
  SeenLetters* const seen_;
  std::map<LetterKey, bool> own_;  // without a disk
  std::map<std::uint64_t, Letter> letters_;
  std::map<std::uint64_t, std::pair<std::uint64_t, LetterKey>> out_;  // by token: letter, message
  std::deque<Waiting> waiting_;
  std::vector<std::uint64_t> ended_;  // letters, to be told
  std::uint64_t next_ = 1;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // owners: this, notes under way
  IntakeStats stats_;
};

}  // namespace qudag::keeper
