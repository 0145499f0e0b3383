#include "store/records.h"

#include "base/lines/log_lines.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace qudag::store {
namespace {

constexpr std::string_view kFile = "records";
constexpr std::string_view kLog = "records-wal";
constexpr std::size_t kExpireAtOnce = 1'000;

bool is_damage(const Error& why) {
  return why.code == Errc::malformed || why.code == Errc::unsupported;
}

std::size_t bound_of(std::uint64_t bytes) {
  return static_cast<std::size_t>(std::min<std::uint64_t>(bytes, kWaitingBytesMax));
}

}  // namespace

// ---- opening ------------------------------------------------------------------------------------

Records::Records(Options options, std::unique_ptr<Directory> directory, Log& log)
    : options_(std::move(options)),
      directory_(std::move(directory)),
      log_(log),
      ledger_(sync::Bounds(kWaitingRecordsMax, kWaitingBytesMax, std::chrono::hours(24),
                           sync::WhenFull::refuse_new)) {}

Result<std::unique_ptr<Records>> Records::open(Options options, Log& log) {
  const std::string what = std::string(options.what) + " directory";
  auto directory = Directory::open(options.directory, what);
  if (!directory) return std::unexpected(directory.error());
  if (!(*directory)->locked()) {
    return fail(Errc::permission_denied, "nothing can be written into the " + what + " " +
                                             options.directory.string() +
                                             "; make it writable, or name another");
  }
  std::unique_ptr<Records> out(new Records(std::move(options), std::move(*directory), log));
  const Status opened = out->open_file();
  if (!opened && opened.error().code != Errc::disk_full) return std::unexpected(opened.error());
  if (!opened) out->on_error(opened.error());
  out->sweep();
  out->thread_ = std::thread([records = out.get()] { records->run(); });
  return out;
}

/// Sets a damaged file aside and begins anew.
Status Records::open_file() {
  const std::filesystem::path path = directory_->path() / kFile;
  for (int attempt = 0;; ++attempt) {
    if (auto made = directory_->make(kFile); !made) return made;
    auto file = RecordFile::open(path, options_.quota, next_);
    if (file) {
      file_ = std::move(*file);
      count();
      return {};
    }
    Error why = file.error();
    why.detail = path.string() + ": " + why.detail;
    if (!is_damage(why) || attempt > 0) return std::unexpected(std::move(why));
    if (auto done = replace(why); !done) return done;
  }
}

/// The file leaves its name, and its log with it, so that a person can look at both.
Status Records::replace(const Error& why) {
  file_.reset();
  auto aside = directory_->set_aside(kFile, options_.clock().unix_seconds);
  if (!aside) return std::unexpected(aside.error());
  const std::filesystem::path log = directory_->path() / kLog;
  std::error_code ignored;  // there may be none
  std::filesystem::rename(log, directory_->path() / (*aside + "-wal"), ignored);
  std::filesystem::remove(log, ignored);  // of another file it must not stay
  log_.error(lines::kRecordsReplaced, options_.what, why.detail, *aside);
  const std::lock_guard lock(mutex_);
  ++report_.replaced;
  return {};
}

Records::~Records() { stop(); }

void Records::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

// ---- any thread ---------------------------------------------------------------------------------

bool Records::add(std::unique_ptr<NewRecord>& record) {
  const std::size_t bytes = bound_of(record->bytes());
  const TimePoint now = options_.clock().mono;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
    // What is as large as the bound waits alone.
    if (const auto refusal = ledger_.refusal(bytes)) {
      ledger_.refuse(*refusal);
      return false;
    }
    ledger_.enter(bytes);
    waiting_.push_back({std::move(record), now});
  }
  wake_.notify_one();
  return true;
}

void Records::remove(std::uint64_t number) {
  {
    const std::lock_guard lock(mutex_);
    changes_.push_back({number, false});
  }
  wake_.notify_one();
}

void Records::set_unreadable(std::uint64_t number) {
  {
    const std::lock_guard lock(mutex_);
    changes_.push_back({number, true});
  }
  wake_.notify_one();
}

