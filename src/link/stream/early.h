// Streams that a peer opened before its HELLO: QUIC may deliver another stream's bytes first when
// the packet with the control stream's was lost. They wait here until the HELLO is read, and are
// nobody's until then. What is more than a first flight can hold is reset, and the peer's circuit
// tries again; without a HELLO the link ends (kHelloWithin).
//
// Limits: kStreamsMax streams and kBytesMax bytes, reserved from the handshakes' memory.
#pragma once

#include "base/bytes.h"
#include "memory/budget.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace qudag::link {

class EarlyStreams {
 public:
  static constexpr std::size_t kStreamsMax = 16;
  static constexpr std::size_t kBytesMax = 32 * 1024;  // two builds, and their prefaces

  struct One {
    std::int64_t index;
    std::vector<std::byte> bytes;
  };

  explicit EarlyStreams(memory::Reservation memory) : memory_(std::move(memory)) {}

  [[nodiscard]] bool add(std::int64_t index) {
    if (streams_.size() == kStreamsMax) return false;
    streams_.push_back({index, {}});
    return true;
  }
  /// False if it is not one of them, or has no room: then it is none any more.
  [[nodiscard]] bool add(std::int64_t index, Bytes data) {
    const auto at = find(index);
    if (at == streams_.end()) return false;
    if (bytes_ + data.size() > kBytesMax) {
      remove(index);
      return false;
    }
    bytes_ += data.size();
    at->bytes.insert(at->bytes.end(), data.begin(), data.end());
    return true;
  }
  void remove(std::int64_t index) {
    const auto at = find(index);
    if (at == streams_.end()) return;
    bytes_ -= at->bytes.size();
    streams_.erase(at);
  }
  std::vector<One> take() { return std::exchange(streams_, {}); }

 private:
  std::vector<One>::iterator find(std::int64_t index) {
    return std::ranges::find(streams_, index, &One::index);
  }

  memory::Reservation memory_;
  std::vector<One> streams_;
  std::size_t bytes_ = 0;
};

}  // namespace qudag::link
