// What still comes of messages that were answered before their last byte (refused, expired, ended
// for another one): only counted, for the peer may have it under way.
//
// The first few are part of the circuit's record; more reserve their memory, and the circuit never
// has more than may interleave. Where there is no memory for one, the rest of it is not counted:
// such a circuit may then send bytes of messages that are over, within its credit, which do no
// harm. So a node without memory refuses, and accuses nobody.
#pragma once

#include "memory/budget.h"
#include "wire/message_frames.h"

#include <array>
#include <optional>
#include <utility>
#include <vector>

namespace qudag::message {

class Rests {
 public:
  static constexpr std::size_t kFirst = 8;
  struct Rest {
    std::uint32_t ref = 0;
    std::uint32_t bytes = 0;
  };
  static constexpr std::size_t kMoreBytes = wire::kInterleavedMessagesMax * sizeof(Rest);

  std::size_t size() const { return first_used_ + more_.size(); }

  void add(std::uint32_t ref, std::uint32_t bytes, memory::Budget& budget) {
    if (first_used_ < kFirst) {
      first_[first_used_++] = {ref, bytes};
      return;
    }
    if (!reserved_) reserved_ = memory::Reservation::take(budget, kMoreBytes);
    if (!reserved_ || more_.size() >= wire::kInterleavedMessagesMax) {
      ++uncounted_;
      return;
    }
    more_.reserve(wire::kInterleavedMessagesMax);
    more_.push_back({ref, bytes});
  }

  /// A fragment of one of them. False: none of them has that ref, or not so many bytes to come.
  [[nodiscard]] bool count(const wire::DataFrame& frame) {
    Rest* rest = find(frame.ref);
    if (rest == nullptr) {
      if (uncounted_ == 0) return false;
      if (frame.last) --uncounted_;
      return true;
    }
    if (frame.bytes.size() > rest->bytes) return false;
    rest->bytes -= static_cast<std::uint32_t>(frame.bytes.size());
    if (frame.last != (rest->bytes == 0)) return false;
    if (frame.last) erase(*rest);
    return true;
  }
  /// Nothing more of it comes.
  void cancel(std::uint32_t ref) {
    if (Rest* rest = find(ref)) erase(*rest);
  }

 private:
  Rest* find(std::uint32_t ref) {
    for (std::size_t i = 0; i < first_used_; ++i) {
      if (first_[i].ref == ref) return &first_[i];
    }
    for (Rest& rest : more_) {
      if (rest.ref == ref) return &rest;
    }
    return nullptr;
  }
  void erase(Rest& rest) {
    if (more_.empty()) {
      rest = first_[--first_used_];
      return;
    }
    rest = more_.back();
    more_.pop_back();
    if (more_.empty()) {
      more_.shrink_to_fit();
      reserved_.reset();
    }
  }

  std::array<Rest, kFirst> first_;
  std::size_t first_used_ = 0;
  std::vector<Rest> more_;
  memory::Reservation reserved_;
  std::uint64_t uncounted_ = 0;
};

}  // namespace qudag::message
