// Message ids, drawn many at a time.
#pragma once

#include "base/rng.h"
#include "wire/message_frames.h"

#include <array>
#include <cstddef>
#include <span>

namespace qudag::message {

/// A call of the system's generator costs as much as all else that the sender does for a small
/// message. One thread.
class IdStock {
 public:
  wire::MessageId next(Rng& rng) {
    if (used_ == ids_.size()) {
      rng.fill(std::as_writable_bytes(std::span(ids_)));
      used_ = 0;
    }
    return ids_[used_++];
  }

 private:
  std::array<wire::MessageId, 64> ids_;
  std::size_t used_ = 64;
};

}  // namespace qudag::message