void Records::look(Look task, std::chrono::milliseconds delay) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    looks_.emplace(Clock::now() + delay, std::move(task));
  }
  wake_.notify_one();
}

RecordsReport Records::report() const {
  const std::lock_guard lock(mutex_);
  return report_;
}

void Records::report(BoundedList& out) const {
  const TimePoint now = options_.clock().mono;
  const std::lock_guard lock(mutex_);
  const Duration oldest =
      waiting_.empty() ? Duration{} : std::max(Duration{}, now - waiting_.front().since);
  out.push_back(ledger_.report("messages to the inbox", {}, oldest));
  Bounded table = bounded(Bounded::Kind::table, "messages in the inbox", "refuse: queue",
                          report_.records, options_.quota.records_max);
  table.bytes = report_.bytes;
  table.bytes_max = options_.quota.bytes_max;
  out.push_back(table);
  out.push_back(bounded(Bounded::Kind::table, "ids of messages taken from the inbox",
                        "forget the oldest", report_.seen, options_.quota.seen_max));
}

// ---- the thread ---------------------------------------------------------------------------------

void Records::run() {
  Work work;
  while (take(work)) serve(work);
}

/// Waits for something to do. False: it is time to end, and nothing is left.
bool Records::take(Work& work) {
  work = {};
  const TimePoint now = options_.clock().mono;
  std::unique_lock lock(mutex_);
  const auto changes_due = [this] {
    return !changes_.empty() && (!changes_at_ || Clock::now() >= *changes_at_ || stopping_);
  };
  const auto look_due = [this] { return !looks_.empty() && looks_.begin()->first <= Clock::now(); };
  // What is due may change while it waits.
  while (!stopping_ && waiting_.empty() && !look_due() && !changes_due()) {
    Clock::time_point until = sweep_at_;
    if (!looks_.empty()) until = std::min(until, looks_.begin()->first);
    if (!changes_.empty() && changes_at_) until = std::min(until, *changes_at_);
    if (wake_.wait_until(lock, until) == std::cv_status::timeout) break;
  }
  if (stopping_ && waiting_.empty() && changes_.empty()) return false;
  std::size_t bytes = 0;
  while (!waiting_.empty() && work.records.size() < kGroupRecords && bytes < kGroupBytes) {
    Waiting& next = waiting_.front();
    const std::size_t size = bound_of(next.record->bytes());
    bytes += size;
    ledger_.leave(size, std::max(Duration{}, now - next.since));
    work.records.push_back(std::move(next));
    waiting_.pop_front();
  }
  if (changes_due()) {
    work.changes.swap(changes_);
    changes_at_.reset();
  }
  while (look_due()) work.looks.push_back(std::move(looks_.extract(looks_.begin()).mapped()));
  return true;
}

void Records::serve(Work& work) {
  if (!file_) {
    if (const Status opened = open_file(); !opened) on_error(opened.error());
  }
  if (!work.records.empty() || !work.changes.empty()) write(work);
  for (Look& look : work.looks) {
    // What only could not be read is for its owner to try again.
    if (const Status done = look(file_.get()); !done && is_damage(done.error())) {
      on_error(done.error());
    }
  }
  if (Clock::now() >= sweep_at_) sweep();
}

void Records::write(Work& work) {
  std::vector<AddEnd> ends(work.records.size(), AddEnd::failed);
  const Status done = write_group(work, ends);
  if (!done) {
    std::ranges::fill(ends, AddEnd::failed);
    on_error(done.error());
    // Where nothing more can be added, something may still be removed.
    const Work less{.records = {}, .changes = work.changes, .looks = {}};
    std::vector<AddEnd> none;
    if (!less.changes.empty() && !write_group(less, none)) keep(work.changes);
  } else if (!work.changes.empty() || std::ranges::find(ends, AddEnd::stored) != ends.end()) {
    on_written();
  }
  count();
  end_group(work, ends);
}

