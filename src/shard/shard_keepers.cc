// Receivers of this node, and this node as a keeper of others'.
#include "shard/shard.h"

#include <algorithm>
#include <utility>

namespace qudag::shard {

std::unique_ptr<keeper::Service> Shard::make_service() {
  if (!setup_.options->relay || !setup_.options->keeper) return nullptr;
  return std::make_unique<keeper::Service>(keeper::Service::Parts{
      .shard = setup_.index,
      .registry = registry_,
      .circuits = circuits_,
      .rng = *setup_.rng,
      .ends_max = std::max<std::size_t>(1, setup_.options->limits.circuits / 2 / setup_.shards),
      .memory = &setup_.bound->part(memory::Part::circuits),
      .post =
          [environment = setup_.environment, hub = setup_.hub](
              unsigned shard, std::function<void(keeper::Service&, Now)> task) {
            Sibling* const there = hub->shard(shard);
            return environment->executor(shard).post(
                [there, task = std::move(task)](Now now) { there->on_service(task, now); });
          },
      .letters = setup_.letters});
}

void Shard::on_service(const std::function<void(keeper::Service&, Now)>& task, Now now) {
  if (service_) task(*service_, now);
}

void Shard::keepers_on_time(Now now) {
  ports_.on_time(now);
  if (service_ && service_->next_deadline() <= now.mono) service_->on_time(now);
  if (phase_ != Phase::running) return;
  for (auto& [id, resident] : residents_) resident->on_time(now);
}

Status Shard::open_receiver(keeper::Resident::Setup setup, Now now) {
  if (phase_ != Phase::running) return fail(Errc::shutting_down);
  if (residents_.size() >= kReceiversMax) return fail(Errc::refused_queue_full, "receivers");
  const NodeId id = setup.id;
  if (residents_.contains(id)) return fail(Errc::already_exists, "the receiver is open");
  auto resident = keeper::Resident::make(
      std::move(setup),
      {.ends = ends_,
       .ports = ports_,
       .ways = routes_,
       .rng = *setup_.rng,
       .ask = [this](link::LinkId first, Now then) { endpoint_->ask(first, then); },
       .seen = setup_.seen_letters},
      now);
  if (!resident) return std::unexpected(resident.error());
  residents_.emplace(id, std::move(*resident));
  return {};
}

std::vector<ReceiverStatus> Shard::receivers() const {
  std::vector<ReceiverStatus> out;
  for (const auto& [id, resident] : residents_) out.push_back(resident->status());
  return out;
}

/// From inside a handler too: then it is in the middle of a call, and ends with the turn.
void Shard::close_receiver(const NodeId& receiver, Now now) {
  const auto at = residents_.find(receiver);
  if (at == residents_.end()) return;
  at->second->close(now);
  closed_residents_.push_back(std::move(at->second));
  residents_.erase(at);
}

}  // namespace qudag::shard
