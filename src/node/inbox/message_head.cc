#include "node/inbox/message_head.h"

#include <algorithm>
#include <string>

namespace qudag::node {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kSender = 1;

}  // namespace

std::array<std::byte, kMessageHeadBytes> encode(const MessageHead& head) {
  std::array<std::byte, kMessageHeadBytes> bytes{};
  ByteWriter out(bytes);
  out.u8(kVersion);
  out.u8(head.sender ? kSender : 0);
  out.u8(static_cast<std::uint8_t>(head.priority));
  out.u8(0);
  out.u16(head.channel);
  out.u16(0);
  out.u64(head.came);
  out.put(head.id.bytes);
  out.put(head.sender.value_or(NodeId{}).bytes);
  QUDAG_ASSERT(out.remaining() == 0);
  return bytes;
}

Result<MessageHead> parse_message_head(Bytes bytes) {
  ByteReader in(bytes);
  const std::uint8_t version = in.u8(), flags = in.u8(), priority = in.u8(), none = in.u8();
  MessageHead head;
  head.channel = in.u16();
  const std::uint16_t nothing = in.u16();
  head.came = in.u64();
  head.id.bytes = in.array<MessageId::kSize>();
  NodeId sender;
  sender.bytes = in.array<sizeof sender.bytes>();
  if (!in.done()) return fail(Errc::malformed, "a message's head has another length");
  if (version != kVersion) {
    return fail(Errc::unsupported, "a message's head has version " + std::to_string(version));
  }
  const bool right = (flags & ~kSender) == 0 && priority < kPriorityCount && none == 0 &&
                     nothing == 0 && ((flags & kSender) != 0 || sender == NodeId{});
  if (!right) return fail(Errc::malformed, "a message's head is not what was written");
  head.priority = static_cast<Priority>(priority);
  if ((flags & kSender) != 0) head.sender = sender;
  return head;
}

}  // namespace qudag::node
