#include "pipe_app.h"

#include "message/pipe/parcel.h"
#include "message/pipe/share.h"

#include "world.h"

#include <algorithm>

namespace qudag::message::testing {
namespace {

std::byte byte_at(std::uint64_t serial, bool of_opener, std::uint64_t at) {
  const std::uint64_t x = (at + 1) * 0x9e3779b97f4a7c15u + serial * 31 + (of_opener ? 7 : 0);
  return static_cast<std::byte>(x >> 56);
}

}  // namespace

PipeUse& PipeApp::use(PipeId pipe) {
  const auto at = uses.find(pipe.value);
  QUDAG_ASSERT(at != uses.end());
  return *at->second;
}

PipeUse* PipeApp::find(std::uint64_t serial, bool opener) {
  for (auto& [id, one] : uses) {
    if (one->serial == serial && one->opener == opener) return one.get();
  }
  return nullptr;
}

std::size_t PipeApp::closed() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(uses, [](const auto& one) { return one.second->end.has_value(); }));
}

std::uint64_t PipeApp::wrong() const {
  std::uint64_t sum = 0;
  for (const auto& [id, one] : uses) sum += one->wrong;
  return sum;
}

PipeUse* PipeApp::open(std::size_t to, std::uint64_t serial, std::uint64_t first,
                       PipeOptions options) {
  const Now now = node_.world.now();
  const auto id = node_.messages->with_pipes(now, [&](Pipes& pipes) {
    auto opened = pipes.open({node_id(to), "s-" + std::to_string(serial), options}, now);
    if (opened) {
      auto made = std::make_unique<PipeUse>();
      made->id = *opened;
      made->serial = serial;
      made->opener = true;
      made->may_write = kPipeRoomMin;
      uses[opened->value] = std::move(made);
    }
    return opened;
  });
  if (!id) return nullptr;
  PipeUse& made = use(*id);
  if (first > 0) write(made, first);
  return &made;
}

void PipeApp::write(PipeUse& one, std::uint64_t bytes, bool ends) {
  one.to_write += bytes;
  one.ends = one.ends || ends;
  go_on(one);
}

void PipeApp::go_on(PipeUse& one) {
  if (one.end) return;
  const Now now = node_.world.now();
  while (one.to_write > 0 && one.may_write > one.written) {
    const std::uint64_t most =
        std::min({one.to_write, one.may_write - one.written, std::uint64_t{5000}});
    const std::uint64_t held =
        one.written - std::as_const(*node_.messages).pipes().taken_by_peer(one.id);
    const auto n =
        static_cast<std::size_t>(reserve_written(*node_.pipes, *node_.claim, held, most));
    if (n == 0) return node_.world.after(100ms, [this, &one] { go_on(one); });
    std::vector<std::byte> bytes(n);
    for (std::size_t i = 0; i < n; ++i) bytes[i] = byte_at(one.serial, one.opener, one.written + i);
    one.written += n;
    one.to_write -= n;
    node_.messages->with_pipes(now, [&](Pipes& pipes) {
      pipes.write(one.id, Priority::normal, chain_of(node_.pool, bytes, memory::BlockSize::cell),
                  now);
    });
    if (one.end) return;
  }
  if (one.to_write > 0 || !one.ends || one.said_end) return;
  one.said_end = true;
  node_.messages->with_pipes(now, [&](Pipes& pipes) { pipes.end(one.id, now); });
}

void PipeApp::take(PipeUse& one, std::uint64_t bytes) {
  one.taken += std::min(bytes, one.received - one.taken);
  const Now now = node_.world.now();
  node_.messages->with_pipes(now, [&](Pipes& pipes) { pipes.take(one.id, bytes, now); });
}

void PipeApp::reset(PipeUse& one, PipeCode code) {
  const Now now = node_.world.now();
  node_.messages->with_pipes(now, [&](Pipes& pipes) { pipes.reset(one.id, code, now); });
}

void PipeApp::on_pipe_offer(PipeId pipe, const PipeOffered& offered, Now now) {
  ++offers;
  auto made = std::make_unique<PipeUse>();
  made->id = pipe;
  EXPECT_EQ(offered.service.substr(0, 2), "s-");
  made->serial = std::stoull(offered.service.substr(2));
  PipeUse& one = *(uses[pipe.value] = std::move(made));
  if (on_offer) return on_offer(one);
  node_.messages->with_pipes(now, [&](Pipes& pipes) { pipes.accept(pipe, now); });
}

void PipeApp::on_pipe_open(PipeId pipe, Now) {
  PipeUse& one = use(pipe);
  EXPECT_FALSE(one.opened || one.end);
  one.opened = true;
  if (on_opened) on_opened(one);
}

void PipeApp::on_pipe_bytes(PipeId pipe, memory::Chain&& bytes, memory::Reservation&& reservation,
                            Now) {
  PipeUse& one = use(pipe);
  EXPECT_FALSE(one.ended || one.end);
  EXPECT_GT(bytes.bytes(), 0u);
  EXPECT_EQ(reservation.bytes(), bytes.bytes());
  std::vector<std::byte> flat(bytes.bytes());
  bytes.copy_out(flat);
  for (const std::byte b : flat) {
    if (b != byte_at(one.serial, !one.opener, one.received++)) ++one.wrong;
  }
  if (one.auto_take) take(one, flat.size());
}

void PipeApp::on_pipe_end(PipeId pipe, Now) {
  PipeUse& one = use(pipe);
  EXPECT_FALSE(one.ended || one.end);
  one.ended = true;
  if (on_end) on_end(one);
}

void PipeApp::on_pipe_room(PipeId pipe, std::uint64_t may_write, Now) {
  PipeUse& one = use(pipe);
  EXPECT_GE(may_write, one.may_write);
  one.may_write = may_write;
  go_on(one);
}

void PipeApp::on_pipe_closed(PipeId pipe, const PipeEnd& end, Now) {
  PipeUse& one = use(pipe);
  EXPECT_EQ(++one.closings, 1u) << "told twice";
  one.end = end;
}

/// As shard/pipe does it: a task there, and one back; the program goes along.
void PipeApp::fetch_pipe(std::uint32_t shard, const wire::PipeKey& key, std::uint32_t attempt) {
  World& world = node_.world;
  Node& there = world[shard];
  world.after(1ms, [this, &world, &there, key, attempt] {
    PipeId was;
    const auto parcel = std::make_shared<std::unique_ptr<Pipes::Parcel>>(there.messages->with_pipes(
        world.now(), [&](Pipes& pipes) { return pipes.give_away(was, key, attempt); }));
    std::shared_ptr<PipeUse> program;
    if (*parcel) {
      auto& programs = there.pipe_app.uses;
      program = std::move(programs.at(was.value));
      programs.erase(was.value);
    }
    world.after(1ms, [this, &world, key, parcel, program] {
      const Now now = world.now();
      node_.messages->with_pipes(now, [&](Pipes& pipes) {
        const auto id = pipes.take_over(key, parcel->get(), now);
        if (!id) return;
        program->id = *id;
        uses[id->value] = std::make_unique<PipeUse>(*program);
      });
    });
  });
}

}  // namespace qudag::message::testing
