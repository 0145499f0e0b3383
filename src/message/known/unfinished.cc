// Every call locks the table; what goes is freed after the lock, since it may be thousands of
// blocks.
#include "message/known/unfinished.h"

#include <algorithm>

namespace qudag::message {

struct Unfinished::Part {
  wire::MessageId key{};
  wire::MessageStart start;
  TimePoint expires{};

  std::mutex mutex;  // for these two; taken after that of the table
  std::uint64_t holder = 0;
  Body body;

  // By the lock of the table.
  bool left = false;  // nobody's
  Parts::iterator place;
  NodeLink link;
  Share* share = nullptr;  // of that link
  std::size_t bytes = 0;
  TimePoint until{};
};

namespace {

bool is_same(const wire::MessageStart& one, const wire::MessageStart& other) {
  return one.id == other.id && one.size == other.size && one.priority == other.priority &&
         one.is_signed == other.is_signed && one.channel == other.channel;
}

constexpr std::size_t kPerLinkMessages = 4;  // a quarter
constexpr std::size_t kPerLinkBytes = 2;     // a half

}  // namespace

std::size_t Unfinished::record_bytes() {
  constexpr std::size_t kNodes = 3 * 64;  // of the tables that know it
  return sizeof(Part) + kNodes;
}

Unfinished::Unfinished(const UnfinishedOptions& options, Rng& rng)
    : options_(options), parts_(16, Hash{{rng.u64() | 1, rng.u64() | 1}}) {}

Unfinished::~Unfinished() = default;

// ---- those that arrive --------------------------------------------------------------------------

Unfinished::Hold Unfinished::add(const wire::MessageId& key, const wire::MessageStart& start,
                                 TimePoint expires, Body&& body) {
  const auto part = std::make_shared<Part>();
  part->key = key;
  part->start = start;
  part->expires = expires;
  part->body = std::move(body);
  Hold hold;
  hold.part_ = part;
  hold.number_ = part->holder = ++numbers_;
  parts_.emplace(key, part);
  return hold;
}

Unfinished::Hold Unfinished::begin(const wire::MessageId& key, const wire::MessageStart& start,
                                   TimePoint expires, Body&& body) {
  Body older;  // ends after the lock
  const std::lock_guard lock(mutex_);
  if (const auto at = parts_.find(key); at != parts_.end()) older = remove(*at->second);
  return add(key, start, expires, std::move(body));
}

std::optional<Unfinished::Hold> Unfinished::begin_if_new(const wire::MessageId& key,
                                                         const wire::MessageStart& start,
                                                         TimePoint expires, Body& body) {
  const std::lock_guard lock(mutex_);
  if (parts_.contains(key)) return std::nullopt;
  return add(key, start, expires, std::move(body));
}

Unfinished::Access Unfinished::access(const Hold& hold) {
  Access out{std::unique_lock(hold.part_->mutex), nullptr};
  if (hold.part_->holder == hold.number_) out.body = &hold.part_->body;
  return out;
}

bool Unfinished::holds(const Hold& hold) const {
  const std::lock_guard lock(hold.part_->mutex);
  return hold.part_->holder == hold.number_;
}

std::optional<Body> Unfinished::finish(Hold& hold) {
  const Hold mine = std::exchange(hold, {});
  const std::lock_guard lock(mutex_);
  if (!holds(mine)) return std::nullopt;
  return remove(*mine.part_);
}

std::optional<Body> Unfinished::lend(Hold& hold) {
  const Hold mine = std::exchange(hold, {});
  const std::lock_guard lock(mutex_);
  if (!holds(mine)) return std::nullopt;
  lent_.push_back(mine.part_->key);
  return remove(*mine.part_);
}

void Unfinished::bring_back(const wire::MessageId& key) {
  const std::lock_guard lock(mutex_);
  const auto at = std::ranges::find(lent_, key);
  if (at != lent_.end()) lent_.erase(at);
}

bool Unfinished::is_lent(const wire::MessageId& key) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::find(lent_, key) != lent_.end();
}

/// Out of the table; whoever held it finds nothing any more.
Body Unfinished::remove(Part& part) {
  if (part.left) {
    --part.share->messages, --all_.messages;
    part.share->bytes -= part.bytes, all_.bytes -= part.bytes;
    if (part.share->messages == 0) shares_.erase(part.link);
    left_.erase(part.place);
    part.left = false;
  }
  Body body;
  {
    const std::lock_guard lock(part.mutex);
    part.holder = 0;
    body = std::move(part.body);
  }
  parts_.erase(wire::MessageId(part.key));  // may be the last that knows it
  return body;
}

std::optional<Unfinished::Found> Unfinished::take(const wire::MessageId& key,
                                                  const wire::MessageStart& start, TimePoint now) {
  const std::lock_guard lock(mutex_);
  const auto at = parts_.find(key);
  if (at == parts_.end()) return std::nullopt;
  const std::shared_ptr<Part> part = at->second;
  if (!is_same(part->start, start) || part->expires <= now) return std::nullopt;
  return Found{remove(*part), part->expires};
}

