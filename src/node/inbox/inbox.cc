#include "node/inbox/inbox.h"

#include "shard/reply_address.h"

#include <algorithm>
#include <utility>

namespace qudag::node {
namespace {

using namespace std::chrono_literals;

/// Keys of messages that were taken, and that may still be sent again.
constexpr std::uint64_t kSeenMax = 65'536;
/// A handler that was full, or memory that was short, is tried again then.
constexpr std::chrono::milliseconds kTryAgain = 50ms;
/// A file that could not be read.
constexpr std::chrono::milliseconds kReadAgain = 1s;
/// The sender's and our clocks and ways differ: for so much longer a message may come again.
constexpr UnixSeconds kResentSlack = 60;

store::Box box_of(ChannelNumber channel) {
  store::Box box(sizeof channel);
  store_be(box.data(), channel);
  return box;
}

Receipt receipt_of(std::uint64_t number) {
  return shard::ReplyAddress{.circuit = number, .ref = 0, .shard = kInboxShard}.receipt();
}

}  // namespace

/// A message on its way into the file: it holds the payload's blocks until the commit.
class Inbox::Incoming final : public store::NewRecord {
 public:
  Incoming(Inbox& inbox, Message&& message, const store::RecordKey& key, Now now)
      : inbox_(inbox),
        message_(std::move(message)),
        head_(encode({.id = message_.id,
                      .priority = message_.priority,
                      .channel = message_.channel,
                      .came = now.unix_seconds,
                      .sender = message_.sender})) {
    const auto keep = static_cast<UnixSeconds>(inbox.options_.keep.count());
    const Duration left = message_.expires - now.mono.time_since_epoch();
    const auto ttl = static_cast<UnixSeconds>(std::max<std::int64_t>(0, left / 1s));
    name_ = {.box = box_of(message_.channel),
             .key = key,
             .expires = now.unix_seconds + keep,
             .resent = now.unix_seconds + ttl + kResentSlack};
  }

  const store::RecordName& name() const override { return name_; }
  std::uint64_t bytes() const override { return head_.size() + message_.payload.size(); }
  void body(std::vector<Bytes>& pieces) const override {
    pieces.push_back(head_);
    for (std::size_t i = 0; i < message_.payload.piece_count(); ++i) {
      pieces.push_back(message_.payload.piece(i));
    }
  }
  void done(store::AddEnd end) override { inbox_.on_kept(message_.channel, message_.receipt, end); }

