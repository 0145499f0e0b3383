// Gossip. What a link shows of a range is noted in four steps: the range is cleared of what we
// thought the link has; every entry marks what it has; what it lacks is owed; what it has newer or
// alone is wanted.
#include "netmap/gossip/gossip.h"

#include "netmap/gossip/fingerprint.h"

#include <algorithm>

namespace qudag::netmap {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kSendsPerSecond =
    500;                                   // 3.3 MB/s: 10,000 descriptors in 20 s; below what the
constexpr std::uint64_t kSendsBurst = 64;  // receiver can verify
constexpr std::size_t kSendsPerTurnMax = 64;
constexpr std::size_t kSummariesPerTurnMax = 8;
constexpr std::size_t kAnswersPerTurnMax = 16;
constexpr std::size_t kAnswersMax = 256;  // that wait for a link
constexpr Duration kAnswerWithin = 30s;
using Answer = std::pair<TimePoint, wire::Ask>;
// So few entries are asked for at once: sixteen fingerprints are no shorter.
constexpr std::size_t kFewEntries = 8;
// So many, where many parts differ: a network as small as this needs no summaries of parts.
constexpr std::size_t kFewInAll = 64;
constexpr std::size_t kManyParts = 4;
constexpr Duration kTellOwnAgain = 10min;
constexpr std::size_t kOwedMax = 1u << 18;  // ids in all queues: 8 MB
constexpr Duration kBlockedRetry = 250ms;
// A WANT that crosses our answer to a DIGEST asks for what is on its way: not sent twice.
constexpr Duration kOnItsWay = 2s;
constexpr Duration kAskAnotherAfter = 5s;
constexpr Duration kAskAgainAfter = 30s;
constexpr Duration kWantedKept = 60s;
constexpr unsigned kAskTimes = 5;  // between two digests that show it
// Relays that die together are told together.
constexpr Duration kGather = 250ms;
constexpr Duration kTellEvery = 10s;
constexpr std::size_t kGoneEntriesMax = 4 * wire::kDigestEntriesMax;
constexpr std::size_t kGoneRangesMax = 128;
constexpr std::uint64_t kFrameWork = 16;  // the least that a frame costs, in entries

/// Two exchanges of all entries per interval, and as many comparisons.
std::uint64_t work_max(const NetmapOptions& options) { return 8 * options.descriptors_max + 4096; }

}  // namespace

// ---- Links --------------------------------------------------------------------------------------

Gossip::Gossip(const NetmapOptions& options, Store& store, Belief& belief, Rng& rng,
               GossipSink& sink, NetmapStats& stats)
    : options_(options), store_(store), belief_(belief), rng_(rng), sink_(sink), stats_(stats) {}

std::size_t Gossip::take_slot() {
  const auto unused = std::ranges::find(slots_used_, false);
  const auto slot = static_cast<std::size_t>(unused - slots_used_.begin());
  if (unused == slots_used_.end()) slots_used_.push_back(true);
  slots_used_[slot] = true;
  return slot;
}

void Gossip::on_link_ready(NodeLink key, Now now, const LinkFacts& facts) {
  if (links_.contains(key) || links_.size() >= options_.links_max) return;
  const std::uint64_t work = work_max(options_);
  const auto interval =
      static_cast<std::uint64_t>(std::max<std::int64_t>(1, options_.digest_interval / 1s));
  const auto [at, is_new] = links_.try_emplace(
      key, Link{.slot = take_slot(),
                .facts = facts,
                .work = sync::TokenBucket(work / interval, work, now.mono),
                .sends = sync::TokenBucket(kSendsPerSecond, kSendsBurst, now.mono),
                .next_summary = now.mono});
  if (options_.passes_on) return send_summary(key, at->second, now);
  if (Record* own = store_.find(options_.self)) owe(key, at->second, *own);
}

Reach Gossip::reach_of_link(NodeLink key) const {
  const auto at = links_.find(key);
  return at == links_.end() ? Reach::world : at->second.facts.reach;
}

std::optional<NodeId> Gossip::dialed_over(NodeLink key) const {
  const auto at = links_.find(key);
  return at == links_.end() ? std::nullopt : at->second.facts.dialed;
}

std::size_t Gossip::share_of_link(NodeLink key) const {
  const auto dialed = dialed_over(key);
  if (!dialed) return Store::kStrangerMax;
  if (belief_.in(*dialed)) return store_.believed_max();
  const Record* held = store_.find(*dialed);
  return held != nullptr && held->reached ? store_.relay_max() : Store::kStrangerMax;
}

