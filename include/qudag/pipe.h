// Pipes: reliable byte streams, both ways, between a program and a service at another node.
//
//   qudag::PipeEvents events;
//   events.on_bytes = [](qudag::Pipe& pipe, qudag::Buffer&& bytes) {
//     ...;                       // use them, here or later on another thread
//     pipe.take(bytes.size());   // when they are used: the other end may send as many more
//   };
//   events.on_closed = [](const qudag::PipeEnd& end) { ...; };
//   auto pipe = node.open(destination, "echo", {}, std::move(events), first_bytes);
//   (*pipe)->write(more);        // as many as there is room for
//   (*pipe)->end();              // no more bytes this way
//
//   node.on_pipe([](qudag::PipeOffer&& offer) {             // the service's side
//     if (offer.service() != "echo") return offer.refuse(qudag::PipeCode::no_such_service);
//     keep(offer.accept(make_events()));
//   });
//
// What is promised. Bytes come in order, once, and all of them, or the pipe ends and says so. A
// pipe outlives its circuits: when a relay or a link dies, when a circuit is worn, it goes on over
// another circuit within 60 s, or ends as lost. It does not outlive either node. A program that
// does not read holds up the one that writes, and no other pipe and no message.
//
// Sizes are bytes. Threads: every function may be called from any thread, also from events; events
// run on one thread of the node (the shard that the pipe is on), one at a time for each pipe, and
// must not block. One that throws is said once in the log, and the node goes on. Errors: by value;
// nothing throws. Lifetime: a Pipe may outlive its node; it is closed then.
#pragma once

#include <qudag/address.h>
#include <qudag/error.h>
#include <qudag/export.h>
#include <qudag/message.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace qudag {

/// The name of a service: 1 to so many of a-z, 0-9 and '-'.
inline constexpr std::size_t kServiceNameMax = 24;
/// What an opener may send before the service answers, and so the most that rides with an open.
inline constexpr std::size_t kPipeFirstBytesMax = 16'384;
/// So much can be written to a pipe from which all has been taken, and so the largest Buffer that
/// write() takes.
inline constexpr std::size_t kPipeRoomMin = 65'536;

/// Why a pipe was refused or broken off, as the other end or this node says it.
enum class PipeCode : std::uint8_t {
  none = 0,
  no_such_service = 1,
  refused = 2,        ///< by the service
  not_reachable = 3,  ///< the service is not there
  too_slow = 4,       ///< the service did not answer within 10 s
  no_room = 5,        ///< a bound of a node: pipes, memory, overload
  not_for_you = 6,    ///< a policy
  lost = 7,           ///< no circuit for 60 s, or an end that knows nothing of it any more
  broken_off = 8,     ///< the program broke off: reset(), or what TCP calls RST
  stopping = 9,       ///< the node stops
  rate = 10,          ///< too many opens on one circuit
};
/// "none", "no_such_service", ...; of a number that is none of them "unknown".
QUDAG_API std::string_view name_of(PipeCode code) noexcept;

struct PipeOptions {
  /// normal, or low for bulk: the size of its cells and its turn on every link. high is
  /// invalid_argument.
  Priority priority = Priority::normal;
  /// Relays between here and the destination, 0 to 5, as in SendOptions.
  unsigned relays = kRelaysDefault;
  /// Pipes and messages with different tags never share a circuit. What two pipes with one tag
  /// share, their destination can see.
  std::uint64_t isolation = 0;
  /// From the call to on_open; then it ends as lost, with timed_out. 1 ms to 1 h.
  std::chrono::milliseconds open_max{60'000};
};

/// How a pipe ended.
struct PipeEnd {
  enum class How : std::uint8_t {
    finished,  ///< both sides said end(), and the programs have taken every byte
    reset,     ///< one end refused it or broke it off; `code` says why
    lost,      ///< no way to the other end; `reason` says the last one
  };
  How how = How::lost;
  PipeCode code = PipeCode::none;   ///< not none when reset; `lost` when lost
  bool by_peer = false;             ///< the other end said it
  bool opened = false;              ///< on_open had run; always true at the service's side
  Error reason{Errc::ok};           ///< ok when finished
  std::uint64_t sent = 0;           ///< that were written here, taken by the node
  std::uint64_t taken_by_peer = 0;  ///< of them; exact when finished, else at least so many
  std::uint64_t received = 0;       ///< that on_bytes brought
};
QUDAG_API std::string_view name_of(PipeEnd::How how) noexcept;

/// One end of a pipe. Ending the object resets the pipe (broken_off) unless it has ended; on_closed
/// comes all the same. Not to be ended while another thread is in a call of it. In events it is
/// lent for the call.
class QUDAG_API Pipe {
 public:
  ~Pipe();
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  /// Copies the first of `bytes`, as many as there is room for, and says how many; they leave when
  /// the window of the other end and the circuit let them. would_block: there is no room at all;
  /// on_room comes when there is. refused_memory: limits.memory or limits.pipe_bytes has none;
  /// on_room comes as well. circuit_failed: the pipe has ended. invalid_argument: after end().
  [[nodiscard]] Result<std::size_t> write(std::span<const std::byte> bytes);
  /// All of a Buffer without a copy, or nothing: would_block, and it is as before, if it is larger
  /// than room(). too_large over kPipeRoomMin. Else as above.
  [[nodiscard]] Status write(Buffer& bytes);
  /// What a write may bring now; kPipeRoomMin and more when the other side took all.
  [[nodiscard]] std::size_t room() const noexcept;
  /// No more bytes this way: the other side hears on_end after the last one. What was written still
  /// leaves, and the other way stays open. The second time nothing.
  void end();
  /// Breaks the pipe off, both ways, at once: what is under way is lost. Nothing if it has ended.
  void reset(PipeCode code = PipeCode::broken_off);
  /// The program is done with so many of the bytes that on_bytes brought: the other end is told so,
  /// and may send more. More than came counts as all. Who never takes stops the other side.
  void take(std::size_t bytes);
  /// on_closed has run or is about to.
  [[nodiscard]] bool closed() const noexcept;

