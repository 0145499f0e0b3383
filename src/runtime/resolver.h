// Names of hosts to addresses, by the system's resolver (getaddrinfo(3): /etc/hosts, then DNS).
//
// It may take many seconds, and nothing can stop it: each question has a thread of its own, which
// nobody waits for. Answers come to the shard that asked; after ~Resolver none does.
// Threads: any.
#pragma once

#include "base/bounded.h"
#include "runtime/driver.h"

#include <qudag/address.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace qudag::runtime {

/// At least one address, or why there is none (unreachable, with the resolver's words).
using Addresses = Result<std::vector<SocketAddress>>;

class Resolver {
 public:
  /// Questions under way at once.
  static constexpr std::size_t kUnderWayMax = 16;
  static constexpr std::size_t kAddressesMax = 16;  // of a name; the others are left out
  using Lookup = std::function<Addresses(const std::string& name, std::uint16_t port)>;

  /// `lookup` may block, runs on a thread of its own, and must not touch what may end before it.
  explicit Resolver(Lookup lookup = system_lookup);
  ~Resolver();

  /// `home` outlives this. False: too many are under way, or `home` has no place for the answer;
  /// then `done` does not run. Else it runs once on `home`, unless that stops or this ends first.
  [[nodiscard]] bool ask(const std::string& name, std::uint16_t port, Executor& home,
                         std::function<void(Addresses, Now)> done);

  void report(BoundedList& out) const;

  static Addresses system_lookup(const std::string& name, std::uint16_t port);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace qudag::runtime