std::vector<NodeId> Gossip::showed(const Record& held) const {
  std::vector<NodeId> out;
  for (const auto& [key, link] : links_) {
    if (link.facts.dialed && held.has.contains(link.slot)) out.push_back(*link.facts.dialed);
  }
  return out;
}

std::optional<SocketAddress> Gossip::linked_at(const DescriptorFacts& d) const {
  for (const auto& [key, link] : links_) {
    const LinkFacts& facts = link.facts;
    if (facts.dialed == d.id && d.names(facts.remote)) return facts.remote;
  }
  return std::nullopt;
}

/// Whether a link may hear of a descriptor from us. A peer hears what stands for itself even while
/// nobody reaches it: it may be of an earlier run, and only a peer that knows it can supersede it.
bool Gossip::may_tell(const Record& held, const Link& link) const {
  const NodeId& of = held.entry->descriptor.id;
  if (!options_.passes_on && of != options_.self) return false;
  return (store_.may_show(held) || link.facts.peer == of) &&
         held.entry->may_go_over(link.facts.reach);
}

void Gossip::on_link_closed(NodeLink key) {
  const auto at = links_.find(key);
  if (at == links_.end()) return;
  Link& link = at->second;
  summaries_due_.erase({link.next_summary, key});
  answering_.erase(key);
  debtors_.erase(key);
  owed_ -= link.owed.size();
  std::erase_if(wanted_, [&](const auto& item) { return item.second.asked_of == key; });
  for (auto& [id, wanted] : wanted_) wanted.shown.erase(link.slot);
  store_.forget_link(key, link.slot);
  slots_used_[link.slot] = false;
  links_.erase(at);
  gone_links_.erase(key);
  store_.for_all([&](Record& held) {
    if (held.doubted > 0) judge_doubts(held);
  });
}

bool Gossip::send(NodeLink link, wire::ControlType type, Bytes body) {
  const bool sent = sink_.send(link, static_cast<std::uint8_t>(type), body);
  ++(sent ? stats_.frames_out : stats_.sends_refused);
  const bool tells = type == wire::ControlType::descriptor;
  if (sent)
    (tells ? stats_.bytes_told : stats_.bytes_compared) += wire::kControlHeaderBytes + body.size();
  return sent;
}

void Gossip::report(BoundedList& out) const {
  using Kind = Bounded::Kind;
  out.push_back(bounded(Kind::table, "links in gossip", "serve no gossip", links_.size(),
                        options_.links_max));
  // An id that is owed stands there until it is sent or has been replaced by the next digest.
  out.push_back(bounded(Kind::queue, "descriptors owed to links",
                        "the next summary makes up for it", owed_, kOwedMax, sizeof(NodeId)));
  out.back().age_max = std::chrono::duration_cast<Duration>(options_.digest_interval) * 2;
  out.back().drops[static_cast<std::size_t>(DropReason::items_full)] = stats_.owed_dropped;
  std::size_t answers = 0;
  for (const NodeLink key : answering_) answers += links_.at(key).answers.size();
  out.push_back(bounded(Kind::queue, "ranges of ids asked for by links", "ask again later", answers,
                        kAnswersMax * options_.links_max, sizeof(Answer)));
  out.back().age_max = kAnswerWithin;
  out.push_back(bounded(Kind::table, "descriptors asked for", "ask later", wanted_.size(),
                        2 * options_.descriptors_max));
}

// ---- What is shown ------------------------------------------------------------------------------

/// What we show on that link.
wire::Summary Gossip::shown_to(const Link& link, const wire::IdRange& range, std::uint64_t nonce) {
  Fingerprints all(range, nonce);
  store_.for_range(range, [&](const Record& held) {
    if (may_tell(held, link)) all.add(held.entry->descriptor.id, held.rank());
  });
  return all.finish();
}

/// What its peer shows us, as far as we know.
wire::Summary Gossip::shown_by(const Link& link, const wire::IdRange& range, std::uint64_t nonce) {
  Fingerprints all(range, nonce);
  store_.for_range(range, [&](const Record& held) {
    if (!held.shown.contains(link.slot)) return;
    const bool same = held.has.contains(link.slot);
    all.add(held.entry->descriptor.id, same ? held.rank() : held.rank_before);
  });
  return all.finish();
}

