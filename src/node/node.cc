// The public Node: a thin face of Node::Impl.
#include "base/secret.h"
#include "node/impl.h"
#include "node/report.h"
#include "settings/numbers.h"
#include "shard/reply_address.h"

#include <algorithm>
#include <iterator>

namespace qudag {

namespace {

/// Waits are no longer, so that sums of times stay what they are.
constexpr std::chrono::milliseconds kLongest = std::chrono::hours(24 * 365);

}  // namespace

std::chrono::nanoseconds Message::time_left() const {
  return std::max(expires - runtime::system_now().mono.time_since_epoch(), {});
}

Node::Node(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Node::~Node() = default;

Result<std::unique_ptr<Node>> Node::start(Options options) {
  settings::follow(options);
  if (auto ok = validate(options); !ok) {
    wipe(options.identity_key);
    return std::unexpected(ok.error());
  }
  auto impl = std::make_unique<Impl>(std::move(options));
  if (auto ok = impl->start(); !ok) return std::unexpected(ok.error());
  return std::unique_ptr<Node>(new Node(std::move(impl)));
}

const NodeId& Node::id() const noexcept { return impl_->id(); }
const SocketAddress& Node::address() const noexcept { return impl_->address(); }
Result<Buffer> Node::buffer(std::size_t bytes) { return impl_->buffer(bytes); }
void Node::on_message(MessageHandler handler) { impl_->set_handler(0, std::move(handler)); }
void Node::on_message(ChannelNumber channel, MessageHandler handler) {
  impl_->set_handler(channel, std::move(handler));
}
JoinState Node::join_state(unsigned relays) const { return impl_->joining().state(relays); }
JoinState Node::wait_until_joined(std::chrono::milliseconds timeout, unsigned relays) const {
  return impl_->wait_until_joined(std::min(timeout, kLongest), relays);
}
void Node::on_joined(JoinHandler handler) { impl_->set_join_handler(std::move(handler)); }
bool Node::is_known(const NodeId& id) const { return impl_->joining().knows(id); }
bool Node::wait_until_known(const NodeId& id, std::chrono::milliseconds timeout) const {
  return impl_->wait_until_known(id, std::min(timeout, kLongest));
}
void Node::on_room(RoomHandler handler) { impl_->set_room_handler(std::move(handler)); }
void Node::stop(std::chrono::milliseconds grace) { impl_->stop(grace); }

namespace {

shard::SendRequest request_to(const NodeId& destination, const SendOptions& options,
                              Completion done, Progress progress) {
  shard::SendRequest out;
  out.destination = destination;
  out.options = options;
  out.done = std::move(done);
  out.progress = std::move(progress);
  return out;
}

shard::SendRequest reply_on(const ReplyTo& to, const SendOptions& options, Completion done,
                            Progress progress) {
  shard::SendRequest out;
  out.reply_to = to;
  out.options = options;
  out.done = std::move(done);
  out.progress = std::move(progress);
  return out;
}

/// A send whose outcome is a future: `send` takes the completion.
template <class Send>
std::future<Delivery> as_future(Send&& send) {
  auto promise = std::make_shared<std::promise<Delivery>>();  // owners: the completion, and this
  auto future = promise->get_future();
  const Result<MessageId> sent =
      send([promise](const Delivery& delivery) { promise->set_value(delivery); });
  if (!sent) promise->set_value(shard::refusal(sent.error()));
  return future;
}

Result<unsigned> shard_of(const ReplyTo& to, const SendOptions& options, std::size_t shards) {
  if (options.sign) return fail(Errc::invalid_argument, "a reply is not signed");
  const auto address = shard::ReplyAddress::unpack(to);
  if (address && address->shard < shards) return address->shard;
  return fail(Errc::invalid_argument, "no such reply address");
}

void fill(shard::SendRequest& request, Buffer& payload) {
  Buffer::Impl::Parts parts = Buffer::Impl::take(payload);
  request.payload = std::move(parts.chain);
  request.reservation = std::move(parts.reservation);
}

}  // namespace

Result<MessageId> Node::send(const NodeId& destination, Buffer payload, const SendOptions& options,
                             Completion done, Progress progress) {
  auto request = request_to(destination, options, std::move(done), std::move(progress));
  fill(request, payload);
  return impl_->send(std::move(request), impl_->shard_for(destination, options), {});
}

Result<MessageId> Node::send(const NodeId& destination, std::span<const std::byte> payload,
                             const SendOptions& options, Completion done, Progress progress) {
  return impl_->send_copy(request_to(destination, options, std::move(done), std::move(progress)),
                          payload, impl_->shard_for(destination, options), {});
}

std::future<Delivery> Node::send(const NodeId& destination, std::span<const std::byte> payload,
                                 const SendOptions& options) {
  return as_future(
      [&](Completion done) { return send(destination, payload, options, std::move(done)); });
}

Result<MessageId> Node::send_wait(const NodeId& destination, Buffer payload,
                                  const SendOptions& options, std::chrono::milliseconds room_max,
                                  Completion done, Progress progress) {
  auto request = request_to(destination, options, std::move(done), std::move(progress));
  fill(request, payload);
  return impl_->send(std::move(request), impl_->shard_for(destination, options),
                     std::min(room_max, kLongest));
}

Result<MessageId> Node::send_wait(const NodeId& destination, std::span<const std::byte> payload,
                                  const SendOptions& options, std::chrono::milliseconds room_max,
                                  Completion done, Progress progress) {
  return impl_->send_copy(request_to(destination, options, std::move(done), std::move(progress)),
                          payload, impl_->shard_for(destination, options),
                          std::min(room_max, kLongest));
}

Result<MessageId> Node::reply(const ReplyTo& to, Buffer payload, const SendOptions& options,
                              Completion done, Progress progress) {
  const auto shard = shard_of(to, options, impl_->shards());
  if (!shard) return std::unexpected(shard.error());
  auto request = reply_on(to, options, std::move(done), std::move(progress));
  fill(request, payload);
  return impl_->send(std::move(request), *shard, {});
}

Result<MessageId> Node::reply(const ReplyTo& to, std::span<const std::byte> payload,
                              const SendOptions& options, Completion done, Progress progress) {
  const auto shard = shard_of(to, options, impl_->shards());
  if (!shard) return std::unexpected(shard.error());
  return impl_->send_copy(reply_on(to, options, std::move(done), std::move(progress)), payload,
                          *shard, {});
}

std::future<Delivery> Node::reply(const ReplyTo& to, std::span<const std::byte> payload,
                                  const SendOptions& options) {
  return as_future([&](Completion done) { return reply(to, payload, options, std::move(done)); });
}

std::future<Result<Message>> Node::request(const NodeId& destination,
                                           std::span<const std::byte> payload,
                                           const SendOptions& options,
                                           std::chrono::milliseconds timeout) {
  return impl_->request(destination, payload, options, timeout);
}

Status Node::cancel(const MessageId& id) { return impl_->cancel(id); }

Status Node::acknowledge(const Receipt& receipt, Accept answer) {
  return impl_->acknowledge(receipt, answer);
}

Result<NodeId> Node::open_receiver(ReceiverOptions options, CardHandler on_card) {
  return impl_->open_receiver(std::move(options), std::move(on_card));
}
void Node::close_receiver(const NodeId& receiver) { impl_->close_receiver(receiver); }
std::vector<ReceiverOptions> Node::kept_receivers() const { return impl_->kept_receivers(); }
std::future<std::vector<ReceiverStatus>> Node::receivers() const { return impl_->receivers(); }
Status Node::add_card(const Card& card) { return impl_->add_card(card); }
Status Node::add_invitation(const Invitation& invitation) {
  return impl_->add_invitation(invitation);
}
void Node::remove_card(const NodeId& receiver) { impl_->remove_card(receiver); }
void Node::on_card(CardHandler handler) { impl_->set_card_handler(std::move(handler)); }

std::vector<KnownNode> Node::nodes() const { return impl_->nodes(); }
void Node::set_log_level(LogLevel level) { impl_->set_log_level(level); }
Status Node::set_quota(const Limits& limits) { return impl_->set_quota(limits); }

std::future<NodeStatus> Node::status() const {
  return impl_->gather<NodeStatus, shard::ShardReport>(
      [](node::ShardThread& thread) {
        shard::ShardReport report = thread.shard->report();
        thread.shard->add_recent(report, runtime::system_now());
        return report;
      },
      [impl = impl_.get()](auto&& reports) { return impl->status_of(std::move(reports)); });
}

namespace {

template <class T>
std::vector<T> concatenate(std::vector<std::vector<T>>&& parts) {
  std::vector<T> out;
  for (auto& part : parts) std::move(part.begin(), part.end(), std::back_inserter(out));
  return out;
}

}  // namespace

std::future<std::vector<PeerStatus>> Node::peers() const {
  return impl_->gather<std::vector<PeerStatus>, std::vector<PeerStatus>>(
      [](node::ShardThread& thread) { return thread.shard->peers(); }, concatenate<PeerStatus>);
}

std::future<std::vector<CircuitStatus>> Node::circuits() const {
  return impl_->gather<std::vector<CircuitStatus>, std::vector<CircuitStatus>>(
      [](node::ShardThread& thread) { return thread.shard->circuits(); },
      concatenate<CircuitStatus>);
}

std::future<std::vector<QueueStatus>> Node::queues() const {
  using Rows = std::vector<QueueStatus>;
  return impl_->gather<Rows, Rows>(
      [](node::ShardThread& thread) {
        return node::to_status(thread.bounded(), thread.shard->index());
      },
      [impl = impl_.get()](std::vector<Rows>&& parts) {
        parts.push_back(node::to_status(impl->bounded(), {}));
        return concatenate<QueueStatus>(std::move(parts));
      });
}

std::future<std::vector<MetricSample>> Node::metrics() const {
  return impl_->gather<std::vector<MetricSample>, shard::ShardReport>(
      [](node::ShardThread& thread) {
        shard::ShardReport report = thread.shard->report();
        report.loop_lag_us = thread.loop->stats().lag_us;
        report.loop_turn = thread.loop->stats().turn;
        report.loop_turns = thread.loop->stats().turns;
        report.loop_sleeps = thread.loop->stats().sleeps;
        report.loop_rests_awake = thread.loop->stats().rests_awake;
        report.send_pauses = thread.pauses();
        report.bounded = thread.bounded();
        return report;
      },
      [impl = impl_.get()](std::vector<shard::ShardReport>&& reports) {
        shard::ShardReport& own = reports.emplace_back();  // a row of the node's own
        own.bounded = impl->bounded();
        own.joined = impl->joining().state(kRelaysDefault).joined;
        own.reachable = impl->reachable();
        return node::to_metrics(reports, impl->bound(), impl->inbox_stats(),
                                impl->quota().value_or(QuotaStatus{}));
      });
}

std::string_view version() noexcept { return QUDAG_VERSION; }

}  // namespace qudag
