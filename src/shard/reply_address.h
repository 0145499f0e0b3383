// What a ReplyTo and a Receipt mean to the node that made them.
//
// Inside the program it is plain; what an application gets to see of it (ReplyTo::handle) is one
// block of AES-256 under a key of the process: handles of one circuit have nothing in common.
#pragma once

#include <qudag/message.h>

#include <cstdint>
#include <optional>

namespace qudag::shard {

struct ReplyAddress {
  std::uint64_t circuit = 0;
  std::uint32_t ref = 0;
  std::uint32_t shard = 0;

  Receipt receipt() const;
  /// Nothing for one that was never given out.
  static std::optional<ReplyAddress> of(const Receipt& receipt);

  ReplyTo pack() const;
  /// Nothing if it was not packed in this process.
  static std::optional<ReplyAddress> unpack(const ReplyTo& to);
};

}  // namespace qudag::shard
