#include "shard/protection/load_reports.h"

#include "wire/control.h"

namespace qudag::shard {

void LoadReports::tell(std::uint16_t load, link::Endpoint& endpoint, Now now) {
  load_ = load;
  if (!tells_ || now.mono < next_ || (load == 0 && told_.empty())) return;
  next_ = now.mono + netmap::RelayLoads::kEvery;
  for (const link::LinkInfo& link : listeners(endpoint)) {
    const auto known = told_.find(link.id);
    const Told told = known == told_.end() ? Told{} : known->second;
    if (told.load == load && (load == 0 || now.mono - told.at < kRepeat)) continue;
    const auto type = static_cast<std::uint8_t>(wire::ControlType::load);
    if (!endpoint.send_control(link.id, type, wire::encode_load(load))) continue;
    told_[link.id] = {.load = load, .at = now.mono};
    ++stats_.sent;
  }
  // Who was told 0, and who has forgotten, has nothing to be told again.
  std::erase_if(told_, [now](const auto& one) {
    return one.second.load == 0 || now.mono - one.second.at >= netmap::RelayLoads::kForgotten;
  });
}

/// Links with circuits, of each peer one: rather that which was told before, so that nothing old
/// stands on another.
std::vector<link::LinkInfo> LoadReports::listeners(const link::Endpoint& endpoint) const {
  std::vector<link::LinkInfo> out;
  std::map<NodeId, std::size_t> place;
  for (link::LinkInfo& link : endpoint.links()) {
    if (link.state != link::LinkState::ready || link.streams == 0) continue;
    if (link.peer) {
      const auto [at, is_new] = place.try_emplace(*link.peer, out.size());
      if (!is_new) {
        if (told_.contains(link.id)) out[at->second] = std::move(link);
        continue;
      }
    }
    out.push_back(std::move(link));
  }
  return out;
}

bool LoadReports::heard(const link::Endpoint& endpoint, link::LinkId link, Bytes body, Now now) {
  const auto load = wire::parse_load(body);
  if (!load) return false;
  const auto info = endpoint.info(link);
  if (!info || !info->peer) {
    ++stats_.ignored_unknown;
  } else if (loads_.heard(*info->peer, link, *load, now)) {
    ++stats_.heard;
  } else {
    ++stats_.ignored_too_fast;
  }
  return true;
}

void LoadReports::link_closed(link::LinkId link) {
  told_.erase(link);
  loads_.forget(link);
}

LoadReportStats LoadReports::stats() const {
  LoadReportStats out = stats_;
  out.own = load_ / 65535.0;
  return out;
}

void LoadReports::report(BoundedList& out, std::size_t links_max) const {
  using Kind = Bounded::Kind;
  out.push_back(bounded(Kind::table, "links that were told our load", "one for each link",
                        told_.size(), links_max, sizeof(Told)));
  out.push_back(bounded(Kind::table, "loads that relays report", "not kept", loads_.size(),
                        loads_.entries_max(), netmap::RelayLoads::kEntryBytes));
}

}  // namespace qudag::shard
