// What a node keeps over a restart: its guards, a part of its netmap, what it used of its quota,
// and its receivers, in its state directory.
//
//   start:  open (refused: another process has it, or others may read it) -> guards -> descriptors,
//           which a worker verifies again
//   run:    shard 0 says what has changed; a worker writes it, one file at a time
//   stop:   what has changed since
//
// What cannot be read is named in the log, set aside and written anew; what cannot be written is
// said once, and the node runs on. Threads: start and stop, or one worker at a time.
#pragma once

#include "base/log.h"
#include "circuit/quota/month.h"
#include "keeper/card/kept_receiver.h"
#include "netmap/netmap.h"
#include "netmap/routes/guards.h"
#include "shard/seam/state_keeper.h"
#include "store/directory.h"

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qudag::node {

class State final : public shard::StateKeeper {
 public:
  /// Errors of store::Directory::open(), but where it cannot be made at all (a read-only or full
  /// disk): that is said, and nothing is kept.
  static Result<std::unique_ptr<State>> open(const std::filesystem::path& path, Log& log);

  /// From the last run; empty if there is nothing, or nothing usable.
  netmap::Guards load_guards(UnixSeconds now);
  /// Not verified yet: see verify_kept(). Bytes of the file `netmap`.
  std::vector<std::byte> load_netmap(UnixSeconds now);
  /// What was used of the month's quota; nothing if it was never kept, or nothing usable is there.
  std::optional<circuit::KeptMonth> load_quota(UnixSeconds now);

  /// Names of receivers that are kept, kReceiversMax at most.
  std::vector<std::string> receivers() const;
  /// not_found: none of that name. Else an error when there is a file that says nothing: a receiver
  /// is not begun anew without a word.
  Result<keeper::KeptReceiver> load_receiver(std::string_view name);
  /// As the two below. The body is wiped.
  bool save_receiver(std::string_view name, std::vector<std::byte>&& body);

  /// False: it could not be written; the file of before is still there.
  bool save_guards(Bytes body) override;
  bool save_netmap(Bytes body) override;
  bool save_quota(Bytes body) override;

 private:
  State(std::unique_ptr<store::Directory> directory, Log& log)
      : directory_(std::move(directory)), log_(log) {}
  std::vector<std::byte> load(const struct StateFile& file, UnixSeconds now);
  bool save(const struct StateFile& file, Bytes body);
  void set_aside(std::string_view name, const Error& why, UnixSeconds now);

  const std::unique_ptr<store::Directory> directory_;  // null: nothing can be kept
  Log& log_;
  std::mutex mutex_;  // a worker, and stop
  bool write_failed_ = false;
};

}  // namespace qudag::node
