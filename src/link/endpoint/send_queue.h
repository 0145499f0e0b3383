// Packets on their way to the socket: one buffer that trains are written into, one after another.
//
// The buffer is the endpoint's, not a link's, so an idle link costs nothing. Trains that the socket
// refuses stay, in order, and nothing new is written behind them until they are gone.
#pragma once

#include "link/path/train.h"
#include "runtime/socket.h"

#include <memory>
#include <vector>

namespace qudag::link {

/// The largest train: 64 KiB less the headers (UDP over IPv4: 65,507).
inline constexpr std::size_t kTrainBytesMax = 65'000;
inline constexpr std::size_t kOutboxBytes = 4 * 65'536;
/// Kept free by write() for single packets: refusals, Retry, CONNECTION_CLOSE.
inline constexpr std::size_t kOutboxSpareBytes = 32 * 1024;

class SendQueue {
 public:
  // Not zeroed: a page costs memory only once packets were written there.
  SendQueue() : memory_(std::make_unique_for_overwrite<std::byte[]>(kOutboxBytes)) {}

  /// Where the next train may be written; call add() with what was. Empty when there is no room.
  MutableBytes train_room();
  /// The same for a single packet of at most `bytes`.
  MutableBytes packet_room(std::size_t bytes);
  void add(const TrainInfo& train);
  /// False if trains are left.
  bool send(runtime::DatagramSocket& socket);
  bool empty() const { return trains_.empty(); }
  std::size_t bytes() const { return used_; }
  /// Gives the memory of an empty send queue back until it is used again.
  void trim();

  std::uint64_t datagrams() const { return datagrams_; }

 private:
  std::unique_ptr<std::byte[]> memory_;
  std::size_t used_ = 0;
  std::vector<runtime::Train> trains_;
  std::uint64_t datagrams_ = 0;
};

}  // namespace qudag::link
