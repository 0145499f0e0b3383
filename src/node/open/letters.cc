// Letters on the node's disk: those that it keeps for others, and the names of those that its own
// receivers took. Both need a state directory.
#include "node/impl.h"

#include "base/lines/log_lines.h"

#include <utility>

namespace qudag {

namespace {

constexpr std::string_view kLetters = "letters", kTaken = "letters-taken";

}  // namespace

Status Node::Impl::open_letters(unsigned shards) {
  if (options_.state_dir.empty()) return {};
  taken_letters_ = std::make_unique<node::TakenLetters>(
      options_.state_dir / kTaken, runtime::system_now,
      [this](unsigned shard, std::function<void(Now)> task) {
        return threads_[shard].loop->post_or_keep(std::move(task));
      },
      log_);
  for (unsigned i = 0; i < shards; ++i) {
    taken_on_.push_back(std::make_unique<node::TakenLetters::On>(*taken_letters_, i));
  }

  if (!options_.relay || !options_.keeper || options_.limits.letters_bytes == 0) return {};
  letters_memory_ =
      memory::Reservation::take(bound_->part(memory::Part::tables), store::kRecordsMemory);
  if (!letters_memory_) {
    log_.warn(lines::kLettersNoMemory);
    return {};
  }
  keeper::LetterBounds bounds;
  bounds.node_bytes = options_.limits.letters_bytes;
  letter_room_ = std::make_shared<keeper::LetterRoom>(
      bounds, shards, &bound_->claim(static_cast<std::size_t>(Priority::low)));
  auto records = node::LetterRecords::open({.directory = options_.state_dir / kLetters,
                                            .bytes = bounds.node_bytes,
                                            .inboxes = keeper::KeeperBounds{}.inboxes,
                                            .clock = runtime::system_now},
                                           *letter_room_, log_);
  if (!records) {  // a disk that cannot be written: the node runs without
    log_.warn(lines::kLettersNone, records.error().message());
    letter_room_.reset();
    letters_memory_.reset();
    return {};
  }
  letters_ = std::move(*records);
  letter_room_->attach(*letters_, [this](unsigned shard) {
    return threads_[shard].loop->post([this, shard](Now now) {
      threads_[shard].shard->on_service(
          [](keeper::Service& service, Now then) { service.on_time(then); }, now);
    });
  });
  registry_->attach(letter_room_);
  const node::KeptRows kept = letters_->take_kept();
  node::restore(kept, *registry_, *letter_room_, runtime::system_now());
  std::size_t letters = 0;
  for (const auto& one : kept.letters) letters += one.letters;
  log_.info(lines::kLetters, letters, kept.registered.size());
  return {};
}

/// Before the first receiver: what it took is known again.
void Node::Impl::open_taken_letters() {
  if (!taken_letters_) return;
  if (!taken_memory_) {
    taken_memory_ =
        memory::Reservation::take(bound_->part(memory::Part::tables), store::kRecordsMemory);
  }
  const Status opened = taken_memory_ ? taken_letters_->open() : Status(fail(Errc::refused_memory));
  if (!opened) log_.warn(lines::kLettersTakenLost, opened.error().message());
}

keeper::SeenLetters* Node::Impl::seen_letters(unsigned shard) {
  return taken_letters_ ? taken_on_[shard].get() : nullptr;
}

}  // namespace qudag