std::vector<wire::DigestEntry> Gossip::entries_for(const Link& link, const wire::IdRange& range) {
  std::vector<wire::DigestEntry> out;
  store_.for_range(range, [&](const Record& held) {
    if (may_tell(held, link)) out.push_back({held.entry->descriptor.id, held.rank()});
  });
  return out;
}

void Gossip::send_summary(NodeLink key, Link& link, Now now) {
  auto due = summaries_due_.extract({link.next_summary, key});  // used again below
  // Between three and five quarters of the interval: links of one start do not stay in step.
  link.next_summary = now.mono + std::chrono::duration_cast<Duration>(options_.digest_interval *
                                                                      (0.75 + 0.5 * rng_.unit()));
  const auto body = encode_summary(shown_to(link, {}, rng_.u64()));
  if (!send(key, wire::ControlType::summary, body)) link.next_summary = now.mono + kBlockedRetry;
  if (!due) {
    summaries_due_.emplace(link.next_summary, key);
    return;
  }
  due.value() = {link.next_summary, key};
  summaries_due_.insert(std::move(due));
}

void Gossip::compare_all(Now now) {
  summaries_due_.clear();
  wanted_.clear();  // what came was refused for its time: it may be asked for again
  for (auto& [key, link] : links_) {
    link.asked = 0;
    const std::array all{wire::Ask{}};
    send(key, wire::ControlType::ask, wire::encode_ask(all));  // else the next interval does
    if (!options_.passes_on) continue;
    link.next_summary = now.mono;
    summaries_due_.emplace(now.mono, key);
  }
}

bool Gossip::on_summary(NodeLink key, Bytes body, Now now) {
  shown_no_more_.clear();
  const auto theirs = wire::parse_summary(body);
  if (!theirs) return false;
  Link& link = links_.at(key);
  const std::size_t ours = store_.count(theirs->range);
  if (!link.work.take(kFrameWork + 2 * ours, now.mono)) {
    ++stats_.frames_ignored;
    return true;
  }
  if (link.facts.dialed && options_.only_reached && belief_.in(*link.facts.dialed)) {
    belief_.heard(*link.facts.dialed, now);
  }
  const wire::Summary known = shown_by(link, theirs->range, theirs->nonce);
  // Who is no relay shows nothing, so nothing of what it holds may show in what it asks for.
  const wire::Summary own =
      options_.passes_on ? shown_to(link, theirs->range, theirs->nonce) : known;
  std::vector<wire::Ask> asks;
  std::size_t entries = 0;
  for (std::size_t i = 0; i < wire::IdRange::kParts; ++i) {
    const auto& part = theirs->parts[i];
    if (part == known.parts[i]) continue;
    const wire::IdRange range = theirs->range.part(i);
    if (part == own.parts[i]) {
      note_range(key, link, range, entries_for(link, range), now);
      continue;
    }
    const bool mostly_new = part.count > 2 * known.parts[i].count;
    const bool list =
        part.count <= kFewEntries || mostly_new || range.depth == wire::IdRange::kDepthMax;
    asks.push_back({.range = range, .entries = list});
    entries += part.count;
  }
  if (asks.size() > kManyParts && entries <= kFewInAll) {
    asks = {{.range = theirs->range, .entries = true}};
  }
  if (!asks.empty()) send(key, wire::ControlType::ask, wire::encode_ask(asks));
  if (!options_.passes_on) repeat_own(key, link, now);
  return true;
}

/// Nobody asks a node that is no relay for what it shows: what it told of itself and is not shown
/// by its peer may have been dropped there.
void Gossip::repeat_own(NodeLink key, Link& link, Now now) {
  Record* own = store_.find(options_.self);
  if (own == nullptr || own->shown.contains(link.slot)) return;
  if (now.mono - link.told_own >= kTellOwnAgain) owe(key, link, *own);
}

bool Gossip::on_ask(NodeLink key, Bytes body, Now now) {
  const auto asks = wire::parse_ask(body);
  if (!asks) return false;
  Link& link = links_.at(key);
  if (!options_.passes_on || !link.work.take(kFrameWork, now.mono)) {
    ++stats_.frames_ignored;
    return true;
  }
  for (const wire::Ask& ask : *asks) {
    if (std::ranges::find(link.answers, ask, &Answer::second) != link.answers.end()) continue;
    if (link.answers.size() >= kAnswersMax) {
      ++stats_.frames_ignored;
      break;
    }
    link.answers.emplace_back(now.mono, ask);
  }
  if (!link.answers.empty()) answering_.insert(key);
  return true;
}

