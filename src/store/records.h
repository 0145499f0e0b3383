// Records kept by a thread of their own: whoever adds one never waits for a disk.
//
// add():     the record waits in a queue with a bound; false: it is full, and the caller says so to
//            the sender.
// a group:   the thread takes what waits (kGroupRecords, kGroupBytes), writes all of it and commits
//            once. While it does, the next group gathers: so the cost of a commit is shared by as
//            many as came meanwhile, and one alone does not wait.
// the end:   NewRecord::done() is told after the commit: `stored` and `known` outlive a crash.
//
// What can be wrong: a full disk or one that cannot be written refuses what comes, is said once,
// and is tried again; removals wait until they can be written. A damaged file is set aside, said,
// and begun anew.
//
// Threads: add(), remove(), set_unreadable(), look() and reports from any; done() and looks run on
// the thread of the records. Memory: what waits is its owner's; kRecordsMemory for the file.
#pragma once

#include "base/log.h"
#include "base/time.h"
#include "store/directory.h"
#include "store/record_file.h"
#include "sync/ledger.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace qudag::store {

inline constexpr std::size_t kWaitingRecordsMax = 8'192;
/// What waits, by body; one of any size fits an empty queue.
inline constexpr std::size_t kWaitingBytesMax = std::size_t{64} << 20;
inline constexpr std::size_t kGroupRecords = 512;
inline constexpr std::size_t kGroupBytes = std::size_t{8} << 20;
inline constexpr std::size_t kRecordsMemory = kDatabaseCacheBytes + (std::size_t{1} << 20);

enum class AddEnd : std::uint8_t {
  stored,
  known,
  full,    ///< the quota
  failed,  ///< it could not be written, or the node stops
};

/// A record on its way into the file.
class NewRecord {
 public:
  virtual ~NewRecord() = default;
  virtual const RecordName& name() const = 0;
  /// Appends the body in pieces, which stay valid until done().
  virtual void body(std::vector<Bytes>& pieces) const = 0;
  virtual std::uint64_t bytes() const = 0;
  /// Before done(), of one that is `stored`: its number.
  virtual void numbered(std::uint64_t number) { static_cast<void>(number); }
  /// Once, after the commit.
  virtual void done(AddEnd end) = 0;
};

/// Counts since the start; `records` and `bytes` as they are.
struct RecordsReport {
  std::uint64_t records = 0, bytes = 0, seen = 0;
  std::uint64_t stored = 0, known = 0, full = 0, failed = 0;
  std::uint64_t removed = 0, expired = 0, unreadable = 0;
  std::uint64_t commits = 0, replaced = 0;
  bool failing = false;  ///< nothing can be written now
};

class Records {
 public:
  struct Options {
    std::filesystem::path directory;
    Quota quota;
    std::function<Now()> clock;
    std::string_view what = "inbox";  ///< in log lines; static text
    /// A removal, or what was set unreadable, is committed. On the thread.
    std::function<void(std::uint64_t number)> changed = {};
    /// The time of that one is over, and its removal is committed. On the thread.
    std::function<void(const RecordHead& head)> expired = {};
    std::chrono::milliseconds retry{1'000};
    std::chrono::milliseconds sweep{30'000};  ///< how often what has expired is removed
  };
  /// A task on the thread. `file` is null while it cannot be opened. What it returns as malformed
  /// has the file set aside.
  using Look = std::move_only_function<Status(RecordFile* file)>;

  /// Opens the file and starts the thread. permission_denied, already_exists: Directory::open();
  /// io_error: the directory or the file cannot be made. A full disk is no error here.
  static Result<std::unique_ptr<Records>> open(Options options, Log& log);
  /// stop(), if it was not called.
  ~Records();
  Records(const Records&) = delete;
  Records& operator=(const Records&) = delete;

  /// False: the queue is full or closed; `record` is still the caller's.
  bool add(std::unique_ptr<NewRecord>& record);
  /// After this it is not in the file: if not at once, as soon as it can be written.
  void remove(std::uint64_t number);
  void set_unreadable(std::uint64_t number);
  /// Runs it after `delay`. The caller bounds how many wait. After stop() it does not run.
  void look(Look task, std::chrono::milliseconds delay = {});

  /// Writes what waits, and ends the thread. Not on that thread.
  void stop();

  RecordsReport report() const;
  void report(BoundedList& out) const;

 private:
  struct Waiting {
    std::unique_ptr<NewRecord> record;
    TimePoint since{};
  };
  struct Change {
    std::uint64_t number = 0;
    bool unreadable = false;
  };
  struct Work {
    std::vector<Waiting> records;
    std::vector<Change> changes;
    std::vector<Look> looks;
  };
  using Clock = std::chrono::steady_clock;

  Records(Options options, std::unique_ptr<Directory> directory, Log& log);
  Status open_file();
  Status replace(const Error& why);
  void run();
  bool take(Work& work);
  void serve(Work& work);
  void write(Work& work);
  Status write_group(const Work& work, std::vector<AddEnd>& ends);
  Status apply(const Work& work, std::vector<AddEnd>& ends);
  void end_group(Work& work, const std::vector<AddEnd>& ends);
  void keep(std::vector<Change>& changes);
  void sweep();
  Result<std::size_t> expire_some();
  void on_error(const Error& why);
  void on_written();
  void count();

  const Options options_;
  const std::unique_ptr<Directory> directory_;
  Log& log_;

  // Of the thread, and of open() before it runs.
  std::unique_ptr<RecordFile> file_;  // null: it cannot be opened now
  std::uint64_t next_ = 1;            // numbers are never used again in this process
  bool said_failing_ = false;
  Clock::time_point sweep_at_{};

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable wake_;
  std::deque<Waiting> waiting_;
  sync::Ledger ledger_;
  std::vector<Change> changes_;
  std::optional<Clock::time_point> changes_at_;   // they could not be written: not before
  std::multimap<Clock::time_point, Look> looks_;  // by when they are due
  bool stopping_ = false;
  RecordsReport report_;

  std::thread thread_;
};

}  // namespace qudag::store
