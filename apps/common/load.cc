#include "common/load.h"

#include <algorithm>
#include <chrono>
#include <vector>

namespace qudag::app {
namespace {

using Clock = std::chrono::steady_clock;

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(Clock::now().time_since_epoch().count());
}

/// Bytes that only this message has, so that a mix-up between messages is seen too.
void fill(MutableBytes out, std::uint64_t seed) {
  std::uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;
  for (std::size_t at = 0; at < out.size(); at += 8) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    std::memcpy(out.data() + at, &state, std::min<std::size_t>(8, out.size() - at));
  }
}

class Load {
 public:
  explicit Load(const LoadSpec& spec)
      : spec_(spec), run_(now_ns()), payload_(spec.bytes), expected_(spec.bytes) {}

  Result<LoadResult> run(const std::filesystem::path& from, const std::filesystem::path& to,
                         const std::function<bool()>& stop);

 private:
  void offer();
  bool offering() const;
  void make(std::uint64_t number);
  void on_source(const api::ServerRecord& record);
  void on_destination(const api::ServerRecord& record);
  void check(Bytes payload);

  const LoadSpec& spec_;
  const std::uint64_t run_;  // tells our messages from those of an earlier run
  std::vector<std::byte> payload_;
  std::vector<std::byte> expected_;
  std::vector<bool> seen_;
  api::ClientLoop loop_;  // outlives its clients
  std::unique_ptr<api::StreamClient> source_;
  std::unique_ptr<api::StreamClient> destination_;
  std::uint64_t begin_ns_ = 0;
  std::uint64_t ended_ns_ = 0;
  std::uint64_t outcomes_ = 0;
  std::uint64_t returned_ = 0;  // echoes that came back
  LoadResult result_;
};

bool Load::offering() const {
  if (spec_.count != 0) return result_.sent < spec_.count;
  return now_ns() - begin_ns_ < static_cast<std::uint64_t>(spec_.lasts.count()) * 1'000'000;
}

void Load::make(std::uint64_t number) {
  ByteWriter head(MutableBytes(payload_).first(kLoadHeadBytes));
  head.u64(run_);
  head.u64(number);
  head.u64(now_ns());
  fill(MutableBytes(payload_).subspan(kLoadHeadBytes), run_ + number);
}

/// Keeps the window full. A message is under way until its outcome and it itself have been seen
/// here; with echo, until its reply has.
void Load::offer() {
  const std::uint64_t seen = result_.received + result_.wrong + result_.other;
  const std::uint64_t ended = spec_.echo ? returned_ : std::min(outcomes_, seen);
  while (result_.sent - ended < spec_.window && offering()) {
    make(result_.sent);
    SendOptions options = spec_.options;
    if (spec_.isolate) options.isolation = result_.sent + 1;
    const Status queued = source_->send({.request = result_.sent,
                                         .destination = spec_.destination,
                                         .options = options,
                                         .progress = false,
                                         .payload = payload_});
    if (!queued) return;  // ended: run() sees it
    ++result_.sent;
  }
}

void Load::check(Bytes payload) {
  ByteReader in(payload);
  const std::uint64_t run = in.u64();
  const std::uint64_t number = in.u64();
  const std::uint64_t sent_ns = in.u64();
  if (seen_.size() <= number && number < result_.sent) seen_.resize(result_.sent * 2);
  const bool ours = payload.size() == spec_.bytes && run == run_ && number < result_.sent;
  if (ours) fill(MutableBytes(expected_).subspan(kLoadHeadBytes), run_ + number);
  if (!ours || seen_[number] ||
      !std::ranges::equal(in.rest(), Bytes(expected_).subspan(kLoadHeadBytes))) {
    ++result_.wrong;
    return;
  }
  seen_[number] = true;
  ++result_.received;
  result_.latency_ns.record(now_ns() - sent_ns);
}

void Load::on_source(const api::ServerRecord& record) {
  if (const auto* outcome = std::get_if<api::OutcomeRecord>(&record)) {
    ++outcomes_;
    ended_ns_ = now_ns();
    if (outcome->outcome == Outcome::delivered) {
      ++result_.delivered;
    } else if (result_.other++ == 0) {
      result_.first_other = Error(outcome->reason, std::string(outcome->detail));
    }
    if (spec_.echo && outcome->outcome != Outcome::delivered) ++returned_;
    if (!spec_.echo) offer();
  } else if (const auto* message = std::get_if<api::MessageRecord>(&record)) {
    if (!spec_.echo || !message->in_reply_to) {
      ++result_.wrong;
      return;
    }
    check(message->payload);
    ++returned_;
    offer();
  }
}

void Load::on_destination(const api::ServerRecord& record) {
  const auto* message = std::get_if<api::MessageRecord>(&record);
  if (message == nullptr) return;  // outcomes of echoes
  if (!spec_.echo) {
    check(message->payload);
    if (spec_.explicit_acks) {
      (void)destination_->acknowledge({.token = message->token.value_or(0)});
    }
    return offer();
  }
  if (!message->reply_to) {
    ++result_.wrong;
    return;
  }
  (void)destination_->reply({.request = 0,
                             .to = *message->reply_to,
                             .ttl = spec_.options.ttl,
                             .payload = message->payload});
}

Result<LoadResult> Load::run(const std::filesystem::path& from, const std::filesystem::path& to,
                             const std::function<bool()>& stop) {
  auto source = api::StreamClient::open(loop_, from, [this](const auto& r) { on_source(r); });
  if (!source) return std::unexpected(source.error());
  auto destination =
      api::StreamClient::open(loop_, to, [this](const auto& r) { on_destination(r); });
  if (!destination) return std::unexpected(destination.error());
  source_ = std::move(*source);
  destination_ = std::move(*destination);
  if (Status open = destination_->subscribe(0, 0, spec_.explicit_acks); !open) {
    return std::unexpected(open.error());
  }
  if (spec_.echo) {
    if (Status open = source_->subscribe(); !open) return std::unexpected(open.error());
  }

  begin_ns_ = ended_ns_ = now_ns();
  offer();
  const auto complete = [&] {
    return !offering() && outcomes_ == result_.sent &&
           result_.received + result_.wrong >= result_.delivered;
  };
  loop_.run_until([&] { return complete() || stop() || source_->ended() || destination_->ended(); },
                  spec_.patience);
  for (const auto* client : {source_.get(), destination_.get()}) {
    if (client->ended()) return std::unexpected(*client->ended());
  }
  // What comes late would come twice: look for it a moment longer.
  if (complete()) loop_.run_until(stop, std::chrono::milliseconds(100));
  result_.seconds = static_cast<double>(ended_ns_ - begin_ns_) / 1e9;
  return std::move(result_);
}

}  // namespace

Result<LoadResult> run_load(const std::filesystem::path& from, const std::filesystem::path& to,
                            const LoadSpec& spec, const std::function<bool()>& stop) {
  return Load(spec).run(from, to, stop);
}

}  // namespace qudag::app
