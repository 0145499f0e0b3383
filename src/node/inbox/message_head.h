// What stands before the payload of a message in the inbox's file, and is read back as input:
//
//   1 u8 || flags u8 (1: sender) || priority u8 || 0 u8 || channel u16 || 0 u16 || came u64 ||
//   message id (16) || sender (32, or zeros)
#pragma once

#include "base/bytes.h"
#include "base/time.h"

#include <qudag/message.h>

#include <array>
#include <cstddef>
#include <optional>

namespace qudag::node {

inline constexpr std::size_t kMessageHeadBytes = 64;

struct MessageHead {
  MessageId id;
  Priority priority = Priority::normal;
  ChannelNumber channel = 0;
  UnixSeconds came = 0;
  std::optional<NodeId> sender;  // only if it signed

  bool operator==(const MessageHead&) const = default;
};

std::array<std::byte, kMessageHeadBytes> encode(const MessageHead& head);
/// malformed: not exactly what encode() writes; unsupported: another version.
Result<MessageHead> parse_message_head(Bytes bytes);

}  // namespace qudag::node
