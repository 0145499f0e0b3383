// What this node's receivers took of letters, over restarts: keys in a file of records, and in a
// set in memory. Of more than kSeenMax the oldest go.
//
// Threads: has() and add() from any; `done` runs on the shard that On was made for.
#pragma once

#include "keeper/letters/letter_intake.h"
#include "store/records.h"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <set>

namespace qudag::node {

class TakenLetters {
 public:
  using Post = std::function<bool(unsigned shard, std::function<void(Now)> task)>;
  TakenLetters(std::filesystem::path directory, std::function<Now()> clock, Post post, Log& log)
      : directory_(std::move(directory)),
        clock_(std::move(clock)),
        post_(std::move(post)),
        log_(log) {}
  /// Reads what is on the disk; once, before the first receiver. Until then, and if it fails, keys
  /// live as long as the process. Blocks. Errors: store::Records::open().
  Status open();
  ~TakenLetters() { stop(); }
  void stop() {
    const std::lock_guard lock(opening_);
    if (records_) records_->stop();
  }

  /// As one shard sees it. Outlived by the others.
  class On final : public keeper::SeenLetters {
   public:
    On(TakenLetters& all, unsigned shard) : all_(all), shard_(shard) {}
    bool has(const keeper::LetterKey& key) const override { return all_.has(key); }
    void add(std::span<const keeper::LetterKey> keys, std::function<void(Now)> done) override {
      all_.add(shard_, keys, std::move(done));
    }

   private:
    TakenLetters& all_;
    const unsigned shard_;
  };

 private:
  class Key;
  struct Group;

  bool has(const keeper::LetterKey& key) const;
  void add(unsigned shard, std::span<const keeper::LetterKey> keys, std::function<void(Now)> done);
  void load();
  void make_room();

  const std::filesystem::path directory_;
  const std::function<Now()> clock_;
  const Post post_;
  Log& log_;
  std::mutex opening_;
  std::unique_ptr<store::Records> records_;
  std::atomic<store::Records*> open_{nullptr};  // once it is
  mutable std::mutex mutex_;
  std::set<keeper::LetterKey> keys_;
};

}  // namespace qudag::node
