// The last packet of a link that ended, which answers packets that come late.
#pragma once

#include "base/bytes.h"

#include <cstdint>
#include <vector>

namespace qudag::link {

class CloseEcho {
 public:
  void keep(Bytes packet) { packet_.assign(packet.begin(), packet.end()); }
  /// To the 1st, 2nd, 4th... late packet, kAnswersMax of them; empty otherwise.
  Bytes answer() {
    if (packet_.empty()) return {};
    const std::uint32_t count = ++late_;
    const bool power_of_two = (count & (count - 1)) == 0;
    return power_of_two && count < (1u << kAnswersMax) ? Bytes(packet_) : Bytes();
  }

 private:
  static constexpr std::uint32_t kAnswersMax = 8;

  std::vector<std::byte> packet_;
  std::uint32_t late_ = 0;
};

}  // namespace qudag::link
