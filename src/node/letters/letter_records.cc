#include "node/letters/letter_records.h"

#include <future>
#include <utility>

namespace qudag::node {
namespace {

using keeper::LetterEnd;

LetterEnd end_of(store::AddEnd end) {
  switch (end) {
    case store::AddEnd::stored:
      return LetterEnd::stored;
    case store::AddEnd::known:
      return LetterEnd::known;
    case store::AddEnd::full:
      return LetterEnd::full;
    case store::AddEnd::failed:
      break;
  }
  return LetterEnd::failed;
}

}  // namespace

class LetterRecords::Letter final : public store::NewRecord {
 public:
  Letter(keeper::LetterRow letter, std::function<void(LetterEnd)> done)
      : name_(name_of(letter)), sealed_(std::move(letter.sealed)), done_(std::move(done)) {}
  const store::RecordName& name() const override { return name_; }
  void body(std::vector<Bytes>& pieces) const override { pieces.push_back(sealed_); }
  std::uint64_t bytes() const override { return sealed_.size(); }
  void done(store::AddEnd end) override { done_(end_of(end)); }

 private:
  const store::RecordName name_;
  const std::vector<std::byte> sealed_;
  const std::function<void(LetterEnd)> done_;
};

class LetterRecords::Registered final : public store::NewRecord {
 public:
  Registered(LetterRecords& owner, const keeper::RegisteredRow& row)
      : owner_(owner), name_(name_of(row)), body_(encode(row)) {}
  const store::RecordName& name() const override { return name_; }
  void body(std::vector<Bytes>& pieces) const override { pieces.push_back(body_); }
  std::uint64_t bytes() const override { return body_.size(); }
  void numbered(std::uint64_t number) override { number_ = number; }
  void done(store::AddEnd end) override {
    if (end != store::AddEnd::stored) return;
    const std::lock_guard lock(owner_.mutex_);
    owner_.registered_[name_.key] = number_;
  }