Status Records::write_group(const Work& work, std::vector<AddEnd>& ends) {
  if (!file_) return fail(Errc::io_error, "the file is not open");
  if (auto begun = file_->begin(); !begun) return begun;
  if (auto applied = apply(work, ends); !applied) {
    file_->rollback();
    return applied;
  }
  if (auto done = file_->commit(); !done) return done;
  next_ = file_->next();
  for (const Change& change : work.changes) {
    if (options_.changed) options_.changed(change.number);
  }
  const std::lock_guard lock(mutex_);
  ++report_.commits;
  for (const Change& change : work.changes) {
    ++(change.unreadable ? report_.unreadable : report_.removed);
  }
  return {};
}

Status Records::apply(const Work& work, std::vector<AddEnd>& ends) {
  const UnixSeconds now = options_.clock().unix_seconds;
  for (const Change& change : work.changes) {
    const Status done = change.unreadable ? file_->set_unreadable(change.number)
                                          : file_->remove(change.number, now);
    if (!done) return done;
  }
  std::vector<Bytes> pieces;
  for (std::size_t i = 0; i < work.records.size(); ++i) {
    const NewRecord& record = *work.records[i].record;
    pieces.clear();
    record.body(pieces);
    const auto added = file_->add(record.name(), pieces, now);
    if (!added) return std::unexpected(added.error());
    ends[i] = *added == Added::stored  ? AddEnd::stored
              : *added == Added::known ? AddEnd::known
                                       : AddEnd::full;
  }
  return {};
}

void Records::end_group(Work& work, const std::vector<AddEnd>& ends) {
  {
    const std::lock_guard lock(mutex_);
    for (const AddEnd end : ends) {
      ++(end == AddEnd::stored  ? report_.stored
         : end == AddEnd::known ? report_.known
         : end == AddEnd::full  ? report_.full
                                : report_.failed);
    }
  }
  for (std::size_t i = 0; i < ends.size(); ++i) work.records[i].record->done(ends[i]);
  work.records.clear();
}

/// For the next attempt, in front of what came meanwhile. When it ends, what cannot be written is
/// left in the file, and comes again after the next start.
void Records::keep(std::vector<Change>& changes) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return;
  changes_.insert(changes_.begin(), changes.begin(), changes.end());
  changes_at_ = Clock::now() + options_.retry;
}

void Records::sweep() {
  sweep_at_ = Clock::now() + options_.sweep;
  std::size_t gone = kExpireAtOnce;
  while (file_ && gone == kExpireAtOnce) {
    const auto expired = expire_some();
    if (!expired) return on_error(expired.error());
    gone = *expired;
    if (gone == 0) break;
    on_written();
    log_.warn(lines::kRecordsExpired, options_.what, gone);
    const std::lock_guard lock(mutex_);
    report_.expired += gone;
  }
  if (!file_) return;
  if (const Status done = file_->tidy(); !done) on_error(done.error());
  count();
}

/// How many, kExpireAtOnce at most.
Result<std::size_t> Records::expire_some() {
  if (auto begun = file_->begin(); !begun) return std::unexpected(begun.error());
  const auto expired = file_->expire(options_.clock().unix_seconds, kExpireAtOnce);
  if (!expired) {
    file_->rollback();
    return std::unexpected(expired.error());
  }
  if (auto done = file_->commit(); !done) return std::unexpected(done.error());
  return expired->size();
}

/// Says what is wrong once; replaces what is damaged.
void Records::on_error(const Error& why) {
  if (is_damage(why)) {
    if (auto replaced = replace(why); replaced) {
      const Status opened = open_file();
      if (opened) return;
      if (!is_damage(opened.error())) return on_error(opened.error());
    }
  }
  if (!std::exchange(said_failing_, true)) {
    log_.warn(lines::kRecordsFail, options_.what, why.detail);
  }
  const std::lock_guard lock(mutex_);
  report_.failing = true;
}

void Records::on_written() {
  if (!std::exchange(said_failing_, false)) return;
  log_.info(lines::kRecordsWork, options_.what);
  const std::lock_guard lock(mutex_);
  report_.failing = false;
}

void Records::count() {
  if (!file_) return;
  const std::lock_guard lock(mutex_);
  report_.records = file_->records();
  report_.bytes = file_->bytes();
  report_.seen = file_->seen();
}

}  // namespace qudag::store
