#include "store/database.h"

#include "base/posix.h"

#include <sqlite3.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

namespace qudag::store {
namespace {

constexpr int kPageBytes = 4096;
constexpr int kWalPages = 1024;  // 4 MiB: then what is committed moves into the file itself

/// The largest value of a column: a message of 64 MiB, what stands before it, and room.
constexpr int kValueBytesMax = (64 << 20) + (1 << 16);

constexpr const char* kSettings =
    "PRAGMA auto_vacuum=INCREMENTAL;"  // acts on a file that is made now
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=FULL;"
    "PRAGMA secure_delete=ON;"
    "PRAGMA temp_store=MEMORY;"
    "PRAGMA trusted_schema=OFF;"
    "PRAGMA cell_size_check=ON;"
    "PRAGMA mmap_size=0;"
    "PRAGMA journal_size_limit=4194304;";  // of the WAL, when it begins anew

Errc code_of_system(int number) {
  if (number == EDQUOT || number == EFBIG) return Errc::disk_full;
  return number == 0 ? Errc::io_error : code_of_errno(number);
}

Errc code_of(int result, int system) {
  switch (result & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_MISMATCH:
      return Errc::malformed;
    case SQLITE_FULL:
      return Errc::disk_full;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return Errc::permission_denied;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      return code_of_system(system);
    default:
      return Errc::io_error;
  }
}

std::unexpected<Error> failed(sqlite3* connection) {
  const int result = sqlite3_extended_errcode(connection);
  const int system = sqlite3_system_errno(connection);
  std::string why = sqlite3_errmsg(connection);
  const bool of_system = (result & 0xff) == SQLITE_IOERR || (result & 0xff) == SQLITE_CANTOPEN;
  if (of_system && system != 0) why += std::string(" (") + std::strerror(system) + ")";
  return fail(code_of(result, system), std::move(why));
}

}  // namespace

// ---- a statement --------------------------------------------------------------------------------

void Statement::End::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Statement& Statement::set(int at, std::uint64_t value) {
  sqlite3_bind_int64(statement_.get(), at, static_cast<sqlite3_int64>(value));
  return *this;
}

Statement& Statement::set(int at, Bytes value) {
  sqlite3_bind_blob64(statement_.get(), at,
                      value.empty() ? "" : static_cast<const void*>(value.data()), value.size(),
                      SQLITE_STATIC);
  return *this;
}

Statement& Statement::set_zeros(int at, std::uint64_t bytes) {
  sqlite3_bind_zeroblob64(statement_.get(), at, bytes);
  return *this;
}

Result<bool> Statement::step() {
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) {
    reset();
    return false;
  }
  auto why = failed(sqlite3_db_handle(statement_.get()));
  reset();
  return why;
}

Status Statement::run() {
  for (;;) {
    const auto row = step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return {};
  }
}

std::uint64_t Statement::number(int column) const {
  return static_cast<std::uint64_t>(sqlite3_column_int64(statement_.get(), column));
}

Bytes Statement::bytes(int column) const {
  const void* const at = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return {static_cast<const std::byte*>(at), at == nullptr ? 0 : static_cast<std::size_t>(size)};
}

void Statement::reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

// ---- the file -----------------------------------------------------------------------------------

Result<std::unique_ptr<Database>> Database::open(const std::filesystem::path& file) {
  sqlite3* connection = nullptr;
  constexpr int kFlags =
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
  const int result = sqlite3_open_v2(file.c_str(), &connection, kFlags, nullptr);
  if (connection == nullptr) return fail(Errc::io_error, sqlite3_errstr(result));
  std::unique_ptr<Database> out(new Database(connection));
  if (result != SQLITE_OK) return failed(connection);
  if (auto ok = out->prepare_file(); !ok) return std::unexpected(ok.error());
  return out;
}

Database::~Database() { sqlite3_close_v2(connection_); }

Status Database::prepare_file() {
  sqlite3_limit(connection_, SQLITE_LIMIT_LENGTH, kValueBytesMax);
  sqlite3_limit(connection_, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_db_config(connection_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(connection_, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  sqlite3_db_config(connection_, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
  sqlite3_wal_autocheckpoint(connection_, kWalPages);
  // Locked before the first look into the file: then there is no file of shared memory, which a
  // full disk has no room for.
  const std::string sizes =
      "PRAGMA locking_mode=EXCLUSIVE;"
      "PRAGMA page_size=" +
      std::to_string(kPageBytes) + ";PRAGMA cache_size=-" +
      std::to_string(kDatabaseCacheBytes / 1024);
  if (auto ok = run(sizes.c_str()); !ok) return ok;
  if (auto ok = run(kSettings); !ok) return ok;
  auto mode = prepare("PRAGMA journal_mode");
  if (!mode) return std::unexpected(mode.error());
  const auto row = mode->step();
  if (!row) return std::unexpected(row.error());
  if (*row && std::ranges::equal(mode->bytes(0), as_bytes("wal"))) return {};
  return fail(Errc::io_error, "the file system takes no write-ahead log");
}

Status Database::run(const char* sql) {
  if (sqlite3_exec(connection_, sql, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return failed(connection_);
}

Result<std::uint64_t> Database::number(const char* sql) {
  auto statement = prepare(sql);
  if (!statement) return std::unexpected(statement.error());
  const auto row = statement->step();
  if (!row) return std::unexpected(row.error());
  return *row ? statement->number(0) : 0;
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v3(connection_, sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (result != SQLITE_OK) return failed(connection_);
  return Statement(statement);
}

/// `move(blob, piece, offset)`: a result of SQLite.
template <class Piece, class Move>
Status Database::move_blob(const char* table, const char* column, std::uint64_t row, int write,
                           std::span<const Piece> pieces, Move&& move) {
  sqlite3_blob* blob = nullptr;
  if (sqlite3_blob_open(connection_, "main", table, column, static_cast<sqlite3_int64>(row), write,
                        &blob) != SQLITE_OK) {
    return failed(connection_);
  }
  std::size_t all = 0;
  for (const Piece& piece : pieces) all += piece.size();
  Status done(std::in_place);
  if (static_cast<std::size_t>(sqlite3_blob_bytes(blob)) != all) {
    done = fail(Errc::malformed, "a value has another length");
  }
  std::size_t at = 0;
  for (const Piece& piece : pieces) {
    if (!done) break;
    if (!piece.empty() && move(blob, piece, static_cast<int>(at)) != SQLITE_OK) {
      done = failed(connection_);
    }
    at += piece.size();
  }
  // A write may fail only here.
  const int closed = sqlite3_blob_close(blob);
  if (done && closed != SQLITE_OK) done = failed(connection_);
  return done;
}

Status Database::write_blob(const char* table, const char* column, std::uint64_t row,
                            std::span<const Bytes> pieces) {
  return move_blob(table, column, row, 1, pieces, [](sqlite3_blob* blob, Bytes piece, int at) {
    return sqlite3_blob_write(blob, piece.data(), static_cast<int>(piece.size()), at);
  });
}

Status Database::read_blob(const char* table, const char* column, std::uint64_t row,
                           std::span<const MutableBytes> pieces) {
  return move_blob(
      table, column, row, 0, pieces, [](sqlite3_blob* blob, MutableBytes piece, int at) {
        return sqlite3_blob_read(blob, piece.data(), static_cast<int>(piece.size()), at);
      });
}

}  // namespace qudag::store
