// One mapping, cut into pieces that know their size and whether they are free. The first that is
// large enough is taken, neighbours that are free become one: some dozens of pieces, and a key is
// made every hour.
#include "crypto/key_memory.h"

#include "base/secret.h"

#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>

namespace qudag::crypto {
namespace {

constexpr std::size_t kAlignment = 16;

struct alignas(kAlignment) Piece {
  std::size_t size;  // this record included
  bool taken;
};

thread_local bool in_scope = false;

class Pages {
 public:
  Pages() {
    void* const at = ::mmap(nullptr, kKeyMemoryBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return;
    ::madvise(at, kKeyMemoryBytes, MADV_DONTDUMP);
    ::madvise(at, kKeyMemoryBytes, MADV_WIPEONFORK);
    state_.locked = ::mlock(at, kKeyMemoryBytes) == 0;
    state_.lock_error = state_.locked ? 0 : errno;
    state_.in_use = true;
    state_.begin = at;
    begin_ = static_cast<std::byte*>(at);
    piece_at(0) = {.size = kKeyMemoryBytes, .taken = false};
  }

  bool has(const void* object) const {
    const auto* const at = static_cast<const std::byte*>(object);
    return begin_ != nullptr && at >= begin_ && at < begin_ + kKeyMemoryBytes;
  }

  void* take(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (begin_ == nullptr || bytes > kKeyMemoryBytes / 2) return spill();
    const std::size_t wanted = sizeof(Piece) + (bytes + kAlignment - 1) / kAlignment * kAlignment;
    for (std::size_t at = 0; at < kKeyMemoryBytes; at += piece_at(at).size) {
      Piece& piece = piece_at(at);
      if (piece.size == 0) return spill();  // in a child: everything is zeros
      if (piece.taken) continue;
      unite(at);
      if (piece.size < wanted) continue;
      if (piece.size > wanted) {
        piece_at(at + wanted) = {.size = piece.size - wanted, .taken = false};
      }
      piece = {.size = wanted, .taken = true};
      state_.bytes += wanted;
      return begin_ + at + sizeof(Piece);
    }
    return spill();
  }

  static std::size_t size(const void* object) {
    const std::size_t whole = of(object).size;
    return whole == 0 ? 0 : whole - sizeof(Piece);
  }

  void free(void* object) {
    const std::lock_guard lock(mutex_);
    Piece& piece = of(object);
    if (piece.size == 0) return;  // in a child
    wipe({static_cast<std::byte*>(object), piece.size - sizeof(Piece)});
    piece.taken = false;
    state_.bytes -= piece.size;
  }

  KeyMemory state() {
    const std::lock_guard lock(mutex_);
    return state_;
  }

 private:
  Piece& piece_at(std::size_t offset) const { return *reinterpret_cast<Piece*>(begin_ + offset); }
  static Piece& of(const void* object) {
    return *(static_cast<Piece*>(const_cast<void*>(object)) - 1);
  }
  /// Takes in the free pieces that follow.
  void unite(std::size_t at) {
    Piece& piece = piece_at(at);
    while (at + piece.size < kKeyMemoryBytes) {
      const Piece& next = piece_at(at + piece.size);
      if (next.taken) return;
      piece.size += next.size;
    }
  }
  void* spill() {
    ++state_.spilled;
    return nullptr;
  }

  std::mutex mutex_;
  std::byte* begin_ = nullptr;
  KeyMemory state_;
};

// OpenSSL's allocator hooks take no argument of ours, and it may free at the very end of the
// process: one object, never destroyed.
Pages& pages() {
  static Pages* const only = new Pages;
  return *only;
}
std::atomic<const Pages*> made{nullptr};

}  // namespace

KeyScope::KeyScope() noexcept : before_(in_scope) { in_scope = true; }
KeyScope::~KeyScope() { in_scope = before_; }

KeyMemory key_memory() noexcept {
  return made.load(std::memory_order_acquire) == nullptr ? KeyMemory{} : pages().state();
}

void* take_key_memory(std::size_t bytes) noexcept {
  if (!in_scope) return nullptr;
  made.store(&pages(), std::memory_order_release);
  return pages().take(bytes);
}

bool is_key_memory(const void* object) noexcept {
  const Pages* const known = made.load(std::memory_order_acquire);
  return known != nullptr && known->has(object);
}

std::size_t key_memory_size(const void* object) noexcept { return Pages::size(object); }

void free_key_memory(void* object) noexcept { pages().free(object); }

}  // namespace qudag::crypto