  class Impl;

 private:
  friend class Impl;
  explicit Pipe(std::shared_ptr<Impl> impl) noexcept;
  std::shared_ptr<Impl> impl_;  // owners: this, the node's shard
};

/// What happens to a pipe. Those that are empty are left out; bytes that nobody hears of are taken.
struct PipeEvents {
  /// The service has answered: the pipe is open. Not told at the service's side.
  std::move_only_function<void(Pipe&)> on_open;
  /// The next bytes, one or more, in order. The Buffer is the application's, and its memory counts
  /// until it ends.
  std::move_only_function<void(Pipe&, Buffer&&)> on_bytes;
  /// The other side sends no more; all that it sent has come by on_bytes. At most once.
  std::move_only_function<void(Pipe&)> on_end;
  /// There is room again, after write() took nothing or not all: for half of kPipeRoomMin at least.
  std::move_only_function<void(Pipe&)> on_room;
  /// The last event, exactly once, whatever happens. Every event has ended when the application
  /// lets go of what it gave them, and they are destroyed on a thread of the node soon after this.
  std::move_only_function<void(const PipeEnd&)> on_closed;
};

/// A pipe that somebody opens to a service here. Answer it within 10 s, from any thread; one that
/// ends without an answer is refused as not_reachable.
class QUDAG_API PipeOffer {
 public:
  ~PipeOffer();
  PipeOffer(PipeOffer&&) noexcept;
  PipeOffer& operator=(PipeOffer&&) noexcept;

  /// A valid name; whether there is such a service is for the handler to say.
  [[nodiscard]] std::string_view service() const noexcept;
  /// The id that it was opened to: this node's, or that of an inbox of it.
  [[nodiscard]] const NodeId& receiver() const noexcept;
  /// Of the circuit, which is the opener's choice.
  [[nodiscard]] Priority priority() const noexcept;
  /// The opener has gone meanwhile.
  [[nodiscard]] bool closed() const noexcept;

  /// The service has it: the first bytes follow as events. If the opener has gone the pipe is
  /// closed, and on_closed comes. Once; a second time, and after refuse(), null.
  [[nodiscard]] std::unique_ptr<Pipe> accept(PipeEvents events);
  void refuse(PipeCode code);

 private:
  friend class Pipe::Impl;
  explicit PipeOffer(std::shared_ptr<Pipe::Impl> impl) noexcept;
  std::shared_ptr<Pipe::Impl> impl_;  // null: answered
};

using PipeHandler = std::move_only_function<void(PipeOffer&&)>;

/// A pipe as Node::pipes() shows it.
struct PipeStatus {
  enum class State : std::uint8_t { opening, open, parked };
  State state = State::opening;
  bool opener = false;
  std::string service;
  NodeId receiver;
  Priority priority = Priority::normal;
  std::uint64_t written = 0;        ///< here
  std::uint64_t taken_by_peer = 0;  ///< of them
  std::uint64_t received = 0;
  std::uint64_t taken = 0;  ///< of them, here
  std::uint64_t held = 0;   ///< bytes in this node's memory for it, both ways
  unsigned resumed = 0;     ///< times that it went on over another circuit
  std::chrono::seconds age{};
};
QUDAG_API std::string_view name_of(PipeStatus::State state) noexcept;

}  // namespace qudag
