// The streams of one link: the control stream, all others, whose turn it is, and whose sent bytes
// are still to be reported. A stream that is freed leaves all of these lists here.
//
// The lists are intrusive; nothing here allocates, and nothing here calls ngtcp2 or the owner.
// Threads: one owner. Limits: none of its own, ngtcp2 bounds the streams of a link.
#pragma once

#include "link/stream/scheduler.h"
#include "link/stream/stream.h"

#include <cstddef>

namespace qudag::link {

class StreamTable {
 public:
  StreamTable() = default;
  ~StreamTable() { free_all(); }
  StreamTable(const StreamTable&) = delete;
  StreamTable& operator=(const StreamTable&) = delete;

  /// QUIC stream 0: in turns and reports like others, but not counted, and freed with the link.
  Stream& control() { return control_; }
  const Stream& control() const { return control_; }
  Scheduler& turns() { return turns_; }
  const Scheduler& turns() const { return turns_; }

  /// Owned from here.
  void add(Stream& stream);
  void free(Stream& stream);
  /// What ngtcp2 pointed into is freed with them: only when it is gone.
  void free_all();
  std::size_t size() const { return size_; }

  /// f(stream) for each but control; f must not free any.
  template <class F>
  void for_each(F&& f) {
    for (Stream* stream = all_; stream != nullptr; stream = stream->all_next) f(*stream);
  }
  template <class F>
  void for_each(F&& f) const {
    for (const Stream* stream = all_; stream != nullptr; stream = stream->all_next) f(*stream);
  }

  void set_level(Stream& stream, std::uint8_t level);
  /// It sent bytes: take_report() gives it out.
  void add_report(Stream& stream);
  /// One that sent bytes since it was given out last; null if there is none.
  Stream* take_report();

 private:
  void drop_report(Stream& stream);

  Scheduler turns_;
  Stream control_{0, kControlLevel};
  Stream* all_ = nullptr;
  Stream* reports_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace qudag::link
