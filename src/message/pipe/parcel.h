// A pipe on its way from one shard of a node to another: its record without circuit and deadlines.
// What it holds stays reserved, and is given back if nobody takes it over.
#pragma once

#include "message/pipe/pipes.h"

namespace qudag::message {

struct Pipes::Parcel {
  Parcel(memory::Budget& c, std::shared_ptr<PipesOfNode> n) : claim(c), node(std::move(n)) {}
  ~Parcel() {
    claim.release(in_claim + out_held);
    node->bytes().release(in_bytes + out_held);
  }
  Parcel(const Parcel&) = delete;
  Parcel& operator=(const Parcel&) = delete;

  memory::Budget& claim;
  std::shared_ptr<PipesOfNode> node;  // owners: the pipes of all shards
  wire::PipeKey key{};
  std::string service;
  NodeId receiver;
  Priority priority = Priority::normal;
  bool closed = false, peer_done = false, told_end = false;
  std::uint32_t attempt = 0, moves = 0;
  TimePoint began{}, until = kNever;
  Outgoing out;
  Incoming in;
  memory::Chain pending;
  std::uint64_t in_claim = 0, in_bytes = 0, out_held = 0;
  std::uint64_t room_told = 0;
  std::uint8_t tells = 0;
  PipeEnd end;
};

}  // namespace qudag::message
