// A receiver's letters at its keepers: FETCH while it is registered -> LETTER, PIECEs -> opened,
// taken apart, handed out (letter_intake.h) -> TAKEN. A letter that the application does not take
// stays where it is, and is asked for again half a minute later.
#include "keeper/letters/letter_seal.h"
#include "keeper/resident.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace qudag::keeper {
namespace {

using namespace std::chrono_literals;

/// What may come before we have taken it: a letter of the largest size, or many small ones.
constexpr std::uint32_t kWindow = wire::kLetterSizeMax;
constexpr Duration kFetchAgain = 30s;

}  // namespace

/// Registered, again or for the first time.
void Resident::fetch_letters(Post& post, Now now) {
  post.letter = {};
  post.letters_at = kNever;
  static_cast<void>(tell(post.control, Priority::normal, wire::FetchFrame{kWindow}, now));
}

/// Another keeper takes its place. Who has an older card may have left letters there, and leave
/// more: so it stays registered, without standbys, for as long as a letter may lie.
void Resident::leave_post(Post& post, Now now) {
  post.left_until = now.unix_seconds + std::chrono::seconds(kLetterLife).count();
  std::vector<circuit::CircuitId> idle;
  for (auto& [id, standby] : post.standbys) {
    standby.worn = true;
    if (standby.state <= StandbyState::waiting) idle.push_back({id});
  }
  for (const circuit::CircuitId circuit : idle) end(circuit, now);
}

/// Then it is revoked, so that the keeper keeps nothing for an inbox that nobody reads.
void Resident::end_left(Now now) {
  const auto at = std::ranges::find_if(
      posts_, [&](const Post& post) { return post.left() && now.unix_seconds >= post.left_until; });
  if (at == posts_.end()) return;
  if (at->state == ControlState::registered) {
    static_cast<void>(
        tell(at->control, Priority::normal, wire::RevokeFrame{.owner = at->owner}, now));
  }
  drop(*at, now);
  posts_.erase(at);
}

void Resident::fetch_again(Post& post, Now now) {
  if (now.mono < post.letters_at || post.state != ControlState::registered) return;
  post.letters_at = kNever;
  static_cast<void>(tell(post.control, Priority::normal, wire::FetchFrame{kWindow}, now));
}

/// False: the keeper broke the protocol.
bool Resident::on_letter(Post& post, const wire::LetterFrame& frame) {
  if (post.state != ControlState::registered || post.letter.head || frame.inbox != post.inbox) {
    return false;
  }
  post.letter.head = frame;
  post.letter.sealed.clear();
  post.letter.sealed.reserve(frame.size);
  return true;
}

bool Resident::on_letter_piece(circuit::CircuitId circuit, const wire::PieceFrame& frame, Now now) {
  Post& post = *find(circuit).post;
  auto& [head, sealed] = post.letter;
  if (!head || frame.bytes.size() > head->size - sealed.size()) return false;
  sealed.insert(sealed.end(), frame.bytes.begin(), frame.bytes.end());
  if (sealed.size() < head->size) return true;
  const wire::LetterFrame whole = *std::exchange(head, std::nullopt);
  std::vector<std::byte> letter = std::exchange(sealed, {});
  read_letter(post, whole, letter, now);
  return bool(find(circuit));
}

void Resident::read_letter(Post& post, const wire::LetterFrame& head, MutableBytes sealed,
                           Now now) {
  std::vector<const crypto::KemKeyPair*> keys;
  for (const InboxKey& key : keys_) keys.push_back(&key.pair);
  const auto opened =
      open_letter({.receiver = setup_.id, .inbox = post.inbox}, keys, now.unix_seconds, sealed);
  auto messages = opened ? split_letter(setup_.id, opened->frames)
                         : Result<std::vector<LetterMessage>>(std::unexpected(opened.error()));
  // Nobody else could do more with one that does not open: it is deleted.
  if (!messages) {
    ++intake_.stats().bad;
    messages.emplace();
  }
  intake_.take(
      std::move(*messages),
      [this, keeper = post.keeper, number = head.number, size = head.size](bool taken, Now then) {
        letter_ended(keeper, number, size, taken, then);
      },
      now);
}

void Resident::letter_ended(const NodeId& keeper, std::uint64_t number, std::uint32_t size,
                            bool taken, Now now) {
  const auto post = std::ranges::find(posts_, keeper, &Post::keeper);
  if (post == posts_.end() || post->state != ControlState::registered) return;
  if (taken) {
    ++stats_.letters_taken;
    if (!tell(post->control, Priority::normal, wire::TakenFrame{{number}}, now)) return;
    if (post->letters_at != kNever) return;  // it has stopped
    static_cast<void>(tell(post->control, Priority::normal, wire::FetchFrame{size}, now));
    return;
  }
  if (post->letters_at != kNever) return;
  post->letters_at = now.mono + kFetchAgain;
  static_cast<void>(tell(post->control, Priority::normal, wire::FetchFrame{0}, now));
}

}  // namespace qudag::keeper
