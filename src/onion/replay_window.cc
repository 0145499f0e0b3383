// Builds that were seen, as one open-addressing table per expiry minute: forgetting is dropping a
// table, never a walk over entries.
//
// An entry is 6 bytes of its digest. A replay has the same ones and is always found. Another build
// has them too with a chance of 2^-30 when the window is full, and is tried again then; who wants
// to have somebody's build refused must see it first, and make 2^48 builds that are valid before
// it expires. Tables are dense and grow by an eighth, so that the window takes about 7 bytes a
// build: it is most of what a relay's memory grows by with use. Digests place themselves; whoever
// grinds them into one cluster pays 2^16 hashes and one build per entry, to make look-ups scan some
// KiB.
#include "base/assert.h"
#include "base/mapped_array.h"
#include "onion/build.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>

namespace qudag::onion {
namespace {

constexpr std::size_t kEntryBytes = 6;
constexpr std::size_t kPageBytes = 4'096;
/// Then the minute goes on with another table: no growth is a long pause, or doubles what the
/// window takes.
constexpr std::size_t kTableEntriesMax = 65'536;
constexpr std::uint64_t kLifetimeSeconds =
    std::chrono::duration_cast<std::chrono::seconds>(limits::kBuildLifetimeMax).count();

using Entry = std::uint64_t;  // of so many bytes; 0: a free slot

Entry entry_of(std::span<const std::byte, 32> digest) {
  Entry e = 0;
  std::memcpy(&e, digest.data(), kEntryBytes);
  return e | 1;
}

class Table {
 public:
  bool contains(Entry entry) const { return slots_ > 0 && get(slot(entry)) == entry; }

  void add(Entry entry) {
    if (8 * (used_ + 1) > 7 * slots_) grow();
    set(slot(entry), entry);
    ++used_;
  }

  std::size_t used() const { return used_; }

 private:
  // The slot that holds it, or the free one where it belongs.
  std::size_t slot(Entry entry) const {
    __extension__ using Wide = unsigned __int128;
    auto at = static_cast<std::size_t>((Wide{entry} * slots_) >> (8 * kEntryBytes));
    for (Entry held = get(at); held != 0 && held != entry; held = get(at)) {
      at = at + 1 == slots_ ? 0 : at + 1;
    }
    return at;
  }

  void grow() {
    Table larger;
    larger.slots_ = std::max(kPageBytes / kEntryBytes, slots_ + slots_ / 8);
    larger.bytes_ = std::make_unique<MappedArray<std::byte>>(larger.slots_ * kEntryBytes);
    for (std::size_t at = 0; at < slots_; ++at) {
      if (const Entry e = get(at); e != 0) larger.set(larger.slot(e), e);
    }
    slots_ = larger.slots_;
    bytes_.swap(larger.bytes_);
  }

  Entry get(std::size_t at) const {
    Entry e = 0;
    std::memcpy(&e, bytes_->data() + at * kEntryBytes, kEntryBytes);
    return e;
  }
  void set(std::size_t at, Entry e) {
    std::memcpy(bytes_->data() + at * kEntryBytes, &e, kEntryBytes);
  }

  // Pages of its own: growing tables between other objects would leave holes everywhere.
  std::unique_ptr<MappedArray<std::byte>> bytes_;
  std::size_t slots_ = 0;
  std::size_t used_ = 0;
};

}  // namespace

struct ReplayWindow::Impl {
  mutable std::mutex mutex;  // over all that follows
  struct Minute {
    std::uint64_t ends;  // in minutes; every entry expires at or before this
    Table seen;
  };
  std::vector<Minute> minutes;
  std::size_t entries_max;
  std::size_t entries = 0;
  std::uint64_t forgotten = 0;  // entries that ended up to this minute are gone

  void forget(UnixSeconds now) {
    const auto in_reach = [now](std::uint64_t ends) {
      return ends * 60 <= now + 2 * kLifetimeSeconds;
    };
    std::erase_if(minutes, [&](const Minute& m) {
      if (m.ends * 60 > now && in_reach(m.ends)) return false;
      entries -= m.seen.used();
      if (m.ends * 60 <= now) forgotten = std::max(forgotten, m.ends);
      return true;
    });
    // The clock went back by much more than a build lives, and what came then says nothing of now.
    if (!in_reach(forgotten)) forgotten = 0;
  }
};

ReplayWindow::ReplayWindow(std::size_t entries_max) : impl_(std::make_unique<Impl>()) {
  impl_->entries_max = entries_max;
}

ReplayWindow::~ReplayWindow() = default;

ReplayWindow::Verdict ReplayWindow::check_and_add(std::span<const std::byte, 32> digest,
                                                  UnixSeconds expires, UnixSeconds now) {
  const std::lock_guard lock(impl_->mutex);
  impl_->forget(now);
  const std::uint64_t ends = (expires + 59) / 60;
  const Entry entry = entry_of(digest);
  // A clock that went back must not make forgotten builds fresh again.
  if (ends <= impl_->forgotten) return Verdict::replayed;
  Table* table = nullptr;
  for (auto& minute : impl_->minutes) {
    if (minute.seen.contains(entry)) return Verdict::replayed;
    if (minute.ends == ends && minute.seen.used() < kTableEntriesMax) table = &minute.seen;
  }
  if (impl_->entries >= impl_->entries_max) return Verdict::full;
  if (table == nullptr) table = &impl_->minutes.emplace_back(Impl::Minute{ends, {}}).seen;
  table->add(entry);
  ++impl_->entries;
  return Verdict::fresh;
}

std::size_t ReplayWindow::entries_max() const { return impl_->entries_max; }

std::size_t ReplayWindow::size() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->entries;
}

}  // namespace qudag::onion