/// Links take turns, one frame each.
void Gossip::answer_some(Now now) {
  std::size_t waiting = 0;  // links in a row that cannot be served now
  for (std::size_t sent = 0; sent < kAnswersPerTurnMax && waiting < answering_.size(); ++sent) {
    auto next = answering_.upper_bound(last_answered_);
    if (next == answering_.end()) next = answering_.begin();
    last_answered_ = *next;
    Link& link = links_.at(last_answered_);
    waiting = answer_one(last_answered_, link, now) ? 0 : waiting + 1;
    if (link.answers.empty()) answering_.erase(last_answered_);
  }
}

/// False if the link must wait. What its allowance does not cover is dropped.
bool Gossip::answer_one(NodeLink key, Link& link, Now now) {
  if (link.blocked_until > now.mono) return false;
  const auto [since, ask] = link.answers.front();
  link.answers.pop_front();
  if (now.mono - since > kAnswerWithin) return true;
  const std::size_t held = store_.count(ask.range);
  if (ask.entries && held > wire::kDigestEntriesMax && ask.range.depth < wire::IdRange::kDepthMax) {
    for (std::size_t i = wire::IdRange::kParts; i-- > 0;) {
      link.answers.push_front({since, {.range = ask.range.part(i), .entries = true}});
    }
    return true;
  }
  if (!link.work.take(kFrameWork + held, now.mono)) {
    ++stats_.frames_ignored;
    return true;
  }
  bool sent = false;
  if (ask.entries) {
    auto entries = entries_for(link, ask.range);
    entries.resize(std::min(entries.size(), wire::kDigestEntriesMax));
    sent = send(key, wire::ControlType::digest, wire::encode_digest(ask.range, entries));
  } else {
    const auto summary = shown_to(link, ask.range, rng_.u64());
    sent = send(key, wire::ControlType::summary, wire::encode_summary(summary));
  }
  if (sent) return true;
  link.answers.push_front({since, ask});
  link.blocked_until = now.mono + kBlockedRetry;
  return false;
}

void Gossip::named(NodeLink link, const NodeId& peer) {
  const auto at = links_.find(link);
  if (at != links_.end()) at->second.facts.peer = peer;
}

std::optional<NodeId> Gossip::peer_of(NodeLink link) const {
  const auto at = links_.find(link);
  return at == links_.end() ? std::nullopt : at->second.facts.peer;
}

// ---- Relays that are shown no more --------------------------------------------------------------

void Gossip::shown_no_more_by_us(const NodeId& id, Now now) {
  if (gone_.empty()) gone_next_ = std::max(gone_next_, now.mono + kGather);
  gone_.insert(id);
}

/// A few at a time: whose relays come and go does not make us repeat all that we show.
void Gossip::choose_gone(Now now) {
  gone_told_.clear();
  std::size_t entries = 0;
  while (!gone_.empty() && entries < kGoneEntriesMax && gone_told_.size() < kGoneRangesMax) {
    const wire::IdRange range = store_.around(*gone_.begin(), kFewEntries);
    entries += store_.count(range);
    gone_told_.push_back(range);
    std::erase_if(gone_, [&](const NodeId& id) { return range.contains(id); });
  }
  gone_next_ = now.mono + kTellEvery;
}

/// The digests of their ranges, to all links, a few links at a time.
void Gossip::tell_gone(Now now) {
  if (gone_links_.empty() && !gone_.empty() && gone_next_ <= now.mono) {
    choose_gone(now);
    for (const auto& [key, link] : links_) gone_links_.insert(key);
  }
  for (std::size_t i = 0; i < kSummariesPerTurnMax && !gone_links_.empty(); ++i) {
    const NodeLink key = gone_links_.extract(gone_links_.begin()).value();
    for (const wire::IdRange& range : gone_told_) {
      auto entries = entries_for(links_.at(key), range);
      entries.resize(std::min(entries.size(), wire::kDigestEntriesMax));
      // If there is no room the next summary makes up for it.
      if (!send(key, wire::ControlType::digest, wire::encode_digest(range, entries))) break;
    }
  }
}

