// One SQLite file and its statements: the only place that knows sqlite3.h.
//
// Opened in WAL mode with synchronous=FULL: what commit() has said is on the disk outlives the
// process and the machine. One connection has the file for itself (locking_mode=EXCLUSIVE), so
// there is no file of shared memory. Deleted content is overwritten with zeros in the file
// (secure_delete). Memory: kDatabaseCacheBytes of pages, and the statements.
//
// Blocking. Threads: one at a time. Errors: malformed (no database, or a damaged one), disk_full,
// permission_denied, io_error.
#pragma once

#include "base/bytes.h"

#include <qudag/error.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

struct sqlite3;
struct sqlite3_blob;
struct sqlite3_stmt;

namespace qudag::store {

inline constexpr std::size_t kDatabaseCacheBytes = std::size_t{2} << 20;

/// A prepared statement; reset when the next one begins.
class Statement {
 public:
  Statement() = default;
  Statement& set(int at, std::uint64_t value);
  /// Not copied: valid until step().
  Statement& set(int at, Bytes value);
  Statement& set_zeros(int at, std::uint64_t bytes);

  /// True: a row is there. False: it is done, and was reset.
  Result<bool> step();
  /// Of a statement without rows: step() to its end.
  Status run();
  std::uint64_t number(int column) const;
  /// Valid until the next call of step() or reset().
  Bytes bytes(int column) const;
  void reset();

 private:
  friend class Database;
  struct End {
    void operator()(sqlite3_stmt* statement) const;
  };
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  std::unique_ptr<sqlite3_stmt, End> statement_;
};

class Database {
 public:
  /// The file must exist, with the mode that it shall have; an empty file is an empty database.
  static Result<std::unique_ptr<Database>> open(const std::filesystem::path& file);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// Statements without parameters, separated by semicolons; rows are not looked at.
  Status run(const char* sql);
  /// The first column of the first row; 0 if there is none.
  Result<std::uint64_t> number(const char* sql);
  Result<Statement> prepare(std::string_view sql);

  /// One value of a row, in pieces that follow each other and fill it exactly.
  Status write_blob(const char* table, const char* column, std::uint64_t row,
                    std::span<const Bytes> pieces);
  Status read_blob(const char* table, const char* column, std::uint64_t row,
                   std::span<const MutableBytes> pieces);

 private:
  explicit Database(sqlite3* connection) : connection_(connection) {}
  Status prepare_file();
  template <class Piece, class Move>
  Status move_blob(const char* table, const char* column, std::uint64_t row, int write,
                   std::span<const Piece> pieces, Move&& move);

  sqlite3* const connection_;
};

}  // namespace qudag::store
