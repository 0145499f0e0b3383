// modules: keeper
// Any bytes as the frames of a letter that opened: what is taken apart is whole messages, no more
// bytes than came, and each of them is one message again.
#include "keeper/letters/letter_intake.h"

#include "base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qudag;
  const Bytes frames(reinterpret_cast<const std::byte*>(data), size);
  const auto messages = keeper::split_letter({}, frames);
  if (!messages) return 0;
  QUDAG_ASSERT(messages->size() <= keeper::kMessagesOfLetter);
  std::size_t bytes = 0;
  for (const keeper::LetterMessage& one : *messages) {
    const auto again = keeper::split_letter({}, one.frames);
    QUDAG_ASSERT(again && again->size() == 1 && again->front().key == one.key);
    QUDAG_ASSERT(again->front().frames == one.frames);
    bytes += one.frames.size() - wire::kScopeFrameBytes;
  }
  QUDAG_ASSERT(bytes <= size);
  return 0;
}