/// Of a client, that of those it believes; of others, that of relays that they reached, too. What a
/// stranger shows, or does not show, is nothing.
bool Gossip::word_counts(const Link& link) const {
  if (!options_.only_reached) return false;
  if (link.facts.dialed && belief_.in(*link.facts.dialed)) return true;
  if (!options_.passes_on || !link.facts.peer) return false;
  const Record* peer = store_.find(*link.facts.peer);
  return peer != nullptr && peer->reached;
}

/// What it has because we sent it was not shown.
void Gossip::note_no_more(Record& held, const Link& link, bool counts) {
  const NodeId& id = held.entry->descriptor.id;
  const bool before = held.shown.contains(link.slot);
  held.shown.erase(link.slot);
  if (!before || !counts || !held.counts || id == link.facts.peer) return;
  held.dropped.insert(link.slot);
  if (held.reached && shown_no_more_.size() < kShownNoMoreMax) shown_no_more_.push_back(id);
}

/// Part by part of those whose word counts and who showed it since it was last reached.
void Gossip::judge_doubts(Record& held) {
  std::size_t dropped = 0, all = 0;
  if (held.dropped.any()) {
    for (const auto& [key, link] : links_) {
      const bool drops = held.dropped.contains(link.slot);
      if ((!drops && !held.shown.contains(link.slot)) || !word_counts(link)) continue;
      ++all;
      if (drops) ++dropped;
    }
  }
  const auto part = static_cast<unsigned>(all == 0 ? 0 : View::kDoubtedMax * dropped / all);
  store_.set_doubted(held, held.gone ? View::kDoubtedMax : part);
}

void Gossip::answered(Record& held) {
  held.dropped = {};
  judge_doubts(held);
}

/// A link shows these of that range, by id, and no others.
void Gossip::note_range(NodeLink key, Link& link, const wire::IdRange& range,
                        std::span<const wire::DigestEntry> entries, Now now) {
  const bool counts = word_counts(link);
  auto next = entries.begin();
  store_.for_range(range, [&](Record& held) {
    const NodeId& id = held.entry->descriptor.id;
    while (next != entries.end() && next->id < id) ++next;
    held.has.erase(link.slot);
    if (next == entries.end() || next->id != id) return note_no_more(held, link, counts);
    held.shown.insert(link.slot);
    held.dropped.erase(link.slot);
    if (next->rank >= held.rank()) {
      held.has.insert(link.slot);
    } else {
      held.rank_before = next->rank;
    }
  });
  if (link.facts.dialed && options_.only_reached && belief_.in(*link.facts.dialed)) {
    belief_.on_shown_range(*link.facts.dialed, range, entries, now);
  }
  store_.for_range(range, [&](Record& held) {
    if (!held.has.contains(link.slot)) owe(key, link, held);
    if (options_.only_reached && (held.doubted > 0 || held.dropped.any())) judge_doubts(held);
  });
}

bool Gossip::on_digest(NodeLink key, Bytes body, Now now) {
  shown_no_more_.clear();
  const auto digest = wire::DigestView::parse(body);
  if (!digest) return false;
  Link& link = links_.at(key);
  const std::size_t ours = store_.count(digest->range());
  if (!link.work.take(kFrameWork + digest->size() + ours, now.mono)) {
    ++stats_.frames_ignored;
    return true;
  }
  scratch_.reset();
  const std::span<wire::DigestEntry> entries = scratch_.make<wire::DigestEntry>(digest->size());
  for (std::size_t i = 0; i < entries.size(); ++i) entries[i] = digest->at(i);
  note_range(key, link, digest->range(), entries, now);
  const std::span<NodeId> room = scratch_.make<NodeId>(entries.size());
  std::size_t asked = 0;
  for (const wire::DigestEntry& entry : entries) {
    if (should_ask(entry, key, link, now)) room[asked++] = entry.id;
  }
  if (asked > 0) send_want(key, room.first(asked));
  return true;
}