 private:
  Inbox& inbox_;
  Message message_;
  std::array<std::byte, kMessageHeadBytes> head_;
  store::RecordName name_;
};

// ---- opening ------------------------------------------------------------------------------------

Result<std::unique_ptr<Inbox>> Inbox::open(const InboxOptions& options,
                                           InboxEnvironment& environment,
                                           std::function<Now()> clock, Log& log) {
  std::unique_ptr<Inbox> out(new Inbox(options, environment, clock));
  auto records = store::Records::open(
      {.directory = options.dir,
       .quota = {.records_max = options.messages, .bytes_max = options.bytes, .seen_max = kSeenMax},
       .clock = std::move(clock),
       .changed = [inbox = out.get()](std::uint64_t number) { inbox->on_changed(number); }},
      log);
  if (!records) return std::unexpected(records.error());
  out->records_ = std::move(*records);
  out->find_channels(0ms);
  return out;
}

/// Which channels have something from the run before.
void Inbox::find_channels(std::chrono::milliseconds delay) {
  records_->look(
      [this](store::RecordFile* file) -> Status {
        if (file != nullptr) return find_channels(*file);
        find_channels(kReadAgain);
        return {};
      },
      delay);
}

Status Inbox::find_channels(store::RecordFile& file) {
  const auto boxes = file.boxes();
  if (!boxes) return std::unexpected(boxes.error());
  for (const store::Box& box : *boxes) {
    if (box.size() != sizeof(ChannelNumber)) continue;
    const auto number = load_be<ChannelNumber>(box.data());
    {
      const std::lock_guard lock(mutex_);
      channels_[number].kept = true;
    }
    look_soon(number);
  }
  return {};
}

// ---- in -----------------------------------------------------------------------------------------

bool Inbox::waits(ChannelNumber channel) {
  const std::lock_guard lock(mutex_);
  const auto at = channels_.find(channel);
  return at != channels_.end() && (at->second.queued > 0 || at->second.kept);
}

Accept Inbox::keep(Message&& message, const store::RecordKey& key) {
  const ChannelNumber number = message.channel;
  std::unique_ptr<store::NewRecord> record =
      std::make_unique<Incoming>(*this, std::move(message), key, clock_());
  const std::lock_guard lock(mutex_);
  if (!records_->add(record)) return Accept::queue_full;
  Channel& channel = channels_[number];
  ++channel.queued;
  channel.kept = true;
  return Accept::later;
}

/// After the commit, on the records' thread.
void Inbox::on_kept(ChannelNumber number, const Receipt& receipt, store::AddEnd end) {
  const bool there = end == store::AddEnd::stored || end == store::AddEnd::known;
  environment_.settle(receipt, there ? Accept::taken : Accept::queue_full);
  bool wanted = false;
  {
    const std::lock_guard lock(mutex_);
    Channel& channel = channels_[number];
    --channel.queued;
    wanted = channel.listening;
  }
  if (wanted) look_soon(number);
}

// ---- out ----------------------------------------------------------------------------------------

void Inbox::listen(ChannelNumber number) {
  {
    const std::lock_guard lock(mutex_);
    Channel& channel = channels_[number];
    channel.listening = true;
  }
  look_soon(number);
}

void Inbox::unlisten(ChannelNumber number) {
  const std::lock_guard lock(mutex_);
  if (const auto at = channels_.find(number); at != channels_.end()) at->second.listening = false;
}

/// One batch of a channel is under way at a time.
void Inbox::look_soon(ChannelNumber number, std::chrono::milliseconds delay) {
  {
    const std::lock_guard lock(mutex_);
    Channel& channel = channels_[number];
    if (!channel.kept || !channel.listening) return;
    if (channel.looking) {
      channel.again = true;
      return;
    }
    channel.looking = true;
  }
  records_->look(
      [this, number](store::RecordFile* file) -> Status {
        const Status done = look(number, file);
        if (!done) end_look(number, true, kReadAgain);
        return done;
      },
      delay);
}

/// On the records' thread: reads a batch, and gives it to shard 0.
Status Inbox::look(ChannelNumber number, store::RecordFile* file) {
  if (file == nullptr) return fail(Errc::io_error, "the file is not open");
  Batch batch;
  if (const Status done = read(number, *file, batch); !done) {
    give_up(number, batch);
    return done;
  }
  if (batch.empty()) {
    end_look(number, false, {});
  } else {
    hand_over(number, std::move(batch));
  }
  return {};
}

void Inbox::hand_over(ChannelNumber number, Batch&& batch) {
  const auto shared = std::make_shared<Batch>(std::move(batch));  // owners: the task, and this
  if (environment_.on_inbox_thread(
          [this, number, shared] { hand_out(number, std::move(*shared)); })) {
    return;
  }
  give_up(number, *shared);
  end_look(number, true, kTryAgain);
}

/// Appends messages that are not in hand; from here on they are.
Status Inbox::read(ChannelNumber number, store::RecordFile& file, Batch& batch) {
  std::uint64_t after = 0;
  {
    const std::lock_guard lock(mutex_);
    Channel& channel = channels_[number];
    channel.left_out = false;
    after = channel.after;
  }
  std::uint64_t bytes = 0;
  while (batch.size() < kBatch && bytes < kBatchBytes) {
    const auto heads = file.list(box_of(number), after, kBatch, clock_().unix_seconds);
    if (!heads) return std::unexpected(heads.error());
    if (heads->empty()) return {};
    for (const store::RecordHead& head : *heads) {
      if (batch.size() >= kBatch || bytes >= kBatchBytes) return {};
      after = head.number;
      const Place place = take_place(number, head.number);
      if (place == Place::full) return {};
      if (place == Place::in_hand) continue;
      const auto how = read_one(file, head, batch);
      if (how && *how == Read::yes) bytes += head.bytes;
      if (how && *how != Read::no_memory) continue;
      const std::lock_guard lock(mutex_);
      in_hand_.erase(head.number);
      channels_[number].left_out = true;
      if (!how) return std::unexpected(how.error());
      return batch.empty() ? Status(fail(Errc::refused_memory)) : Status{};
    }
  }
  return {};
}

Inbox::Place Inbox::take_place(ChannelNumber channel, std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  if (in_hand_.contains(number)) return Place::in_hand;
  if (in_hand_.size() >= kInHandMax) {
    channels_[channel].left_out = true;
    return Place::full;
  }
  in_hand_.emplace(number, InHand{.channel = channel});
  return Place::free;
}

/// What was read, and nobody has.
void Inbox::give_up(ChannelNumber number, std::span<const Outgoing> rest) {
  const std::lock_guard lock(mutex_);
  for (const Outgoing& one : rest) {
    if (in_hand_.erase(one.number) > 0) come_back(channels_[number], one.number);
  }
}

Result<Inbox::Read> Inbox::read_one(store::RecordFile& file, const store::RecordHead& head,
                                    Batch& batch) {
  // Its place in hand is free when that is on the disk.
  const auto unreadable = [&] {
    records_->set_unreadable(head.number);
    return Read::unreadable;
  };
  if (head.bytes < kMessageHeadBytes || head.bytes > kMessageHeadBytes + kMessageBytesMax) {
    return unreadable();
  }
  auto payload = environment_.inbox_buffer(head.bytes - kMessageHeadBytes);
  if (!payload) return Read::no_memory;
  std::array<std::byte, kMessageHeadBytes> first{};
  std::vector<MutableBytes> pieces{first};
  for (std::size_t i = 0; i < payload->piece_count(); ++i) pieces.push_back(payload->piece(i));
  const Status read = file.read(head, pieces);
  if (!read && read.error().code == Errc::authentication_failed) return unreadable();
  if (!read) return std::unexpected(read.error());
  const auto parsed = parse_message_head(first);
  if (!parsed) return unreadable();
  Outgoing& one = batch.emplace_back();
  one.number = head.number;
  one.message.id = parsed->id;
  one.message.payload = std::move(*payload);
  one.message.priority = parsed->priority;
  one.message.channel = parsed->channel;
  one.message.sender = parsed->sender;
  one.message.receipt = receipt_of(head.number);
  one.message.kept = true;
  return Read::yes;
}

/// On shard 0: in their order, until one is not taken.
void Inbox::hand_out(ChannelNumber number, Batch&& batch) {
  Accept answer = Accept::taken;
  std::size_t at = 0;
  while (at < batch.size() && offer(number, std::move(batch[at]), answer)) ++at;
  if (at == batch.size()) return end_look(number, true, {});
  give_up(number, std::span(batch).subspan(at));
  // Where nobody is, the next listen() tells it.
  end_look(number, answer == Accept::queue_full, kTryAgain);
}

/// False: it was not taken, and `answer` says why.
bool Inbox::offer(ChannelNumber number, Outgoing&& one, Accept& answer) {
  answer = environment_.offer(std::move(one.message));
  if (answer != Accept::taken && answer != Accept::later) return false;
  const std::lock_guard lock(mutex_);
  Channel& channel = channels_[number];
  ++handed_out_;
  if (!channel.left_out) channel.after = std::max(channel.after, one.number);
  const auto at = in_hand_.find(one.number);
  if (answer == Accept::taken && at != in_hand_.end() && !std::exchange(at->second.taken, true)) {
    records_->remove(one.number);
  }
  return true;
}

/// With the lock.
void Inbox::come_back(Channel& channel, std::uint64_t number) {
  channel.after = std::min(channel.after, number - 1);
  channel.kept = true;
  channel.left_out = true;
}

/// `more`: there may be more to hand out.
void Inbox::end_look(ChannelNumber number, bool more, std::chrono::milliseconds delay) {
  {
    const std::lock_guard lock(mutex_);
    Channel& channel = channels_[number];
    channel.looking = false;
    const bool again = std::exchange(channel.again, false);
    if (!more && !again && channel.queued == 0 && !channel.left_out) channel.kept = false;
    if (!more && !again) return;
  }
  look_soon(number, delay);
}

void Inbox::acknowledge(std::uint64_t number, Accept answer) {
  ChannelNumber channel = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto at = in_hand_.find(number);
    if (at == in_hand_.end() || at->second.taken) return;  // a second time
    channel = at->second.channel;
    if (answer == Accept::taken) {
      at->second.taken = true;
      records_->remove(number);
    } else {
      ++came_back_;
      in_hand_.erase(at);
      come_back(channels_[channel], number);
    }
  }
  // There is room in the application again; but what it has just refused does not come at once.
  if (answer == Accept::taken) look_soon(channel);
  if (answer == Accept::queue_full) look_soon(channel, kTryAgain);
}

