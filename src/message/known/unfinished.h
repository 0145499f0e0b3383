// The bytes of large messages that are arriving, where another circuit of their sender finds them.
//
//   begin -> (access, for each fragment) -> finish: whole, the bytes are the caller's
//              |  the circuit ends: leave -> nobody's, until another circuit asks, or its end
//              |  another circuit asks: take -> they are its own; access() gives nothing here
//              |  a signed one is whole: lend -> (a worker) -> bring_back; who asks meanwhile waits
//
// By key_of(): only who knows the scope finds a message. One table for the shards of a node,
// because the next circuit may come in on another one, and before the end of the former is known.
//
// Bounds: what is nobody's is reserved for what came, no more; so many messages and bytes in all,
// of them a quarter and a half by one link. The link that has most gives up its oldest, also when
// memory is short, and before anything that is still arriving.
//
// Threads: any. A lock for the table, once for each large message and end of a circuit; a lock for
// each message, once for each fragment, which nobody else wants but who takes the message over.
#pragma once

#include "base/link_id.h"
#include "base/rng.h"
#include "base/time.h"
#include "memory/block.h"
#include "memory/budget.h"
#include "message/known/key.h"

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace qudag::message {

/// What came of a message.
struct Body {
  memory::Chain bytes;
  memory::Block tail;  // being filled with small fragments; goes to `bytes` when full or done
  memory::Reservation reservation;

  std::size_t size() const { return bytes.bytes() + (tail ? tail.size() : 0); }
};

struct UnfinishedOptions {
  std::size_t bytes_max = limits::kMemoryBytes / limits::kUnfinishedOneIn;
  std::size_t messages_max = limits::kUnfinishedMax;
  std::size_t bytes_min = limits::kResumeFromBytes;  // less is not kept
  Duration kept_for = limits::kUnfinishedFor;
};

class Unfinished {
 private:
  struct Part;

 public:
  Unfinished(const UnfinishedOptions& options, Rng& rng);
  ~Unfinished();

  /// Of a circuit, on a message that arrives there.
  class Hold {
   public:
    explicit operator bool() const { return part_ != nullptr; }

   private:
    friend class Unfinished;
    std::shared_ptr<Part> part_;  // owners: the table, holders now and before
    std::uint64_t number_ = 0;
  };
  /// The bytes and their lock. None: another circuit has taken the message over.
  struct Access {
    std::unique_lock<std::mutex> lock;
    Body* body = nullptr;
  };
  struct Found {
    Body body;
    TimePoint expires{};
  };

  /// May a message of that size move with what came of it?
  bool may_move(std::size_t size) const { return size > options_.bytes_min; }

  /// A message begins to arrive, or goes on. What was there under that key is dropped.
  Hold begin(const wire::MessageId& key, const wire::MessageStart& start, TimePoint expires,
             Body&& body);
  static Access access(const Hold& hold);
  /// The message is whole. None: another circuit has taken it over.
  std::optional<Body> finish(Hold& hold);
  /// The same, and its bytes go to a worker: until bring_back() they are lent.
  std::optional<Body> lend(Hold& hold);
  /// The worker is done, and what became of the message is known here or in delivered.h.
  void bring_back(const wire::MessageId& key);
  bool is_lent(const wire::MessageId& key) const;
  /// As begin(), where nothing is under that key. None: there is, and `body` stays as it is.
  std::optional<Hold> begin_if_new(const wire::MessageId& key, const wire::MessageStart& start,
                                   TimePoint expires, Body& body);
  /// Nothing more comes, and nothing is wanted of what came.
  void end(Hold& hold) { static_cast<void>(finish(hold)); }

  /// The circuit ended: what came waits for the next one of its sender. False: it does not.
  bool leave(Hold& hold, const NodeLink& link, TimePoint now);
  /// The same of one that is whole, and of which nothing is known yet but that.
  bool leave(const wire::MessageId& key, const wire::MessageStart& start, TimePoint expires,
             Body&& body, const NodeLink& link, TimePoint now);
  /// What there is of that message, on whichever circuit it came.
  std::optional<Found> take(const wire::MessageId& key, const wire::MessageStart& start,
                            TimePoint now);

  /// Memory is short for a message of that priority: of those that are nobody's and worth no more,
  /// the oldest of the link that has most goes. False: there is none.
  bool drop_oldest(Priority priority);
  /// The same, whatever it is worth, until so many bytes are free. How many they were.
  std::size_t drop(std::size_t bytes);
  /// How many went because their time was over.
  std::size_t expire(TimePoint now);
  TimePoint next_deadline() const;

  struct Size {
    std::size_t messages = 0, bytes = 0;  // that are nobody's
    std::size_t dropped = 0;              // of them, because of a bound or of memory, so far
  };
  Size size() const;
  const UnfinishedOptions& options() const { return options_; }
  /// With what it costs to know of it.
  static std::size_t record_bytes();

 private:
  using Parts = std::list<std::shared_ptr<Part>>;
  struct Hash {
    IdHash by;
    std::size_t operator()(const wire::MessageId& key) const { return by.hash(key); }
  };
  struct Share {
    std::size_t messages = 0, bytes = 0;
  };

  // With the lock of the table.
  Hold add(const wire::MessageId& key, const wire::MessageStart& start, TimePoint expires,
           Body&& body);
  bool holds(const Hold& hold) const;
  Body remove(Part& part);
  void put_aside(const std::shared_ptr<Part>& part, const NodeLink& link, TimePoint now);
  void keep_bounds(const NodeLink& newest, std::vector<Body>& gone);
  Body drop(Parts::iterator place);
  Parts::iterator oldest_of(const NodeLink& link);
  Parts::iterator oldest_of_fullest(Priority priority);

  const UnfinishedOptions options_;
  mutable std::mutex mutex_;
  std::unordered_map<wire::MessageId, std::shared_ptr<Part>, Hash> parts_;
  Parts left_;  // those that are nobody's, in the order in which they were left
  std::map<NodeLink, Share> shares_;  // of links that have any
  Share all_;
  std::vector<wire::MessageId> lent_;  // no more than workers have to do
  std::size_t dropped_ = 0;
  std::uint64_t numbers_ = 0;
};

}  // namespace qudag::message
