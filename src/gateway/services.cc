#include "gateway/services.h"

namespace qudag::gateway {

Services::Place::~Place() {
  if (!entry_) return;  // moved from
  const std::scoped_lock lock(services_->mutex_);
  --entry_->open;
}

Status Services::add(config::ServiceOptions service) {
  const std::scoped_lock lock(mutex_);
  if (table_.contains(service.name)) {
    return fail(Errc::already_exists, service.name + ": there is a service of that name");
  }
  if (table_.size() >= kServicesMax) {
    return fail(Errc::refused_queue_full, "a node has at most 256 services");
  }
  std::string name = service.name;
  table_.emplace(std::move(name),
                 std::make_shared<Place::Entry>(Place::Entry{.options = std::move(service)}));
  return {};
}

void Services::remove(std::string_view name) {
  const std::scoped_lock lock(mutex_);
  if (const auto at = table_.find(name); at != table_.end()) table_.erase(at);
}

std::expected<Services::Place, PipeCode> Services::find(std::string_view name) {
  const std::scoped_lock lock(mutex_);
  const auto at = table_.find(name);
  if (at == table_.end()) return std::unexpected(PipeCode::no_such_service);
  if (at->second->open >= at->second->options.pipes) return std::unexpected(PipeCode::no_room);
  ++at->second->open;
  return Place(*this, at->second);
}

std::vector<Services::Row> Services::rows() const {
  const std::scoped_lock lock(mutex_);
  std::vector<Row> out;
  for (const auto& [name, entry] : table_) out.push_back({entry->options, entry->open});
  return out;
}

}  // namespace qudag::gateway
