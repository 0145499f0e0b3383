// What an answer to a message means for the letter that has it, or may have it.
#pragma once

#include "wire/message_frames.h"

namespace qudag::keeper {

/// The application has it: it is not to be taken again.
inline bool is_taken(wire::AckStatus status) {
  return status == wire::AckStatus::delivered || status == wire::AckStatus::duplicate;
}

}  // namespace qudag::keeper