/// Notes that we lack it, and says whether this link is to be asked for it now: one link is asked
/// at a time, and a second one if the first does not answer.
bool Gossip::should_ask(const wire::DigestEntry& entry, NodeLink key, const Link& link, Now now) {
  using enum Store::Judgement;
  const std::size_t share = share_of_link(key);
  const Store::Judgement judgement =
      store_.judge(entry.id, entry.rank, now.unix_seconds, key, share);
  if (judgement == old || judgement == full) return false;
  auto at = wanted_.find(entry.id);
  if (at == wanted_.end()) {
    const std::size_t wanted_max = 2 * options_.descriptors_max;
    const std::size_t asked_max = options_.only_reached ? std::min(share, options_.descriptors_max)
                                                        : options_.descriptors_max;
    if (wanted_.size() >= wanted_max || link.asked >= asked_max) return false;
    at = wanted_.emplace(entry.id, Wanted{}).first;
  } else {
    const Duration wait = at->second.asked_of == key ? kAskAgainAfter : kAskAnotherAfter;
    at->second.shown.insert(link.slot);
    if (now.mono - at->second.asked_at < wait) return false;
    --links_.at(at->second.asked_of).asked;
  }
  Wanted& wanted = at->second;
  wanted.rank = std::max(wanted.rank, entry.rank);
  wanted.shown.insert(link.slot);
  wanted.asked_of = key;
  wanted.asked_at = now.mono;
  wanted.asked = 1;
  ++links_.at(key).asked;
  return true;
}

void Gossip::send_want(NodeLink key, std::span<const NodeId> ids) {
  const std::span<std::byte> want = scratch_.make<std::byte>(wire::want_bytes(ids.size()));
  wire::write_want(ids, want);
  send(key, wire::ControlType::want, want);
}

/// Links take turns, from the one that was asked last.
Gossip::Links::iterator Gossip::another_that_shows(const Wanted& wanted) {
  auto at = links_.upper_bound(wanted.asked_of);
  for (std::size_t looked = 0; looked < links_.size(); ++looked, ++at) {
    if (at == links_.end()) at = links_.begin();
    if (wanted.shown.contains(at->second.slot)) return at;
  }
  return links_.end();
}

/// What was asked for and did not come is asked of the next link that shows it. It may have come
/// and been refused, by a clock that was wrong; or the link had sent it a moment before.
void Gossip::sweep_wanted(Now now) {
  std::map<NodeLink, std::vector<NodeId>> asks;
  for (auto at = wanted_.begin(); at != wanted_.end();) {
    const auto one = at++;
    Wanted& wanted = one->second;
    if (now.mono - wanted.asked_at < kAskAnotherAfter) continue;
    if (now.mono - wanted.asked_at >= kWantedKept) {
      forget_wanted(one);
      continue;
    }
    const auto link = wanted.asked < kAskTimes ? another_that_shows(wanted) : links_.end();
    if (link == links_.end()) continue;
    std::vector<NodeId>& ids = asks[link->first];
    if (ids.size() >= wire::kWantIdsMax) continue;  // in the next sweep
    if (const auto before = links_.find(wanted.asked_of); before != links_.end()) {
      --before->second.asked;
    }
    ++link->second.asked;
    ++wanted.asked;
    wanted.asked_of = link->first;
    wanted.asked_at = now.mono;
    ids.push_back(one->first);
  }
  for (const auto& [key, ids] : asks) {
    scratch_.reset();
    send_want(key, ids);
  }
}

void Gossip::forget_wanted(std::map<NodeId, Wanted>::iterator at) {
  if (const auto link = links_.find(at->second.asked_of); link != links_.end()) {
    --link->second.asked;
  }
  wanted_.erase(at);
}

bool Gossip::on_want(NodeLink key, Bytes body, Now now) {
  const auto want = wire::WantView::parse(body);
  if (!want) return false;
  Link& link = links_.at(key);
  if (!link.work.take(kFrameWork + want->size(), now.mono)) {
    ++stats_.frames_ignored;
    return true;
  }
  forget_sent(link, now);
  for (std::size_t i = 0; i < want->size(); ++i) {
    Record* held = store_.find(want->at(i));
    if (held != nullptr && !held->sent.contains(link.slot)) owe(key, link, *held);
  }
  return true;
}

// ---- Descriptors --------------------------------------------------------------------------------

void Gossip::seen_from(NodeLink key, Record& held, std::uint64_t rank) {
  const auto link = links_.find(key);
  if (link == links_.end()) return;
  held.shown.insert(link->second.slot);
  if (rank >= held.rank()) {
    held.has.insert(link->second.slot);
  } else {
    held.rank_before = rank;
  }
}

void Gossip::stands(NodeLink key, Record& held) {
  const auto link = links_.find(key);
  if (link == links_.end() || link->second.facts.peer != held.entry->descriptor.id) return;
  owe(key, link->second, held);
}

