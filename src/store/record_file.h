// Records in boxes, in one SQLite file: what is kept until somebody takes it.
//
// A box belongs to one owner (a channel of this node's inbox; an inbox of a keeper). A record has a
// key that its sender chose; a box holds each key once, and remembers the key of what was removed
// until its sender cannot send it again, so that what comes twice around a crash is kept once.
// Records have numbers in the order in which they came.
//
// Changes belong to a transaction: begin(), changes, commit(); what commit() has said outlives a
// crash of the process and of the machine, and what it has not said is not there. What comes back
// from the disk is input: the digest of every record is checked when it is read.
//
// Form of the file (version 1, application id "qdgR"): tables `record` and `seen` below. Sizes: a
// record counts its body and kRecordCost bytes. Blocking. Threads: one at a time. Errors: those of
// Database; malformed means that the file is damaged: the owner sets it aside.
#pragma once

#include "base/time.h"
#include "store/database.h"

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace qudag::store {

inline constexpr std::size_t kBoxBytesMax = 32;
inline constexpr std::size_t kRecordCost = 256;  // rows, keys and digest, in the quota
using RecordKey = std::array<std::byte, 16>;

struct Quota {
  std::uint64_t records_max = 0;
  std::uint64_t bytes_max = 0;
  std::uint64_t seen_max = 0;  ///< keys of removed records; then the one that ends first goes
};

/// 1 to kBoxBytesMax bytes.
using Box = std::vector<std::byte>;

/// What a new record says of itself.
struct RecordName {
  Box box;
  RecordKey key{};
  UnixSeconds expires = 0;  ///< then it is removed, taken or not
  UnixSeconds resent = 0;   ///< until then its sender may send it again
};

struct RecordHead {
  std::uint64_t number = 0;
  RecordName name;
  std::uint64_t bytes = 0;  ///< of the body
};

enum class Added : std::uint8_t {
  stored,
  known,  ///< it is there, or was taken: the same answer as `stored` is right
  full,   ///< the quota
};

class RecordFile {
 public:
  /// Makes what is not there. unsupported: a file of another version. Numbers of new records begin
  /// at `first` or above.
  static Result<std::unique_ptr<RecordFile>> open(const std::filesystem::path& file,
                                                  const Quota& quota, std::uint64_t first = 1);

  Status begin();
  /// On an error everything since begin() is undone.
  Status commit();
  void rollback();

  // In a transaction.
  Result<Added> add(const RecordName& name, std::span<const Bytes> body, UnixSeconds now);
  /// Nothing happens if it is not there.
  Status remove(std::uint64_t number, UnixSeconds now);
  /// Its digest is wrong: nobody reads it again, and it stays in the file until it expires.
  Status set_unreadable(std::uint64_t number);
  /// Removes up to `most` records whose time is over, and keys. Those records.
  Result<std::vector<RecordHead>> expire(UnixSeconds now, std::size_t most);

  /// Outside of one. Gives back room of the file that nothing uses, some at a time.
  Status tidy();

  /// Up to `most` records of a box with numbers above `after`, in their order, without those that
  /// have expired.
  Result<std::vector<RecordHead>> list(Bytes box, std::uint64_t after, std::size_t most,
                                       UnixSeconds now);
  /// The body, into pieces of head.bytes in all. authentication_failed: the record was changed on
  /// the disk.
  Status read(const RecordHead& head, std::span<const MutableBytes> into);
  /// Those with a record.
  Result<std::vector<Box>> boxes();

  std::uint64_t records() const { return counts_.records; }
  std::uint64_t bytes() const { return counts_.bytes; }
  std::uint64_t seen() const { return counts_.seen; }
  /// The number of the next record.
  std::uint64_t next() const { return counts_.next; }

 private:
  struct Counts {
    std::uint64_t records = 0;
    std::uint64_t bytes = 0;  // as the quota counts
    std::uint64_t seen = 0;
    std::uint64_t next = 1;  // number of the next record
  };

  RecordFile(std::unique_ptr<Database> database, const Quota& quota)
      : database_(std::move(database)), quota_(quota) {}
  Status check_form();
  Status make_tables();
  Status prepare();
  Status count();
  Result<bool> knows(const RecordName& name, UnixSeconds now);
  Status forget_seen(UnixSeconds now);
  Result<RecordHead> head_of(const Statement& row) const;

  struct Statements;
  struct End {
    void operator()(Statements* statements) const;
  };

  std::unique_ptr<Database> database_;
  const Quota quota_;
  std::unique_ptr<Statements, End> statements_;  // end before the database
  Counts counts_;
  Counts committed_;
  std::uint64_t freed_ = 0;  // records removed since the last tidy()
};

}  // namespace qudag::store
