// The disk of a keeper: letters and registrations, kept by the thread of store::Records.
//
//   put()  -> the records' queue -> a group is written and committed -> `done`
//   next() -> the records' thread reads one -> `done`
//   take() -> the records' thread finds them in their boxes -> removed, and LetterRoom hears of it
//
// Threads: any; nothing waits for the disk. Bounds: LetterRoom's, and kLooksMax of what is asked
// and not done yet: a TAKEN beyond them is forgotten, so its letters come to their receiver again.
#pragma once

#include "keeper/letters/letter_room.h"
#include "keeper/letters/letter_store.h"
#include "node/letters/letter_rows.h"
#include "store/records.h"

#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace qudag::node {

class LetterRecords final : public keeper::LetterStore {
 public:
  static constexpr std::size_t kLooksMax = 4'096;

  struct Options {
    std::filesystem::path directory;
    std::uint64_t bytes = 0;  // of letters
    std::size_t inboxes = 0;  // that may be registered
    std::function<Now()> clock;
  };
  /// Opens it and reads what is there. Errors: store::Records::open(). Blocks.
  static Result<std::unique_ptr<LetterRecords>> open(Options options, keeper::LetterRoom& room,
                                                     Log& log);
  ~LetterRecords() override { stop(); }
  /// What was there at the start, once.
  KeptRows take_kept() { return std::move(kept_); }
  /// Writes what waits; no `done` runs afterwards. Not on a thread of the node.
  void stop() {
    if (records_) records_->stop();
  }
  store::RecordsReport report() const { return records_->report(); }

  // keeper::LetterStore
  bool put(keeper::LetterRow letter, std::function<void(keeper::LetterEnd)> done) override;
  bool next(const keeper::LetterBox& box, std::uint64_t after,
            std::function<void(std::optional<keeper::KeptLetter>)> done) override;
  void take(std::vector<keeper::LetterBox> boxes, std::vector<std::uint64_t> numbers) override;
  void drop(const keeper::LetterBox& box) override;
  void put(const keeper::RegisteredRow& row) override;
  void drop_registered(const wire::InboxId& inbox) override;

 private:
  class Letter;
  class Registered;
  struct Gone {
    keeper::LetterBox box{};
    std::size_t bytes = 0;
  };

  LetterRecords(Options options, keeper::LetterRoom& room)
      : options_(std::move(options)), room_(room) {}
  Status load();
  bool look(std::function<Status(store::RecordFile&)> task);
  void remove(const store::RecordHead& head);
  void on_removed(std::uint64_t number);
  void on_expired(const store::RecordHead& head);

  const Options options_;
  keeper::LetterRoom& room_;
  std::unique_ptr<store::Records> records_;
  KeptRows kept_;
  std::mutex mutex_;  // guards all below
  std::size_t looks_ = 0;
  std::unordered_map<std::uint64_t, Gone> going_;         // letters, until it is committed
  std::map<store::RecordKey, std::uint64_t> registered_;  // numbers of their rows
};

}  // namespace qudag::node
