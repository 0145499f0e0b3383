#include "node/letters/taken_letters.h"

#include "keeper/letters/letter_seal.h"

#include <algorithm>
#include <future>
#include <utility>

namespace qudag::node {
namespace {

constexpr std::size_t kMax = keeper::SeenLetters::kSeenMax;
/// So many of the oldest make room at a time.
constexpr std::size_t kOldest = 1'024;
const store::Box kBox{std::byte{'t'}};

}  // namespace

/// The keys of one add(): told when the last of them is on the disk.
struct TakenLetters::Group {
  TakenLetters& owner;
  unsigned shard = 0;
  std::function<void(Now)> done;
  ~Group() {
    // A mailbox that is full: the letter comes again, and is known then.
    static_cast<void>(owner.post_(shard, std::move(done)));
  }
};

class TakenLetters::Key final : public store::NewRecord {
 public:
  Key(const keeper::LetterKey& key, UnixSeconds until, std::shared_ptr<Group> group)
      : name_{.box = kBox, .key = key, .expires = until, .resent = 0}, group_(std::move(group)) {}
  const store::RecordName& name() const override { return name_; }
  void body(std::vector<Bytes>&) const override {}
  std::uint64_t bytes() const override { return 0; }
  void done(store::AddEnd) override { group_.reset(); }

 private:
  const store::RecordName name_;
  std::shared_ptr<Group> group_;  // owners: the keys of one letter
};

Status TakenLetters::open() {
  const std::lock_guard lock(opening_);
  if (records_) return {};
  const std::uint64_t most = kMax + 2 * kOldest;
  auto records = store::Records::open(
      {.directory = directory_,
       .quota = {.records_max = most, .bytes_max = most * store::kRecordCost, .seen_max = 1},
       .clock = clock_,
       .what = "letters taken"},
      log_);
  if (!records) return std::unexpected(records.error());
  records_ = std::move(*records);
  load();
  open_.store(records_.get(), std::memory_order_release);
  return {};
}

void TakenLetters::load() {
  std::promise<void> loaded;
  records_->look([&](store::RecordFile* file) -> Status {
    Status done(std::in_place);
    for (std::uint64_t after = 0; file != nullptr;) {
      const auto heads = file->list(kBox, after, kOldest, clock_().unix_seconds);
      if (!heads) done = std::unexpected(heads.error());
      if (!heads || heads->empty()) break;
      const std::lock_guard lock(mutex_);
      for (const store::RecordHead& head : *heads) keys_.insert(head.name.key);
      after = heads->back().number;
    }
    loaded.set_value();
    return done;
  });
  loaded.get_future().wait();
}

bool TakenLetters::has(const keeper::LetterKey& key) const {
  const std::lock_guard lock(mutex_);
  return keys_.contains(key);
}

void TakenLetters::add(unsigned shard, std::span<const keeper::LetterKey> keys,
                       std::function<void(Now)> done) {
  const UnixSeconds until =
      clock_().unix_seconds + std::chrono::seconds(keeper::kLetterAgeMax).count();
  const auto group = std::make_shared<Group>(*this, shard, std::move(done));
  bool full = false;
  {
    const std::lock_guard lock(mutex_);
    keys_.insert(keys.begin(), keys.end());
    full = keys_.size() > kMax;
  }
  if (full) make_room();
  for (const keeper::LetterKey& key : keys) {
    store::Records* const records = open_.load(std::memory_order_acquire);
    if (records == nullptr) continue;
    std::unique_ptr<store::NewRecord> record = std::make_unique<Key>(key, until, group);
    static_cast<void>(records->add(record));  // else it ends here, and counts in memory
  }
}

/// The oldest go, in memory and on the disk.
void TakenLetters::make_room() {
  store::Records* const records = open_.load(std::memory_order_acquire);
  if (records == nullptr) return;
  records->look([this](store::RecordFile* file) -> Status {
    if (file == nullptr) return {};
    const auto heads = file->list(kBox, 0, kOldest, 0);
    if (!heads) return std::unexpected(heads.error());
    const std::lock_guard lock(mutex_);
    if (keys_.size() <= kMax) return {};
    for (const store::RecordHead& head : *heads) {
      keys_.erase(head.name.key);
      records_->remove(head.number);
    }
    return {};
  });
}

}  // namespace qudag::node
