#include "keeper/letters/letter_intake.h"

#include "crypto/kdf.h"
#include "keeper/letters/letter_answers.h"
#include "message/known/key.h"
#include "wire/message_frames.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace qudag::keeper {
namespace {

/// Nothing that trying again would change.
bool is_over(wire::AckStatus status, bool early) {
  switch (status) {
    case wire::AckStatus::wrong_time:
      return !early;
    case wire::AckStatus::no_receiver:
    case wire::AckStatus::refused_memory:
    case wire::AckStatus::refused_queue:
    case wire::AckStatus::expired:
      return false;
    default:
      return true;
  }
}

LetterKey key_of(const NodeId& receiver, const wire::Scope& scope, const wire::MessageId& id) {
  const wire::MessageId key = message::key_of(scope, id);
  const crypto::Digest digest = crypto::sha256({Bytes(receiver.bytes), Bytes(key)});
  LetterKey out;
  std::copy_n(digest.begin(), out.size(), out.begin());
  return out;
}

/// Appends to the frames of the last message.
template <class Frame>
void add(std::vector<std::byte>& out, const Frame& frame, std::size_t bytes) {
  const std::size_t at = out.size();
  out.resize(at + bytes);
  ByteWriter writer(MutableBytes(out).subspan(at));
  wire::append(writer, frame);
}

std::size_t bytes_of(const wire::DataFrame& frame) {
  return wire::data_header_bytes(frame.start.has_value(), false,
                                 frame.start && frame.start->channel != 0) +
         frame.bytes.size();
}

}  // namespace

Result<std::vector<LetterMessage>> split_letter(const NodeId& receiver, Bytes frames) {
  std::vector<LetterMessage> out;
  std::optional<wire::Scope> scope;
  std::uint64_t left = 0;  // of the message that is not whole
  bool open = false;
  wire::FrameReader reader(frames);
  wire::Frame frame;
  while (reader.read(frame)) {
    if (const auto* told = std::get_if<wire::ScopeFrame>(&frame)) {
      if (open) return fail(Errc::malformed);
      scope = told->scope;
      continue;
    }
    const auto* data = std::get_if<wire::DataFrame>(&frame);
    if (data == nullptr || !scope) return fail(Errc::malformed);
    wire::DataFrame copy = *data;
    if (data->start) {
      const wire::MessageStart& start = *data->start;
      if (open || start.in_reply_to || start.resumes || data->ref != out.size() ||
          out.size() >= kMessagesOfLetter) {
        return fail(Errc::malformed);
      }
      out.push_back(
          {.key = key_of(receiver, *scope, start.id), .priority = start.priority, .frames = {}});
      add(out.back().frames, wire::ScopeFrame{*scope}, wire::kScopeFrameBytes);
      left = start.size;
    } else if (!open || data->ref + 1 != out.size()) {
      return fail(Errc::malformed);
    }
    if (data->bytes.size() > left) return fail(Errc::malformed);
    left -= data->bytes.size();
    if (data->last != (left == 0)) return fail(Errc::malformed);
    open = !data->last;
    copy.ref = 0;
    add(out.back().frames, copy, bytes_of(copy));
  }
  if (reader.malformed() || open) return fail(Errc::malformed);
  return out;
}

bool LetterIntake::was_taken(const LetterKey& key) const {
  return seen_ != nullptr ? seen_->has(key) : own_.contains(key);
}

void LetterIntake::take(std::vector<LetterMessage> messages, bool early,
                        std::function<void(bool, Now)> done, Now now) {
  const std::uint64_t number = next_++;
  Letter& letter = letters_[number];
  letter.early = early;
  letter.done = std::move(done);
  ++stats_.letters;
  for (LetterMessage& message : messages) {
    if (was_taken(message.key)) {
      ++stats_.repeated;
      continue;
    }
    ++letter.left;
    waiting_.push_back({number, std::move(message)});
  }
  if (letter.left == 0) ended_.push_back(number);
  hand_out(now);
}

void LetterIntake::hand_out(Now now) {
  while (!waiting_.empty() && out_.size() < kLetterMessagesMax) {
    const Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    const std::uint64_t token = next_++;
    out_.emplace(token, std::pair(next.letter, next.message.key));
    ++stats_.messages;
    ports_.open_letter(*this, token, receiver_, next.message.priority, next.message.frames, now);
  }
}

void LetterIntake::answered(std::uint64_t token, wire::AckStatus status, Now now) {
  const auto at = out_.find(token);
  if (at == out_.end()) return;
  const auto [number, key] = at->second;
  out_.erase(at);
  Letter& letter = letters_.at(number);
  if (is_taken(status)) letter.taken.push_back(key);
  if (!is_over(status, letter.early)) {
    letter.all = false;
    ++stats_.not_taken;
  }
  --letter.left;
  if (letter.left == 0) note(number, now);
  hand_out(now);
}

/// What was taken outlives a crash before its keeper hears of it.
void LetterIntake::note(std::uint64_t number, Now) {
  Letter& letter = letters_.at(number);
  if (letter.taken.empty() || seen_ == nullptr) {
    note(letter.taken);
    ended_.push_back(number);
    return;
  }
  seen_->add(letter.taken, [this, number, alive = std::weak_ptr<bool>(alive_)](Now) {
    if (!alive.expired()) ended_.push_back(number);
  });
}

void LetterIntake::note(std::span<const LetterKey> keys) {
  if (seen_ != nullptr && !keys.empty()) return seen_->add(keys, [](Now) {});
  for (const LetterKey& key : keys) {
    if (own_.size() < SeenLetters::kSeenMax) own_.emplace(key, true);
  }
}

void LetterIntake::on_time(Now now) {
  for (const std::uint64_t number : std::exchange(ended_, {})) {
    const auto at = letters_.find(number);
    if (at == letters_.end()) continue;
    const Letter letter = std::move(at->second);
    letters_.erase(at);
    letter.done(letter.all, now);
  }
}

void LetterIntake::close(Now now) {
  alive_.reset();
  waiting_.clear();
  letters_.clear();
  out_.clear();
  ended_.clear();
  ports_.forget(*this, now);
}

}  // namespace qudag::keeper
