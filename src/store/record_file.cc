#include "store/record_file.h"

#include "crypto/kdf.h"

#include <algorithm>
#include <string>

namespace qudag::store {
namespace {

constexpr std::uint32_t kApplicationId = 0x71646752;  // "qdgR"
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kKeysAtOnce = 1'000;

// A box of a length that no owner has: what cannot be read.
constexpr const char* kTables =
    "BEGIN;"
    "CREATE TABLE record (number INTEGER PRIMARY KEY, box BLOB NOT NULL, key BLOB NOT NULL,"
    " expires INTEGER NOT NULL, resent INTEGER NOT NULL, digest BLOB NOT NULL, body BLOB NOT NULL);"
    "CREATE INDEX record_box ON record (box, number);"
    "CREATE INDEX record_key ON record (key);"
    "CREATE INDEX record_expires ON record (expires);"
    "CREATE TABLE seen (key BLOB NOT NULL, box BLOB NOT NULL, until INTEGER NOT NULL,"
    " PRIMARY KEY (key, box)) WITHOUT ROWID;"
    "CREATE INDEX seen_until ON seen (until);"
    "PRAGMA application_id=1902405458;"
    "PRAGMA user_version=1;"
    "COMMIT;";
static_assert(kApplicationId == 1902405458);

crypto::Digest digest_of(const RecordName& name, std::span<const Bytes> body, std::uint64_t bytes) {
  std::array<std::byte, 1 + kBoxBytesMax + 16 + 8 + 8 + 8> head{};
  ByteWriter out(head);
  out.u8(static_cast<std::uint8_t>(name.box.size()));
  out.put(name.box);
  out.zero(kBoxBytesMax - name.box.size());
  out.put(name.key);
  out.u64(name.expires);
  out.u64(name.resent);
  out.u64(bytes);
  crypto::Sha256 digest;
  digest.add(as_bytes("qudag/1 record"));
  digest.add(head);
  for (const Bytes piece : body) digest.add(piece);
  return digest.finish();
}

std::uint64_t size_of(std::span<const Bytes> pieces) {
  std::uint64_t out = 0;
  for (const Bytes piece : pieces) out += piece.size();
  return out;
}

std::uint64_t cost_of(std::uint64_t body) { return body + kRecordCost; }

std::unexpected<Error> damaged(const char* what) { return fail(Errc::malformed, what); }

}  // namespace

struct RecordFile::Statements {
  Statement begin, commit, rollback;
  Statement has, has_seen, insert, size, see, erase, hide, expired, forget, forget_first, list,
      boxes, digest, changes;
};

void RecordFile::End::operator()(Statements* statements) const { delete statements; }

// ---- opening ------------------------------------------------------------------------------------

Result<std::unique_ptr<RecordFile>> RecordFile::open(const std::filesystem::path& file,
                                                     const Quota& quota, std::uint64_t first) {
  auto database = Database::open(file);
  if (!database) return std::unexpected(database.error());
  std::unique_ptr<RecordFile> out(new RecordFile(std::move(*database), quota));
  for (const auto step : {&RecordFile::check_form, &RecordFile::prepare, &RecordFile::count}) {
    if (auto ok = (*out.*step)(); !ok) return std::unexpected(ok.error());
  }
  out->counts_.next = std::max(out->counts_.next, first);
  return out;
}

/// An empty file gets the tables; any other must have them, and be whole.
Status RecordFile::check_form() {
  const auto objects = database_->number("SELECT count(*) FROM sqlite_schema");
  if (!objects) return std::unexpected(objects.error());
  const auto id = database_->number("PRAGMA application_id");
  const auto version = database_->number("PRAGMA user_version");
  if (!id || !version) return damaged("its head cannot be read");
  if (*objects == 0 && *id == 0 && *version == 0) return make_tables();
  if (*id != kApplicationId) return damaged("it is the database of something else");
  if (*version != kVersion) {
    return fail(Errc::unsupported, "its version is " + std::to_string(*version));
  }
  auto check = database_->prepare("PRAGMA quick_check(1)");
  if (!check) return std::unexpected(check.error());
  const auto row = check->step();
  if (!row) return std::unexpected(row.error());
  if (!*row || !std::ranges::equal(check->bytes(0), as_bytes("ok")))
    return damaged("it is damaged");
  return {};
}

Status RecordFile::make_tables() {
  const Status made = database_->run(kTables);
  if (!made) static_cast<void>(database_->run("ROLLBACK"));
  return made;
}

Status RecordFile::prepare() {
  statements_.reset(new Statements);
  const std::pair<Statement*, const char*> all[] = {
      {&statements_->begin, "BEGIN IMMEDIATE"},
      {&statements_->commit, "COMMIT"},
      {&statements_->rollback, "ROLLBACK"},
      {&statements_->has, "SELECT 1 FROM record WHERE key=?1 AND box=?2"},
      {&statements_->has_seen, "SELECT 1 FROM seen WHERE key=?1 AND box=?2 AND until>?3"},
      {&statements_->insert, "INSERT INTO record VALUES (?1,?2,?3,?4,?5,?6,?7)"},
      {&statements_->size, "SELECT length(body), resent FROM record WHERE number=?1"},
      {&statements_->see,
       "INSERT OR REPLACE INTO seen SELECT key, box, resent FROM record WHERE number=?1"},
      {&statements_->erase, "DELETE FROM record WHERE number=?1"},
      {&statements_->hide, "UPDATE record SET box=x'' WHERE number=?1"},
      {&statements_->expired,
       "SELECT number, box, key, expires, resent, length(body) FROM record WHERE expires<=?1"
       " ORDER BY expires LIMIT ?2"},
      {&statements_->forget,
       "DELETE FROM seen WHERE (key, box) IN"
       " (SELECT key, box FROM seen WHERE until<=?1 ORDER BY until LIMIT ?2)"},
      {&statements_->forget_first,
       "DELETE FROM seen WHERE (key, box) IN (SELECT key, box FROM seen ORDER BY until LIMIT ?1)"},
      {&statements_->list,
       "SELECT number, box, key, expires, resent, length(body) FROM record"
       " WHERE box=?1 AND number>?2 AND expires>?3 ORDER BY number LIMIT ?4"},
      {&statements_->boxes, "SELECT DISTINCT box FROM record WHERE box<>x''"},
      {&statements_->digest, "SELECT digest FROM record WHERE number=?1"},
      {&statements_->changes, "SELECT changes()"},
  };
  for (const auto& [statement, sql] : all) {
    auto made = database_->prepare(sql);
    if (!made) return damaged("its tables are not what they should be");
    *statement = std::move(*made);
  }
  return {};
}

Status RecordFile::count() {
  const std::string cost = std::to_string(kRecordCost);
  const auto records = database_->number("SELECT count(*) FROM record");
  const auto bytes =
      database_->number(("SELECT sum(length(body)+" + cost + ") FROM record").c_str());
  const auto seen = database_->number("SELECT count(*) FROM seen");
  const auto last = database_->number("SELECT max(number) FROM record");
  for (const auto* one : {&records, &bytes, &seen, &last}) {
    if (!*one) return std::unexpected(one->error());
  }
  counts_ = {.records = *records, .bytes = *bytes, .seen = *seen, .next = *last + 1};
  committed_ = counts_;
  return {};
}

// ---- changing -----------------------------------------------------------------------------------

Status RecordFile::begin() {
  committed_ = counts_;
  return statements_->begin.run();
}

Status RecordFile::commit() {
  if (auto done = statements_->commit.run(); !done) {
    rollback();
    return done;
  }
  committed_ = counts_;
  return {};
}

/// After some errors SQLite has undone everything already, and says that there is nothing to undo.
void RecordFile::rollback() {
  static_cast<void>(statements_->rollback.run());
  const std::uint64_t next = counts_.next;
  counts_ = committed_;
  counts_.next = next;
}

Result<bool> RecordFile::knows(const RecordName& name, UnixSeconds now) {
  auto row = statements_->has.set(1, Bytes(name.key)).set(2, Bytes(name.box)).step();
  if (row && !*row) {
    row = statements_->has_seen.set(1, Bytes(name.key)).set(2, Bytes(name.box)).set(3, now).step();
    statements_->has_seen.reset();
  }
  statements_->has.reset();
  return row;
}

Result<Added> RecordFile::add(const RecordName& name, std::span<const Bytes> body,
                              UnixSeconds now) {
  if (name.box.empty() || name.box.size() > kBoxBytesMax)
    return fail(Errc::invalid_argument, "box");
  const auto known = knows(name, now);
  if (!known) return std::unexpected(known.error());
  if (*known) return Added::known;
  const std::uint64_t bytes = size_of(body);
  const bool room = counts_.records < quota_.records_max && counts_.bytes <= quota_.bytes_max &&
                    cost_of(bytes) <= quota_.bytes_max - counts_.bytes;
  if (!room) return Added::full;
  const crypto::Digest digest = digest_of(name, body, bytes);
  const std::uint64_t number = counts_.next++;
  const Status inserted = statements_->insert.set(1, number)
                              .set(2, Bytes(name.box))
                              .set(3, Bytes(name.key))
                              .set(4, name.expires)
                              .set(5, name.resent)
                              .set(6, Bytes(digest))
                              .set_zeros(7, bytes)
                              .run();
  if (!inserted) return std::unexpected(inserted.error());
  if (bytes > 0) {
    if (auto written = database_->write_blob("record", "body", number, body); !written) {
      return std::unexpected(written.error());
    }
  }
  ++counts_.records;
  counts_.bytes += cost_of(bytes);
  return Added::stored;
}

Status RecordFile::remove(std::uint64_t number, UnixSeconds now) {
  const auto there = statements_->size.set(1, number).step();
  if (!there) return std::unexpected(there.error());
  if (!*there) return {};
  const std::uint64_t bytes = statements_->size.number(0);
  const UnixSeconds resent = statements_->size.number(1);
  statements_->size.reset();
  if (resent > now) {
    if (counts_.seen >= quota_.seen_max) {
      if (auto forgot = forget_seen(now); !forgot) return forgot;
    }
    if (auto seen = statements_->see.set(1, number).run(); !seen) return seen;
    ++counts_.seen;
  }
  if (auto erased = statements_->erase.set(1, number).run(); !erased) return erased;
  --counts_.records;
  counts_.bytes -= std::min(counts_.bytes, cost_of(bytes));
  ++freed_;
  return {};
}

/// Makes room for one more key at least.
Status RecordFile::forget_seen(UnixSeconds now) {
  const std::size_t some = std::max<std::size_t>(1, std::min(kKeysAtOnce, quota_.seen_max / 16));
  for (Statement* const statement : {&statements_->forget.set(1, now).set(2, kKeysAtOnce),
                                     &statements_->forget_first.set(1, some)}) {
    if (counts_.seen < quota_.seen_max) {
      statement->reset();
      continue;
    }
    if (auto done = statement->run(); !done) return done;
    if (auto row = statements_->changes.step(); !row) return std::unexpected(row.error());
    counts_.seen -= std::min(counts_.seen, statements_->changes.number(0));
    statements_->changes.reset();
  }
  return {};
}

Status RecordFile::set_unreadable(std::uint64_t number) {
  return statements_->hide.set(1, number).run();
}

Result<std::vector<RecordHead>> RecordFile::expire(UnixSeconds now, std::size_t most) {
  std::vector<RecordHead> gone;
  Statement& rows = statements_->expired.set(1, now).set(2, std::uint64_t{most});
  for (;;) {
    const auto row = rows.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
    gone.push_back({.number = rows.number(0), .name = {}, .bytes = rows.number(5)});
    const Bytes box = rows.bytes(1);
    gone.back().name.box.assign(box.begin(), box.end());
  }
  for (const RecordHead& head : gone) {
    if (auto removed = remove(head.number, now); !removed) return std::unexpected(removed.error());
  }
  auto& forget = statements_->forget.set(1, now).set(2, kKeysAtOnce);
  if (auto done = forget.run(); !done) return std::unexpected(done.error());
  const auto row = statements_->changes.step();
  if (!row) return std::unexpected(row.error());
  counts_.seen -= std::min(counts_.seen, statements_->changes.number(0));
  statements_->changes.reset();
  return gone;
}

Status RecordFile::tidy() {
  if (freed_ == 0) return {};
  if (auto done = database_->run("PRAGMA incremental_vacuum(1024)"); !done) return done;
  // What was taken is in the log still: an empty store has no log either.
  if (counts_.records == 0) {
    if (auto done = database_->run("PRAGMA wal_checkpoint(TRUNCATE)"); !done) return done;
  }
  freed_ = 0;
  return {};
}

// ---- reading ------------------------------------------------------------------------------------

Result<RecordHead> RecordFile::head_of(const Statement& row) const {
  RecordHead head{.number = row.number(0),
                  .name = {.box = {}, .key = {}, .expires = row.number(3), .resent = row.number(4)},
                  .bytes = row.number(5)};
  const Bytes box = row.bytes(1), key = row.bytes(2);
  if (box.size() > kBoxBytesMax || key.size() != head.name.key.size()) {
    return damaged("a record has a key of another length");
  }
  head.name.box.assign(box.begin(), box.end());
  std::ranges::copy(key, head.name.key.begin());
  return head;
}

Result<std::vector<RecordHead>> RecordFile::list(Bytes box, std::uint64_t after, std::size_t most,
                                                 UnixSeconds now) {
  std::vector<RecordHead> out;
  Statement& rows =
      statements_->list.set(1, box).set(2, after).set(3, now).set(4, std::uint64_t{most});
  for (;;) {
    const auto row = rows.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return out;
    auto head = head_of(rows);
    if (!head) {
      rows.reset();
      return std::unexpected(head.error());
    }
    out.push_back(std::move(*head));
  }
}

Status RecordFile::read(const RecordHead& head, std::span<const MutableBytes> into) {
  const auto row = statements_->digest.set(1, head.number).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return fail(Errc::not_found, "no such record");
  crypto::Digest digest{};
  const Bytes written = statements_->digest.bytes(0);
  const bool right_size = written.size() == digest.size();
  if (right_size) std::ranges::copy(written, digest.begin());
  statements_->digest.reset();
  if (head.bytes > 0) {
    const Status read = database_->read_blob("record", "body", head.number, into);
    if (!read) return read;
  }
  const std::vector<Bytes> body(into.begin(), into.end());
  if (right_size && digest_of(head.name, body, head.bytes) == digest) return {};
  return fail(Errc::authentication_failed, "a record was changed on the disk");
}

Result<std::vector<Box>> RecordFile::boxes() {
  std::vector<Box> out;
  for (;;) {
    const auto row = statements_->boxes.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return out;
    const Bytes box = statements_->boxes.bytes(0);
    out.emplace_back(box.begin(), box.end());
  }
}

}  // namespace qudag::store
