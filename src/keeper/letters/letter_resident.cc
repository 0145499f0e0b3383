// A receiver's letters at its keepers: FETCH while it is registered -> LETTER, PIECEs -> opened,
// taken apart, handed out (letter_intake.h) -> TAKEN, and FETCH for as many bytes again.
//
// A letter that the application does not take stays where it is, and the next ones come: none
// stands in the way of others. Of such letters kPassedMax come in a round of half a minute; when
// no more are behind, FETCH begins with the oldest again.
//
// A keeper is believed nothing: what it sends unasked ends the circuit, and what does not open
// comes at a rate.
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
/// Of letters that were not taken, so much in a round: behind it the others wait for the next.
constexpr std::uint64_t kPassedMax = 2 * kWindow;
constexpr Duration kRound = 30s;

}  // namespace

/// Registered, again or for the first time.
void Resident::fetch_letters(Post& post, Now now) {
  Letters& letters = post.letters;
  letters.head.reset();
  letters.sealed = {};
  letters.may_come = letters.passed = letters.owed = 0;
  letters.round_at = kNever;
  static_cast<void>(
      fetch(post, kWindow - std::min<std::uint64_t>(kWindow, letters.out_bytes), now));
}

/// What is out and what may come are a window together, but for what crosses a FETCH 0.
bool Resident::fetch(Post& post, std::uint64_t bytes, Now now) {
  if (bytes == 0) return true;
  post.letters.may_come += bytes;
  return tell(post.control, Priority::normal, wire::FetchFrame{static_cast<std::uint32_t>(bytes)},
              now);
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

/// A round is over: what is behind those that were not taken comes, or all begins again.
void Resident::fetch_again(Post& post, Now now) {
  Letters& letters = post.letters;
  if (now.mono < letters.round_at || post.state != ControlState::registered) return;
  letters.passed = 0;
  letters.round_at = kNever;
  if (letters.owed > 0) {
    letters.round_at = now.mono + kRound;
    static_cast<void>(fetch(post, std::exchange(letters.owed, 0), now));
    return;
  }
  letters.may_come = std::min<std::uint64_t>(letters.may_come, 3 * kWindow);  // on their way
  if (!tell(post.control, Priority::normal, wire::FetchFrame{0}, now)) return;
  static_cast<void>(
      fetch(post, kWindow - std::min<std::uint64_t>(kWindow, letters.out_bytes), now));
}

/// False: the keeper broke the protocol.
bool Resident::on_letter(Post& post, const wire::LetterFrame& frame) {
  Letters& letters = post.letters;
  if (post.state != ControlState::registered || letters.head || frame.inbox != post.inbox ||
      frame.size > letters.may_come) {
    return false;
  }
  letters.may_come -= frame.size;
  letters.head = frame;
  letters.sealed.clear();
  letters.sealed.reserve(frame.size);
  return true;
}

bool Resident::on_letter_piece(circuit::CircuitId circuit, const wire::PieceFrame& frame, Now now) {
  Post& post = *find(circuit).post;
  auto& head = post.letters.head;
  auto& sealed = post.letters.sealed;
  if (!head || frame.bytes.size() > head->size - sealed.size()) return false;
  sealed.insert(sealed.end(), frame.bytes.begin(), frame.bytes.end());
  if (sealed.size() < head->size) return true;
  const wire::LetterFrame whole = *std::exchange(head, std::nullopt);
  std::vector<std::byte> letter = std::exchange(sealed, {});
  if (post.letters.out.contains(whole.number)) {  // the application has it still
    static_cast<void>(fetch(post, whole.size, now));
  } else {
    read_letter(post, whole, letter, now);
  }
  return bool(find(circuit));
}

void Resident::read_letter(Post& post, const wire::LetterFrame& head, MutableBytes sealed,
                           Now now) {
  std::vector<LetterKeyPair> keys;
  for (const InboxKey& key : keys_) {
    keys.push_back({&key.pair, key.made + std::chrono::seconds(kInboxKeyKept).count()});
  }
  const auto opened =
      open_letter({.receiver = setup_.id, .inbox = post.inbox}, keys, now.unix_seconds, sealed);
  auto messages = opened ? split_letter(setup_.id, opened->frames)
                         : Result<std::vector<LetterMessage>>(std::unexpected(opened.error()));
  post.letters.out.emplace(head.number, head.size);
  post.letters.out_bytes += head.size;
  // Nobody else could do more with one that does not open: it is deleted.
  if (!messages) return letter_ended(post.keeper, head.number, LetterEnding::bad, now);
  intake_.take(
      std::move(*messages), opened->early,
      [this, keeper = post.keeper, number = head.number](bool taken, Now then) {
        letter_ended(keeper, number, taken ? LetterEnding::taken : LetterEnding::not_taken, then);
      },
      now);
}

void Resident::letter_ended(const NodeId& keeper, std::uint64_t number, LetterEnding how, Now now) {
  const auto post = std::ranges::find(posts_, keeper, &Post::keeper);
  if (post == posts_.end()) return;
  Letters& letters = post->letters;
  const auto at = letters.out.find(number);
  if (at == letters.out.end()) return;  // of another life of that post
  const std::uint32_t size = at->second;
  letters.out.erase(at);
  letters.out_bytes -= size;
  if (how == LetterEnding::bad) ++intake_.stats().bad;
  if (post->state != ControlState::registered) return;
  if (how != LetterEnding::not_taken) {
    ++stats_.letters_taken;
    if (!tell(post->control, Priority::normal, wire::TakenFrame{{number}}, now)) return;
  }
  if (how == LetterEnding::bad && !letters.bad.take(1, now.mono)) {
    return pass_over(*post, size, true, now);
  }
  if (how == LetterEnding::not_taken) return pass_over(*post, size, false, now);
  static_cast<void>(fetch(*post, size, now));
}

/// Not taken: what is behind it comes now, or when the round is over.
void Resident::pass_over(Post& post, std::uint32_t size, bool wait, Now now) {
  Letters& letters = post.letters;
  if (letters.round_at == kNever) letters.round_at = now.mono + kRound;
  letters.passed += size;
  if (wait || letters.passed > kPassedMax) {
    letters.owed += size;
    return;
  }
  static_cast<void>(fetch(post, size, now));
}

}  // namespace qudag::keeper
