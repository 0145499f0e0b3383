// The disk of a simulated keeper: the same rows in the same file as a node's (node/letters),
// written and committed in virtual time: a commit takes `kCommit`, and what came meanwhile shares
// the next. A crash loses what was not committed.
#pragma once

#include "keeper/letters/letter_intake.h"
#include "keeper/letters/letter_room.h"
#include "node/letters/letter_rows.h"
#include "store/record_file.h"
#include "testing/world.h"

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <vector>

namespace qudag::testing {

class SimLetters final : public keeper::LetterStore {
 public:
  static constexpr Duration kCommit = std::chrono::milliseconds(5);

  SimLetters(World& world, Host& host, const std::filesystem::path& file, keeper::LetterRoom& room);
  ~SimLetters() override = default;

  node::KeptRows load();
  /// Letters that are on the disk.
  std::size_t letters() const { return file_->records(); }
  /// Nothing can be written from now on.
  void set_full(bool full) { full_ = full; }

  bool put(keeper::LetterRow letter, std::function<void(keeper::LetterEnd)> done) override;
  bool next(const keeper::LetterBox& box, std::uint64_t after,
            std::function<void(std::optional<keeper::KeptLetter>)> done) override;
  void take(std::vector<keeper::LetterBox> boxes, std::vector<std::uint64_t> numbers) override;
  void drop(const keeper::LetterBox& box) override;
  void put(const keeper::RegisteredRow& row) override;
  void drop_registered(const wire::InboxId& inbox) override;

 private:
  using Job = std::function<std::function<void()>()>;  // in the transaction; then after it
  void add(Job job);
  void commit();

  World& world_;
  Host& host_;
  keeper::LetterRoom& room_;
  std::unique_ptr<store::RecordFile> file_;
  std::vector<Job> jobs_;
  std::map<store::RecordKey, std::uint64_t> registered_;
  bool committing_ = false;
  bool full_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

/// What a simulated receiver has on its disk; lives over its crashes.
class SimSeen final : public keeper::SeenLetters {
 public:
  SimSeen(World& world, Host& host) : world_(world), host_(host) {}
  bool has(const keeper::LetterKey& key) const override { return keys_.contains(key); }
  void add(std::span<const keeper::LetterKey> keys, std::function<void(Now)> done) override;
  std::size_t size() const { return keys_.size(); }

 private:
  World& world_;
  Host& host_;
  std::set<keeper::LetterKey> keys_;
};

}  // namespace qudag::testing