void Gossip::spread(NodeLink source, Record& held) {
  if (const auto at = wanted_.find(held.entry->descriptor.id); at != wanted_.end()) {
    if (at->second.rank <= held.rank()) {
      if (at->second.rank == held.rank()) {
        held.has = at->second.shown;
        held.shown.insert(at->second.shown);
      }
      forget_wanted(at);
    }
  }
  seen_from(source, held, held.rank());
  for (auto& [key, link] : links_) {
    if (!held.has.contains(link.slot)) owe(key, link, held);
  }
}

void Gossip::owe(NodeLink key, Link& link, Record& held) {
  if (held.owed.contains(link.slot) || !may_tell(held, link)) return;
  if (owed_ >= kOwedMax) {
    ++stats_.owed_dropped;
    return;
  }
  held.owed.insert(link.slot);
  link.owed.push_back(held.entry->descriptor.id);
  ++owed_;
  debtors_.insert(key);
}

/// Links take turns, one descriptor each.
void Gossip::pay_owed(Now now) {
  std::size_t waiting = 0;  // links in a row that cannot be served now
  for (std::size_t sent = 0; sent < kSendsPerTurnMax && waiting < debtors_.size();) {
    auto next = debtors_.upper_bound(last_paid_);
    if (next == debtors_.end()) next = debtors_.begin();
    last_paid_ = *next;
    Link& link = links_.at(last_paid_);
    if (pay_one(last_paid_, link, now)) {
      ++sent;
      waiting = 0;
    } else {
      ++waiting;
    }
    if (link.owed.empty()) debtors_.erase(last_paid_);
  }
}

/// False if the link must wait or, with an empty queue, is owed nothing any more.
bool Gossip::pay_one(NodeLink key, Link& link, Now now) {
  while (!link.owed.empty()) {
    if (link.blocked_until > now.mono || link.sends.ready_at(1, now.mono) > now.mono) return false;
    const NodeId id = link.owed.front();
    Record* held = store_.find(id);
    if (held != nullptr && held->owed.contains(link.slot)) {
      if (!send(key, wire::ControlType::descriptor, held->entry->raw)) {
        link.blocked_until = now.mono + kBlockedRetry;
        return false;
      }
      (void)link.sends.take(1, now.mono);  // there is one: asked above
      held->owed.erase(link.slot);
      held->has.insert(link.slot);
      held->sent.insert(link.slot);
      forget_sent(link, now);
      link.sent.emplace_back(now.mono, id);
      if (id == options_.self) link.told_own = now.mono;
      link.owed.pop_front();
      --owed_;
      return true;
    }
    link.owed.pop_front();  // expired, or replaced and owed once more further back
    --owed_;
  }
  return false;
}

void Gossip::forget_sent(Link& link, Now now) {
  while (!link.sent.empty() && now.mono - link.sent.front().first >= kOnItsWay) {
    if (Record* held = store_.find(link.sent.front().second)) held->sent.erase(link.slot);
    link.sent.pop_front();
  }
}

// ---- Time ---------------------------------------------------------------------------------------

void Gossip::on_time(Now now) {
  for (std::size_t i = 0; i < kSummariesPerTurnMax && !summaries_due_.empty(); ++i) {
    const auto [when, key] = *summaries_due_.begin();
    if (when > now.mono) break;
    send_summary(key, links_.at(key), now);
  }
  answer_some(now);
  tell_gone(now);
  if (now.mono - wanted_swept_ >= kAskAnotherAfter) {
    wanted_swept_ = now.mono;
    sweep_wanted(now);
  }
  pay_owed(now);
}

TimePoint Gossip::next_deadline(TimePoint now) const {
  TimePoint next = summaries_due_.empty() ? kNever : summaries_due_.begin()->first;
  if (!gone_links_.empty()) return now;
  if (!gone_.empty()) next = std::min(next, gone_next_);
  if (!wanted_.empty()) next = std::min(next, wanted_swept_ + kAskAnotherAfter);
  for (const NodeLink key : answering_) next = std::min(next, links_.at(key).blocked_until);
  for (const NodeLink key : debtors_) {
    const Link& link = links_.at(key);
    next = std::min(next, std::max(link.blocked_until, link.sends.ready_at(1, now)));
    if (next <= now) break;
  }
  return next;
}

}  // namespace qudag::netmap
