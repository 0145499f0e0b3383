// Ephemeral key pairs of a source, made ahead: one for each hop of a build, 0.14 ms each.
//
// A build takes pairs out; whoever owns the stock makes new ones on a worker and puts them in. A
// node that builds nothing keeps none (10 KB each): the stock grows with what was taken since the
// last rest(), up to kPairsMax. Each pair serves one hop of one build. One owner, no lock.
#pragma once

#include "crypto/kem.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace qudag::onion {

class KeyStock {
 public:
  static constexpr std::size_t kPairsMax = 32;  // eight builds of four hops

  /// Nothing if there is none: the caller makes one.
  std::optional<crypto::KemKeyPair> take() {
    ++asked_;
    if (pairs_.empty()) {
      ++missed_;
      return std::nullopt;
    }
    std::optional<crypto::KemKeyPair> pair(std::move(pairs_.back()));
    pairs_.pop_back();
    ++taken_;
    return pair;
  }
  void put(crypto::KemKeyPair pair) {
    if (pairs_.size() < kPairsMax) pairs_.push_back(std::move(pair));
  }
  /// How many to make now.
  std::size_t wanted() const {
    const std::size_t target = std::min(kPairsMax, 2 * std::max(asked_, asked_before_));
    return target - std::min(target, pairs_.size());
  }
  /// Every few seconds: forgets its pairs when nobody asked for one since the last time.
  void rest() {
    asked_before_ = std::exchange(asked_, 0);
    if (asked_before_ == 0) pairs_ = std::vector<crypto::KemKeyPair>();
  }

  std::size_t size() const { return pairs_.size(); }
  std::uint64_t taken() const { return taken_; }
  std::uint64_t missed() const { return missed_; }

 private:
  std::vector<crypto::KemKeyPair> pairs_;
  std::size_t asked_ = 0;         // since the last rest()
  std::size_t asked_before_ = 0;  // between the two before
  std::uint64_t taken_ = 0;
  std::uint64_t missed_ = 0;
};

}  // namespace qudag::onion
