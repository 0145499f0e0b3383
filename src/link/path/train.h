// Where a train of packets goes.
#pragma once

#include <qudag/address.h>

#include <cstddef>
#include <cstdint>

namespace qudag::link {

struct TrainInfo {
  SocketAddress to;
  SocketAddress from;
  std::size_t bytes = 0;
  std::size_t segment = 0;
  std::uint8_t ecn = 0;
};

}  // namespace qudag::link
