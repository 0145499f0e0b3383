#include "api/records/records.h"

#include "api/records/encoding.h"

namespace qudag::api {
namespace {

constexpr std::uint8_t kFlagSign = 1;
constexpr std::uint8_t kFlagProgress = 2;
constexpr std::uint8_t kFlagSendChannel = 4;
constexpr std::uint8_t kFlagsIfAway = 8 | 16;  // IfAway, 0 to 2
constexpr unsigned kIfAwayShift = 3;
constexpr std::uint8_t kFlagSender = 1;
constexpr std::uint8_t kFlagReply = 2;
constexpr std::uint8_t kFlagInReplyTo = 4;
constexpr std::uint8_t kFlagChannel = 8;
constexpr std::uint8_t kFlagToken = 16;
constexpr std::uint8_t kFlagKept = 32;
constexpr std::uint8_t kExplicit = 1;

/// Opens a record of `body` bytes after the op, and returns a writer for them (a payload that is
/// appended afterwards is counted in `more`).
ByteWriter open_record(std::vector<std::byte>& out, Op op, std::size_t body, std::size_t more = 0) {
  const std::size_t at = out.size();
  out.resize(at + kRecordLengthBytes + 1 + body);
  ByteWriter writer(MutableBytes(out).subspan(at));
  writer.u32(static_cast<std::uint32_t>(1 + body + more));
  writer.u8(static_cast<std::uint8_t>(op));
  return writer;
}

void put(ByteWriter& writer, const ReplyTo& to) { writer.put(to.handle()); }

ReplyTo take_reply_to(ByteReader& reader) { return ReplyTo(reader.array<kReplyToBytes>()); }

std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool ttl_in_range(std::chrono::milliseconds ttl) {
  return ttl >= std::chrono::milliseconds(1) && ttl <= std::chrono::hours(24);
}

Result<ClientRecord> parse_send(Bytes body) {
  ByteReader in(body);
  SendRecord record;
  record.request = in.u64();
  record.destination.bytes = in.array<NodeId::kSize>();
  const std::uint8_t priority = in.u8();
  record.options.relays = in.u8();
  const std::uint8_t flags = in.u8();
  record.options.ttl = std::chrono::milliseconds(in.u32());
  record.options.isolation = in.u64();
  const bool to_channel = (flags & kFlagSendChannel) != 0;
  if (to_channel) record.options.channel = in.u16();
  record.payload = in.rest();
  if (!in.ok()) return fail(Errc::malformed, "SEND is too short");
  if (priority >= kPriorityCount) return fail(Errc::malformed, "SEND: priority is 0, 1 or 2");
  if (record.options.relays > kRelaysMax) return fail(Errc::malformed, "SEND: relays is 0 to 5");
  if ((flags & ~(kFlagSign | kFlagProgress | kFlagSendChannel | kFlagsIfAway)) != 0 ||
      (flags & kFlagsIfAway) == kFlagsIfAway) {
    return fail(Errc::malformed, "SEND: unknown flags");
  }
  if (to_channel && record.options.channel == 0) {
    return fail(Errc::malformed, "SEND: channel 0 is told by no flag");
  }
  if (!ttl_in_range(record.options.ttl)) {
    return fail(Errc::malformed, "SEND: ttl_ms is 1 to 86400000");
  }
  record.options.priority = static_cast<Priority>(priority);
  record.options.if_away = static_cast<IfAway>((flags & kFlagsIfAway) >> kIfAwayShift);
  record.options.sign = (flags & kFlagSign) != 0;
  record.progress = (flags & kFlagProgress) != 0;
  return record;
}

Result<ClientRecord> parse_reply(Bytes body) {
  ByteReader in(body);
  ReplyRecord record;
  record.request = in.u64();
  record.to = take_reply_to(in);
  record.ttl = std::chrono::milliseconds(in.u32());
  record.payload = in.rest();
  if (!in.ok()) return fail(Errc::malformed, "REPLY is too short");
  if (!ttl_in_range(record.ttl)) return fail(Errc::malformed, "REPLY: ttl_ms is 1 to 86400000");
  return record;
}

Result<ClientRecord> parse_subscribe(Bytes body) {
  ByteReader in(body);
  SubscribeRecord record{.on = true, .count = in.u64()};
  const bool of_channel = body.size() > 8;  // 0 is told by its absence, unless a byte follows
  const bool of_mode = body.size() > 8 + kChannelBytes;
  if (of_channel) record.channel = in.u16();
  if (of_mode) record.explicit_acks = in.u8() == kExplicit;
  const bool canonical = of_mode ? record.explicit_acks : !of_channel || record.channel != 0;
  if (!in.done() || !canonical) {
    return fail(Errc::malformed, "SUBSCRIBE is a count, a channel or nothing, and 1 or nothing");
  }
  return record;
}

Result<ClientRecord> parse_acknowledge(Bytes body) {
  ByteReader in(body);
  AcknowledgeRecord record{.token = in.u64()};
  const auto answer = in.u8();
  record.answer = static_cast<AcknowledgeRecord::Answer>(answer);
  const bool again = record.answer == AcknowledgeRecord::Answer::again;
  if (again) record.delay = std::chrono::milliseconds(in.u32());
  if (!in.done() || answer > 2 || record.delay > kAgainMax) {
    return fail(Errc::malformed,
                "ACKNOWLEDGE is a token and 0, 1, or 2 with a delay of an hour at most");
  }
  return record;
}

Result<ClientRecord> parse_cancel(Bytes body) {
  ByteReader in(body);
  const CancelRecord record{in.u64()};
  if (!in.done()) return fail(Errc::malformed, "CANCEL is a request");
  return record;
}

Result<ServerRecord> parse_outcome(Bytes body) {
  ByteReader in(body);
  OutcomeRecord record;
  record.request = in.u64();
  record.id = {in.array<MessageId::kSize>()};
  const std::uint8_t outcome = in.u8();
  record.reason = static_cast<Errc>(in.u16());
  record.elapsed_ns = in.u64();
  record.detail = as_text(in.rest());
  if (!in.ok() || outcome > static_cast<std::uint8_t>(Outcome::stored)) {
    return fail(Errc::malformed, "OUTCOME");
  }
  record.outcome = static_cast<Outcome>(outcome);
  return record;
}

Result<ServerRecord> parse_progress(Bytes body) {
  ByteReader in(body);
  const ProgressRecord record{in.u64(), in.u64(), in.u64()};
  if (!in.done()) return fail(Errc::malformed, "PROGRESS");
  return record;
}

Result<ServerRecord> parse_message(Bytes body) {
  ByteReader in(body);
  MessageRecord record;
  record.id = {in.array<16>()};
  const std::uint8_t priority = in.u8();
  const std::uint8_t flags = in.u8();
  if ((flags & kFlagSender) != 0) record.sender.emplace().bytes = in.array<NodeId::kSize>();
  if ((flags & kFlagReply) != 0) record.reply_to = take_reply_to(in);
  if ((flags & kFlagInReplyTo) != 0) {
    record.in_reply_to = MessageId{in.array<16>()};
  }
  const bool of_channel = (flags & kFlagChannel) != 0;
  if (of_channel) record.channel = in.u16();
  if ((flags & kFlagToken) != 0) record.token = in.u64();
  record.kept = (flags & kFlagKept) != 0;
  record.payload = in.rest();
  if (!in.ok() || priority >= kPriorityCount || flags > 63 || (of_channel && record.channel == 0)) {
    return fail(Errc::malformed, "MESSAGE");
  }
  record.priority = static_cast<Priority>(priority);
  return record;
}

Result<ServerRecord> parse_error(Bytes body) {
  ByteReader in(body);
  ErrorRecord record;
  record.code = static_cast<Errc>(in.u16());
  record.detail = as_text(in.rest());
  if (!in.ok()) return fail(Errc::malformed, "ERROR");
  return record;
}

Result<ServerRecord> parse_not_cancelled(Bytes body) {
  ByteReader in(body);
  NotCancelledRecord record;
  record.request = in.u64();
  record.reason = static_cast<Errc>(in.u16());
  record.detail = as_text(in.rest());
  if (!in.ok()) return fail(Errc::malformed, "NOT_CANCELLED");
  return record;
}

}  // namespace

void append(std::vector<std::byte>& out, const SendRecord& record) {
  const ChannelNumber channel = record.options.channel;
  ByteWriter writer =
      open_record(out, Op::send,
                  kSendHeadBytes - 1 + (channel != 0 ? kChannelBytes : 0) + record.payload.size());
  writer.u64(record.request);
  writer.put(record.destination.bytes);
  writer.u8(static_cast<std::uint8_t>(record.options.priority));
  writer.u8(static_cast<std::uint8_t>(record.options.relays));
  writer.u8(static_cast<std::uint8_t>(
      (record.options.sign ? kFlagSign : 0) | (record.progress ? kFlagProgress : 0) |
      (channel != 0 ? kFlagSendChannel : 0) |
      static_cast<unsigned>(record.options.if_away) << kIfAwayShift));
  writer.u32(static_cast<std::uint32_t>(record.options.ttl.count()));
  writer.u64(record.options.isolation);
  if (channel != 0) writer.u16(channel);
  writer.put(record.payload);
}

void append(std::vector<std::byte>& out, const ReplyRecord& record) {
  ByteWriter writer = open_record(out, Op::reply, kReplyHeadBytes - 1 + record.payload.size());
  writer.u64(record.request);
  put(writer, record.to);
  writer.u32(static_cast<std::uint32_t>(record.ttl.count()));
  writer.put(record.payload);
}

void append(std::vector<std::byte>& out, const SubscribeRecord& record) {
  if (!record.on) {
    open_record(out, Op::unsubscribe, 0);
    return;
  }
  const bool mode = record.explicit_acks;
  const bool channel = record.channel != 0 || mode;
  ByteWriter writer =
      open_record(out, Op::subscribe, 8 + (channel ? kChannelBytes : 0) + (mode ? 1 : 0));
  writer.u64(record.count);
  if (channel) writer.u16(record.channel);
  if (mode) writer.u8(kExplicit);
}

void append(std::vector<std::byte>& out, const AcknowledgeRecord& record) {
  const bool again = record.answer == AcknowledgeRecord::Answer::again;
  ByteWriter writer =
      open_record(out, Op::acknowledge, kAcknowledgeBytes - 1 + (again ? kDelayBytes : 0));
  writer.u64(record.token);
  writer.u8(static_cast<std::uint8_t>(record.answer));
  if (again) writer.u32(static_cast<std::uint32_t>(record.delay.count()));
}

void append(std::vector<std::byte>& out, const CancelRecord& record) {
  open_record(out, Op::cancel, kCancelBytes - 1).u64(record.request);
}

void append(std::vector<std::byte>& out, const OutcomeRecord& record) {
  ByteWriter writer =
      open_record(out, Op::outcome, 8 + MessageId::kSize + 1 + 2 + 8 + record.detail.size());
  writer.u64(record.request);
  writer.put(record.id.bytes);
  writer.u8(static_cast<std::uint8_t>(record.outcome));
  writer.u16(static_cast<std::uint16_t>(record.reason));
  writer.u64(record.elapsed_ns);
  writer.put(as_bytes(record.detail));
}

void append(std::vector<std::byte>& out, const ProgressRecord& record) {
  ByteWriter writer = open_record(out, Op::progress, 24);
  writer.u64(record.request);
  writer.u64(record.done);
  writer.u64(record.all);
}

void append_message_head(std::vector<std::byte>& out, const MessageRecord& record,
                         std::size_t payload_bytes) {
  const std::size_t body = 16 + 1 + 1 + (record.sender ? NodeId::kSize : 0) +
                           (record.reply_to ? kReplyToBytes : 0) + (record.in_reply_to ? 16 : 0) +
                           (record.channel != 0 ? kChannelBytes : 0) + (record.token ? 8 : 0);
  ByteWriter writer = open_record(out, Op::message, body, payload_bytes);
  writer.put(record.id.bytes);
  writer.u8(static_cast<std::uint8_t>(record.priority));
  writer.u8(static_cast<std::uint8_t>(
      (record.sender ? kFlagSender : 0) | (record.reply_to ? kFlagReply : 0) |
      (record.in_reply_to ? kFlagInReplyTo : 0) | (record.channel != 0 ? kFlagChannel : 0) |
      (record.token ? kFlagToken : 0) | (record.kept ? kFlagKept : 0)));
  if (record.sender) writer.put(record.sender->bytes);
  if (record.reply_to) put(writer, *record.reply_to);
  if (record.in_reply_to) writer.put(record.in_reply_to->bytes);
  if (record.channel != 0) writer.u16(record.channel);
  if (record.token) writer.u64(*record.token);
}

void append(std::vector<std::byte>& out, const MessageRecord& record) {
  append_message_head(out, record, record.payload.size());
  out.insert(out.end(), record.payload.begin(), record.payload.end());
}

void append(std::vector<std::byte>& out, const ErrorRecord& record) {
  ByteWriter writer = open_record(out, Op::error, 2 + record.detail.size());
  writer.u16(static_cast<std::uint16_t>(record.code));
  writer.put(as_bytes(record.detail));
}

void append(std::vector<std::byte>& out, const SubscribedRecord&) {
  open_record(out, Op::subscribed, 0);
}

void append(std::vector<std::byte>& out, const NotCancelledRecord& record) {
  ByteWriter writer = open_record(out, Op::not_cancelled, 8 + 2 + record.detail.size());
  writer.u64(record.request);
  writer.u16(static_cast<std::uint16_t>(record.reason));
  writer.put(as_bytes(record.detail));
}

Result<RecordReader::Raw> RecordReader::next() {
  ByteReader in(rest_);
  const std::uint32_t length = in.u32();
  const Bytes record = in.take(length);
  if (!in.ok() || length == 0) {
    rest_ = {};
    return fail(Errc::malformed, "a record's length is wrong");
  }
  rest_ = in.rest();
  return Raw{std::to_integer<std::uint8_t>(record[0]), record.subspan(1)};
}

Result<ClientRecord> parse_client_record(const RecordReader::Raw& raw) {
  switch (static_cast<Op>(raw.op)) {
    case Op::send:
      return parse_send(raw.body);
    case Op::reply:
      return parse_reply(raw.body);
    case Op::subscribe:
      return parse_subscribe(raw.body);
    case Op::unsubscribe:
      if (!raw.body.empty()) return fail(Errc::malformed, "UNSUBSCRIBE has no body");
      return SubscribeRecord{.on = false};
    case Op::cancel:
      return parse_cancel(raw.body);
    case Op::acknowledge:
      return parse_acknowledge(raw.body);
    default:
      return fail(Errc::unsupported, "unknown record");
  }
}

Result<ServerRecord> parse_server_record(const RecordReader::Raw& raw) {
  switch (static_cast<Op>(raw.op)) {
    case Op::outcome:
      return parse_outcome(raw.body);
    case Op::progress:
      return parse_progress(raw.body);
    case Op::message:
      return parse_message(raw.body);
    case Op::error:
      return parse_error(raw.body);
    case Op::subscribed:
      if (!raw.body.empty()) return fail(Errc::malformed, "SUBSCRIBED");
      return SubscribedRecord{};
    case Op::not_cancelled:
      return parse_not_cancelled(raw.body);
    default:
      return fail(Errc::unsupported, "unknown record");
  }
}

std::string to_text(const ReplyTo& to) { return to_hex(to.handle()); }

Result<ReplyTo> parse_reply_to(std::string_view text) {
  std::array<std::byte, kReplyToBytes> raw;
  if (!from_hex(text, raw)) {
    return fail(Errc::malformed, "a reply handle is 32 hexadecimal characters");
  }
  return ReplyTo(raw);
}

std::string HandToken::to_string() const {
  std::array<std::byte, 16> bytes;
  store_be(bytes.data(), hand);
  store_be(bytes.data() + sizeof hand, message);
  return to_hex(bytes);
}

Result<HandToken> HandToken::parse(std::string_view text) {
  std::array<std::byte, 16> bytes;
  if (!from_hex(text, bytes)) {
    return fail(Errc::malformed, "must be the 32 hexadecimal digits that came with a message");
  }
  return HandToken{load_be<std::uint64_t>(bytes.data()),
                   load_be<std::uint64_t>(bytes.data() + sizeof(std::uint64_t))};
}

}  // namespace qudag::api