 private:
  LetterRecords& owner_;
  const store::RecordName name_;
  const std::array<std::byte, kRegisteredBytes> body_;
  std::uint64_t number_ = 0;
};

// ---- opening ------------------------------------------------------------------------------------

Result<std::unique_ptr<LetterRecords>> LetterRecords::open(Options options,
                                                           keeper::LetterRoom& room, Log& log) {
  std::unique_ptr<LetterRecords> out(new LetterRecords(std::move(options), room));
  const std::uint64_t letters = out->options_.bytes / (wire::kHailBytes + keeper::kLetterCost) + 1;
  // A row that takes the place of an older one may be written before that is removed.
  const std::uint64_t rows = 2 * out->options_.inboxes;
  auto records = store::Records::open(
      {.directory = out->options_.directory,
       .quota = {.records_max = letters + rows,
                 .bytes_max = out->options_.bytes + rows * (kRegisteredBytes + store::kRecordCost),
                 .seen_max = letters},
       .clock = out->options_.clock,
       .what = "letters",
       .changed = [records = out.get()](std::uint64_t number) { records->on_removed(number); },
       .expired = [records =
                       out.get()](const store::RecordHead& head) { records->on_expired(head); }},
      log);
  if (!records) return std::unexpected(records.error());
  out->records_ = std::move(*records);
  if (auto ok = out->load(); !ok) return std::unexpected(ok.error());
  return out;
}

Status LetterRecords::load() {
  std::promise<Status> loaded;
  records_->look([&](store::RecordFile* file) -> Status {
    if (file == nullptr) {  // a full disk: there is nothing, and nothing is taken until it has room
      loaded.set_value({});
      return {};
    }
    auto kept = load_rows(*file, options_.clock().unix_seconds);
    if (!kept) {
      loaded.set_value({});
      return std::unexpected(kept.error());  // damaged: it is set aside
    }
    kept_ = std::move(*kept);
    loaded.set_value({});
    return {};
  });
  const Status done = loaded.get_future().get();
  const std::lock_guard lock(mutex_);
  for (const auto& one : kept_.registered) registered_[name_of(one.row).key] = one.number;
  return done;
}

// ---- letters ------------------------------------------------------------------------------------

bool LetterRecords::put(keeper::LetterRow letter, std::function<void(LetterEnd)> done) {
  std::unique_ptr<store::NewRecord> record =
      std::make_unique<Letter>(std::move(letter), std::move(done));
  return records_->add(record);
}

bool LetterRecords::look(std::function<Status(store::RecordFile&)> task) {
  {
    const std::lock_guard lock(mutex_);
    if (looks_ >= kLooksMax) return false;
    ++looks_;
  }
  records_->look([this, task = std::move(task)](store::RecordFile* file) -> Status {
    {
      const std::lock_guard lock(mutex_);
      --looks_;
    }
    return file == nullptr ? Status{} : task(*file);
  });
  return true;
}

bool LetterRecords::next(const keeper::LetterBox& box, std::uint64_t after,
                         std::function<void(std::optional<keeper::KeptLetter>)> done) {
  {
    const std::lock_guard lock(mutex_);
    if (looks_ >= kLooksMax) return false;
    ++looks_;
  }
  records_->look([this, box, after, done = std::move(done)](store::RecordFile* file) -> Status {
    {
      const std::lock_guard lock(mutex_);
      --looks_;
    }
    if (file == nullptr) {
      done(std::nullopt);
      return {};
    }
    std::vector<std::uint64_t> unreadable;
    auto letter = read_next(*file, box, after, options_.clock().unix_seconds, unreadable);
    for (const std::uint64_t number : unreadable) records_->set_unreadable(number);
    const Status result = letter ? Status{} : Status(std::unexpected(letter.error()));
    done(letter ? std::move(*letter) : std::nullopt);
    return result;
  });
  return true;
}

void LetterRecords::remove(const store::RecordHead& head) {
  const auto box = letter_box_of(head);
  if (!box) return;
  {
    const std::lock_guard lock(mutex_);
    if (!going_.emplace(head.number, Gone{*box, static_cast<std::size_t>(head.bytes)}).second) {
      return;
    }
  }
  records_->remove(head.number);
}

void LetterRecords::take(std::vector<keeper::LetterBox> boxes, std::vector<std::uint64_t> numbers) {
  static_cast<void>(look([this, boxes = std::move(boxes),
                          numbers = std::move(numbers)](store::RecordFile& file) -> Status {
    for (const std::uint64_t number : numbers) {
      const auto head = find_letter(file, boxes, number, options_.clock().unix_seconds);
      if (!head) return std::unexpected(head.error());
      if (*head) remove(**head);
    }
    return {};
  }));
}

void LetterRecords::drop(const keeper::LetterBox& box) {
  static_cast<void>(look([this, box](store::RecordFile& file) -> Status {
    const auto heads = file.list(box, 0, keeper::LetterBounds{}.letters, 0);
    if (!heads) return std::unexpected(heads.error());
    for (const store::RecordHead& head : *heads) remove(head);
    return {};
  }));
}

void LetterRecords::on_removed(std::uint64_t number) {
  Gone gone;
  {
    const std::lock_guard lock(mutex_);
    const auto at = going_.find(number);
    if (at == going_.end()) return;
    gone = at->second;
    going_.erase(at);
  }
  room_.on_gone(gone.box, gone.bytes);
}

void LetterRecords::on_expired(const store::RecordHead& head) {
  {
    const std::lock_guard lock(mutex_);
    going_.erase(head.number);  // its removal finds nothing
  }
  const auto box = letter_box_of(head);
  if (box) room_.on_gone(*box, static_cast<std::size_t>(head.bytes));
}

// ---- registrations ------------------------------------------------------------------------------

void LetterRecords::put(const keeper::RegisteredRow& row) {
  drop_registered(row.inbox);
  std::unique_ptr<store::NewRecord> record = std::make_unique<Registered>(*this, row);
  // A full queue: the receiver is away for nobody after a restart, until it registers again.
  static_cast<void>(records_->add(record));
}

void LetterRecords::drop_registered(const wire::InboxId& inbox) {
  const keeper::RegisteredRow row{.inbox = inbox, .limits = {}, .until = 0};
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto at = registered_.find(name_of(row).key);
    if (at == registered_.end()) return;
    number = at->second;
    registered_.erase(at);
  }
  records_->remove(number);
}

}  // namespace qudag::node
