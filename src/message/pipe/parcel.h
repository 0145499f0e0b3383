// A pipe on its way from one shard of a node to another: its record without circuit and deadlines.
// What it holds stays reserved, and is given back if nobody takes it over.
#pragma once

#include "message/pipe/pipes.h"

namespace qudag::message {

struct Pipes::Parcel {
  Parcel(memory::Budget& c, std::shared_ptr<PipesOfNode> n, PipeState s)
      : claim(c), node(std::move(n)), state(std::move(s)) {}
  ~Parcel() {
    claim.release(state.in_claim + state.out_held);
    node->bytes().release(state.in_bytes + state.out_held);
  }
  Parcel(const Parcel&) = delete;
  Parcel& operator=(const Parcel&) = delete;

  memory::Budget& claim;
  std::shared_ptr<PipesOfNode> node;  // owners: the pipes of all shards
  PipeState state;
};

}  // namespace qudag::message