/// On the records' thread: it is gone from the disk.
void Inbox::on_changed(std::uint64_t number) {
  bool was_full = false;
  ChannelNumber channel = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto at = in_hand_.find(number);
    if (at == in_hand_.end()) return;
    was_full = in_hand_.size() >= kInHandMax;
    channel = at->second.channel;
    in_hand_.erase(at);
  }
  if (was_full) look_soon(channel);
}

// ---- what it tells ------------------------------------------------------------------------------

InboxStats Inbox::stats() const {
  InboxStats out{records_->report()};
  const std::lock_guard lock(mutex_);
  out.in_hand = in_hand_.size();
  out.handed_out = handed_out_;
  out.came_back = came_back_;
  return out;
}

InboxStatus Inbox::status() const {
  const store::RecordsReport report = records_->report();
  return {.accept = options_.accept,
          .messages = report.records,
          .messages_max = options_.messages,
          .bytes = report.bytes,
          .bytes_max = options_.bytes,
          .failing = report.failing};
}

void Inbox::report(BoundedList& out) const {
  records_->report(out);
  const std::lock_guard lock(mutex_);
  out.push_back(bounded(Bounded::Kind::table, "messages of the inbox in hand", "wait",
                        in_hand_.size(), kInHandMax, sizeof(std::uint64_t) * 8));
}

}  // namespace qudag::node
