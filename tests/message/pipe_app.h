// The programs at both ends of pipes in World: they write a pattern that is checked at the other
// end byte by byte, count everything, and do what a test says.
#pragma once

#include "message/messages.h"
#include "message/pipe/pipes.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace qudag::message::testing {

class Node;

/// One end of a pipe, as its program sees it.
struct PipeUse {
  PipeId id;
  std::uint64_t serial = 0;  // in the service's name: what the bytes are made from
  bool opener = false, opened = false, ended = false, auto_take = true;
  std::uint64_t written = 0, may_write = 0, received = 0, taken = 0, wrong = 0;
  std::uint64_t to_write = 0;  // as room comes; then end, if `ends`
  bool ends = false, said_end = false;
  std::optional<PipeEnd> end;
  unsigned closings = 0;
};

class PipeApp final : public PipeListener {
 public:
  explicit PipeApp(Node& node) : node_(node) {}

  /// `first` bytes are written at once.
  PipeUse* open(std::size_t to, std::uint64_t serial, std::uint64_t first = 0,
                PipeOptions options = {});
  /// As many as there is room for; the rest when there is. All of them: end() then, if wanted.
  void write(PipeUse& use, std::uint64_t bytes, bool ends = false);
  void take(PipeUse& use, std::uint64_t bytes);
  void reset(PipeUse& use, PipeCode code = PipeCode::broken_off);
  PipeUse* find(std::uint64_t serial, bool opener);
  std::size_t closed() const;
  std::uint64_t wrong() const;

  std::function<void(PipeUse&)> on_offer;   // else: accepted
  std::function<void(PipeUse&)> on_opened;  // else nothing
  std::function<void(PipeUse&)> on_end;
  std::map<std::uint64_t, std::unique_ptr<PipeUse>> uses;  // by PipeId
  std::size_t offers = 0;

  // PipeListener
  void on_pipe_offer(PipeId pipe, const PipeOffered& offered, Now now) override;
  void on_pipe_open(PipeId pipe, Now now) override;
  void on_pipe_bytes(PipeId pipe, memory::Chain&& bytes, memory::Reservation&& reservation,
                     Now now) override;
  void on_pipe_end(PipeId pipe, Now now) override;
  void on_pipe_room(PipeId pipe, std::uint64_t may_write, Now now) override;
  void on_pipe_closed(PipeId pipe, const PipeEnd& end, Now now) override;
  void fetch_pipe(std::uint32_t shard, const wire::PipeKey& key, std::uint32_t attempt) override;

 private:
  PipeUse& use(PipeId pipe);
  void go_on(PipeUse& use);

  Node& node_;
};

}  // namespace qudag::message::testing
