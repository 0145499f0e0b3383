// A set of link slots: one bit per slot, so that "who has this descriptor" costs 512 bytes for 4096
// links and not a table.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace qudag::netmap {

class LinkSet {
 public:
  bool contains(std::size_t slot) const {
    return slot / 64 < words_.size() && (words_[slot / 64] & bit(slot)) != 0;
  }
  void insert(std::size_t slot) {
    if (slot / 64 >= words_.size()) words_.resize(slot / 64 + 1);
    words_[slot / 64] |= bit(slot);
  }
  void insert(const LinkSet& others) {
    if (others.words_.size() > words_.size()) words_.resize(others.words_.size());
    for (std::size_t i = 0; i < others.words_.size(); ++i) words_[i] |= others.words_[i];
  }
  void erase(std::size_t slot) {
    if (slot / 64 < words_.size()) words_[slot / 64] &= ~bit(slot);
  }

  bool any() const {
    return std::ranges::any_of(words_, [](std::uint64_t word) { return word != 0; });
  }

 private:
  static std::uint64_t bit(std::size_t slot) { return std::uint64_t{1} << (slot % 64); }

  std::vector<std::uint64_t> words_;
};

}  // namespace qudag::netmap
