// What a connection knows of its path: where the two ends are, how long the way is, and how much
// may leave on it now. It decides nothing that ngtcp2 decides, and does not call it.
//
// Pure: time is an argument. Threads: one owner. Limits: constant memory.
#pragma once

#include "base/time.h"
#include "link/path/native_address.h"
#include "link/path/pacer.h"

#include <cstddef>

namespace qudag::link {

class PathState {
 public:
  PathState(const SocketAddress& local, const SocketAddress& remote)
      : local_(local), from_(local), remote_(remote) {}

  // Where the ends are.
  /// The peer, as it was dialed, or as it came.
  const SocketAddress& first_remote() const { return remote_; }
  /// Where a dialer's packets leave from.
  const SocketAddress& from() const { return from_; }
  /// Of a dialed link: a packet came in. The path that ngtcp2 knows begins where the link was
  /// dialed from.
  void arrived(NativePath& path);
  /// Packets leave from there from now on.
  void leave_from(const SocketAddress& local) { from_ = local; }
  /// ngtcp2 took the new path.
  void moved() { local_ = from_; }
  /// from() is another address than ngtcp2's, and has no connection id of its own yet.
  bool owes_move() const { return owes_move_; }
  void owe_move(bool owes) { owes_move_ = owes; }

  // How long the way is, as of the last flush.
  /// Until the path has shown to be short.
  bool paced() const { return paced_; }
  Duration round_trip() const { return round_trip_; }  // smoothed
  Duration shortest_trip() const { return shortest_trip_; }
  /// What ngtcp2 measured since the handshake is complete; may end pacing.
  void measured(const ngtcp2_conn_info& info);

  // What may leave.
  std::size_t may_send(std::uint64_t window, TimePoint now);
  void sent(std::size_t bytes) { pacer_.spend(bytes); }
  /// `more`: all that might leave did.
  void stop_sending(bool more) { more_at_ = more ? pacer_.ready_at() : kNever; }
  TimePoint more_at() const { return more_at_; }

 private:
  SocketAddress local_;  // as ngtcp2 knows it
  // Dialed from a wildcard address, it is what the system chose then: no packet leaves from another
  // address with a connection id that this one was seen with.
  SocketAddress from_;
  SocketAddress remote_;
  bool owes_move_ = false;
  bool paced_ = true;
  Duration round_trip_ = Duration(1'000'000);
  Duration shortest_trip_ = Duration(1'000'000);
  Pacer pacer_;
  TimePoint more_at_ = kNever;
};

}  // namespace qudag::link
