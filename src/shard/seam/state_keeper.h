// Where a shard puts what is worth keeping over a restart; the node has a directory for it.
#pragma once

#include "base/bytes.h"

namespace qudag::shard {

/// Called by one worker at a time. False: it was not written, and what was kept before is still
/// there; the shard asks again.
class StateKeeper {
 public:
  virtual bool save_guards(Bytes body) = 0;
  virtual bool save_netmap(Bytes body) = 0;
  /// circuit::KeptMonth
  virtual bool save_quota(Bytes body) = 0;

 protected:
  ~StateKeeper() = default;
};

}  // namespace qudag::shard