// ---- those that are nobody's --------------------------------------------------------------------

bool Unfinished::leave(Hold& hold, const NodeLink& link, TimePoint now) {
  const Hold mine = std::exchange(hold, {});
  std::vector<Body> gone;  // ends after the lock
  const std::lock_guard lock(mutex_);
  if (!holds(mine)) return false;
  Part& part = *mine.part_;
  if (part.body.size() < options_.bytes_min || part.expires <= now) {
    gone.push_back(remove(part));
    return false;
  }
  put_aside(mine.part_, link, now);
  keep_bounds(link, gone);
  return part.left;
}

bool Unfinished::leave(const wire::MessageId& key, const wire::MessageStart& start,
                       TimePoint expires, Body&& body, const NodeLink& link, TimePoint now) {
  std::vector<Body> gone;
  const std::lock_guard lock(mutex_);
  if (expires <= now || !may_move(start.size) || parts_.contains(key)) {
    gone.push_back(std::move(body));
    return false;
  }
  const auto part = std::make_shared<Part>();
  part->key = key;
  part->start = start;
  part->expires = expires;
  part->body = std::move(body);
  parts_.emplace(key, part);
  put_aside(part, link, now);
  keep_bounds(link, gone);
  return part->left;
}

/// What is not there yet needs no memory.
void Unfinished::put_aside(const std::shared_ptr<Part>& part, const NodeLink& link, TimePoint now) {
  {
    const std::lock_guard lock(part->mutex);
    part->holder = 0;
    memory::Reservation& reservation = part->body.reservation;
    const std::size_t tail = part->body.tail ? part->body.tail.capacity() : 0;
    part->bytes = part->body.bytes.bytes() + tail + record_bytes();
    reservation.shrink(reservation.bytes() -
                       std::min<std::size_t>(reservation.bytes(), part->bytes));
  }
  part->link = link;
  part->until = std::min(part->expires, now + options_.kept_for);
  part->left = true;
  part->place = left_.insert(left_.end(), part);
  part->share = &shares_[link];
  ++part->share->messages, ++all_.messages;
  part->share->bytes += part->bytes, all_.bytes += part->bytes;
}

void Unfinished::keep_bounds(const NodeLink& newest, std::vector<Body>& gone) {
  const auto over = [this](const Share& share, std::size_t messages_in, std::size_t bytes_in) {
    return share.messages > options_.messages_max / messages_in ||
           share.bytes > options_.bytes_max / bytes_in;
  };
  for (auto mine = shares_.find(newest);
       mine != shares_.end() && over(mine->second, kPerLinkMessages, kPerLinkBytes);
       mine = shares_.find(newest)) {
    gone.push_back(drop(oldest_of(newest)));
  }
  while (over(all_, 1, 1)) gone.push_back(drop(oldest_of_fullest(Priority::high)));
}

Body Unfinished::drop(Parts::iterator place) {
  ++dropped_;
  return remove(*std::shared_ptr<Part>(*place));
}

Unfinished::Parts::iterator Unfinished::oldest_of(const NodeLink& link) {
  return std::ranges::find_if(left_, [&](const auto& part) { return part->link == link; });
}

/// Of those that are worth no more than that; the end if there is none.
Unfinished::Parts::iterator Unfinished::oldest_of_fullest(Priority priority) {
  auto best = left_.end();
  for (auto at = left_.begin(); at != left_.end(); ++at) {
    if ((*at)->start.priority < priority) continue;
    if (best == left_.end() || (*at)->share->bytes > (*best)->share->bytes) best = at;
  }
  return best;
}

bool Unfinished::drop_oldest(Priority priority) {
  Body gone;
  const std::lock_guard lock(mutex_);
  const auto oldest = oldest_of_fullest(priority);
  if (oldest == left_.end()) return false;
  gone = drop(oldest);
  return true;
}

std::size_t Unfinished::drop(std::size_t bytes) {
  std::vector<Body> gone;
  std::size_t freed = 0;
  const std::lock_guard lock(mutex_);
  while (freed < bytes && !left_.empty()) {
    const auto oldest = oldest_of_fullest(Priority::high);
    freed += (*oldest)->bytes;
    gone.push_back(drop(oldest));
  }
  return freed;
}

std::size_t Unfinished::expire(TimePoint now) {
  std::vector<Body> gone;
  const std::lock_guard lock(mutex_);
  for (auto at = left_.begin(); at != left_.end();) {
    const std::shared_ptr<Part> part = *at++;
    if (part->until <= now) gone.push_back(remove(*part));
  }
  return gone.size();
}

TimePoint Unfinished::next_deadline() const {
  const std::lock_guard lock(mutex_);
  TimePoint next = kNever;
  for (const auto& part : left_) next = std::min(next, part->until);
  return next;
}

Unfinished::Size Unfinished::size() const {
  const std::lock_guard lock(mutex_);
  return {all_.messages, all_.bytes, dropped_};
}

}  // namespace qudag::message
