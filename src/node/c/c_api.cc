// The C interface, over the public Node alone. What comes waits in the node's waiting room
// (waiting.h) until the caller takes it.
#include "base/log.h"
#include "base/secret.h"
#include "node/c/handles.h"

#include <qudag/node.h>
#include <qudag/qudag.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>

namespace qudag::node {
namespace {
thread_local std::string last_error;
}

int failed(const Error& error) {
  last_error = error.message();
  return static_cast<int>(error.code);
}

int failed_thrown(Errc what) noexcept {
  last_error =
      what == Errc::refused_memory ? "refused_memory" : "internal";  // short: kept in place
  return static_cast<int>(what);
}
}  // namespace qudag::node

namespace qudag {
namespace {

using node::call, node::copy_text, node::null, node::Waiting;

MessageHandler into(std::shared_ptr<Waiting> waiting, bool in_hand) {
  return [waiting = std::move(waiting), in_hand](Message&& message) {
    return waiting->put(std::move(message), in_hand);
  };
}

void copy_id(const MessageId& from, qudag_message_id& to) {
  std::memcpy(to.bytes, from.bytes.data(), sizeof to.bytes);
}

Result<SendOptions> options_of(const qudag_send_options* from) {
  SendOptions out;
  if (from == nullptr) return out;
  if (static_cast<unsigned>(from->priority) >= kPriorityCount)
    return fail(Errc::invalid_argument, "priority");
  out.priority = static_cast<Priority>(from->priority);
  out.ttl = std::chrono::milliseconds(from->ttl_ms);
  out.relays = from->relays;
  out.isolation = from->isolation;
  out.sign = from->sign != 0;
  out.channel = from->channel;
  if (static_cast<unsigned>(from->if_away) > static_cast<unsigned>(IfAway::refuse)) {
    return fail(Errc::invalid_argument, "if_away: must be QUDAG_STORE, QUDAG_WAIT or QUDAG_TELL");
  }
  out.if_away = static_cast<IfAway>(from->if_away);
  return out;
}

/// `send(payload, options, completion)`, with a place for its outcome.
template <class Send>
Status send_with(qudag_node& node, const void* payload, std::size_t bytes,
                 const qudag_send_options* options, qudag_message_id* id, Send&& send) {
  if (payload == nullptr && bytes > 0) return null();
  const auto how = options_of(options);
  if (!how) return std::unexpected(how.error());
  const std::shared_ptr<Waiting>& waiting = node.waiting;
  if (!waiting->reserve()) {
    return fail(Errc::refused_queue_full, "65,536 outcomes are to come or to be taken");
  }
  const Result<MessageId> sent =
      send(std::span(static_cast<const std::byte*>(payload), bytes), *how,
           Completion([waiting](const Delivery& delivery) { waiting->put(delivery); }));
  if (!sent) {
    waiting->give_back();
    return std::unexpected(sent.error());
  }
  if (id != nullptr) copy_id(*sent, *id);
  return {};
}

/// What the caller says of a message in hand, which is in hand no more.
Status answered(qudag_node& node, qudag_message& message, qudag_answer answer,
                std::chrono::milliseconds delay) {
  if (answer != QUDAG_TAKEN && answer != QUDAG_REFUSE && answer != QUDAG_AGAIN) {
    return fail(Errc::invalid_argument, "answer: must be QUDAG_TAKEN, QUDAG_REFUSE or QUDAG_AGAIN");
  }
  if (delay > (answer == QUDAG_AGAIN ? Waiting::kDelayMax : delay.zero())) {
    return fail(Errc::invalid_argument,
                "delay_ms: must be 3,600,000 at most, and 0 unless the answer is QUDAG_AGAIN");
  }
  if (answer == QUDAG_AGAIN) {
    node.waiting->again(std::move(message.value), delay);
    message.value = {};
  } else {
    const Accept accept = answer == QUDAG_TAKEN ? Accept::taken : Accept::no_receiver;
    const Status told = node.node->acknowledge(message.value.receipt, accept);
    if (!told) return told;
    node.waiting->leave(message.value);
  }
  message.in_hand = false;
  return {};
}

/// Sets one option.
template <class F>
int set(qudag_options* options, const void* value, F&& f) noexcept {
  return call([&]() -> Status {
    if (options == nullptr || value == nullptr) return null();
    return f(options->value);
  });
}

Status put_address(const char* text, SocketAddress& out) {
  auto parsed = SocketAddress::parse(text);
  if (!parsed) return std::unexpected(parsed.error());
  out = *parsed;
  return {};
}

}  // namespace
}  // namespace qudag

using namespace qudag;  // NOLINT: what follows is the interface, not a place for names

extern "C" {

const char* qudag_version(void) { return version().data(); }
const char* qudag_error_name(int error) { return name_of(static_cast<Errc>(error)).data(); }
const char* qudag_last_error(void) { return node::last_error.c_str(); }

// ---- options

qudag_options* qudag_options_new(void) {
  try {
    return new qudag_options;
  } catch (...) {
    return nullptr;
  }
}
void qudag_options_free(qudag_options* options) { delete options; }

int qudag_options_add_bootstrap(qudag_options* options, const char* peer) {
  return set(options, peer, [&](Options& out) -> Status {
    auto parsed = PeerAddress::parse(peer);
    if (!parsed) return std::unexpected(parsed.error());
    out.bootstrap.push_back(*parsed);
    return {};
  });
}
int qudag_options_set_listen(qudag_options* options, const char* address) {
  return set(options, address, [&](Options& out) {
    SocketAddress parsed;
    Status ok = put_address(address, parsed);
    if (ok) out.listen = parsed;
    return ok;
  });
}
int qudag_options_add_publish(qudag_options* options, const char* address) {
  return set(options, address, [&](Options& out) {
    SocketAddress parsed;
    Status ok = put_address(address, parsed);
    if (ok) out.publish.push_back(parsed);
    return ok;
  });
}
int qudag_options_set_identity_file(qudag_options* options, const char* path) {
  return set(options, path, [&](Options& out) -> Status {
    out.identity = path;
    return {};
  });
}
int qudag_options_set_identity(qudag_options* options, const void* key, size_t bytes) {
  return set(options, key, [&](Options& out) -> Status {
    const auto* first = static_cast<const std::byte*>(key);
    wipe(out.identity_key);
    out.identity_key.assign(first, first + bytes);
    return {};
  });
}
int qudag_options_set_state_dir(qudag_options* options, const char* path) {
  return set(options, path, [&](Options& out) -> Status {
    out.state_dir = path;
    return {};
  });
}
int qudag_options_set_relay(qudag_options* options, int relay) {
  return set(options, options, [&](Options& out) -> Status {
    out.relay = relay != 0;
    return {};
  });
}
int qudag_options_set_known(qudag_options* options, int known) {
  return set(options, options, [&](Options& out) -> Status {
    out.known = known != 0;
    return {};
  });
}
int qudag_options_set_shards(qudag_options* options, unsigned shards) {
  return set(options, options, [&](Options& out) -> Status {
    out.shards = shards;
    return {};
  });
}
int qudag_options_set_memory(qudag_options* options, uint64_t bytes) {
  return set(options, options, [&](Options& out) -> Status {
    out.limits.memory = bytes;
    return {};
  });
}
int qudag_options_set_gossip_interval(qudag_options* options, uint32_t seconds) {
  return set(options, options, [&](Options& out) -> Status {
    out.gossip_interval = std::chrono::seconds(seconds);
    return {};
  });
}
int qudag_options_set_acknowledged(qudag_options* options, int acknowledged) {
  return call([&]() -> Status {
    if (options == nullptr) return null();
    options->acknowledged = acknowledged != 0;
    return {};
  });
}
int qudag_options_set_log_level(qudag_options* options, const char* level) {
  return set(options, level, [&](Options& out) -> Status {
    if (parse_log_level(level, out.log_level)) return {};
    return fail(Errc::invalid_argument, "no such level");
  });
}

// ---- a node

int qudag_start(const qudag_options* options, qudag_node** out) {
  return call([&]() -> Status {
    if (out == nullptr) return null();
    *out = nullptr;
    auto waiting = Waiting::open();
    if (!waiting) return std::unexpected(waiting.error());
    auto handle = std::make_unique<qudag_node>();
    handle->waiting = std::move(*waiting);
    auto node = Node::start(options == nullptr ? Options() : options->value);
    if (!node) return std::unexpected(node.error());
    handle->node = std::move(*node);
    handle->waiting->belong_to(*handle->node);
    const bool in_hand = options != nullptr && options->acknowledged;
    handle->node->on_message(into(handle->waiting, in_hand));
    *out = handle.release();
    return {};
  });
}
int qudag_stop(qudag_node* node, uint32_t grace_ms) {
  return call([&]() -> Status {
    if (node == nullptr) return null();
    node->node->stop(std::chrono::milliseconds(grace_ms));
    return {};
  });
}
void qudag_free(qudag_node* node) { delete node; }

int qudag_id(const qudag_node* node, char text[QUDAG_ID_TEXT_BYTES]) {
  return call([&]() -> Status {
    if (node == nullptr || text == nullptr) return null();
    copy_text(node->node->id().to_string(), text, QUDAG_ID_TEXT_BYTES);
    return {};
  });
}
int qudag_address(const qudag_node* node, char text[QUDAG_ADDRESS_TEXT_BYTES]) {
  return call([&]() -> Status {
    if (node == nullptr || text == nullptr) return null();
    copy_text(node->node->address().to_string(), text, QUDAG_ADDRESS_TEXT_BYTES);
    return {};
  });
}
int qudag_wait_joined(const qudag_node* node, unsigned relays, uint32_t timeout_ms) {
  return call([&]() -> Status {
    if (node == nullptr) return null();
    const JoinState state =
        node->node->wait_until_joined(std::chrono::milliseconds(timeout_ms), relays);
    if (state.joined) return {};
    return fail(relays > kRelaysMax ? Errc::invalid_argument : Errc::timed_out, state.reason);
  });
}
int qudag_wait_known(const qudag_node* node, const char* id, uint32_t timeout_ms) {
  return call([&]() -> Status {
    if (node == nullptr || id == nullptr) return null();
    const auto whom = NodeId::parse(id);
    if (!whom) return std::unexpected(whom.error());
    if (node->node->wait_until_known(*whom, std::chrono::milliseconds(timeout_ms))) return {};
    return fail(Errc::timed_out, "that node is not known");
  });
}
int qudag_status(const qudag_node* node, qudag_status_record* out) {
  return call([&]() -> Status {
    if (node == nullptr || out == nullptr) return null();
    const NodeStatus status = node->node->status().get();
    const auto [messages, outcomes] = node->waiting->sizes();
    *out = {.links = status.links,
            .circuits = status.circuits,
            .nodes_known = status.nodes_known,
            .relays_known = status.relays_known,
            .memory_used = status.memory_used,
            .memory_limit = status.memory_limit,
            .joined = status.joined ? 1 : 0,
            .stopping = status.stopping ? 1 : 0,
            .messages_waiting = messages,
            .outcomes_waiting = outcomes};
    return {};
  });
}
int qudag_fd(const qudag_node* node) { return node == nullptr ? -1 : node->waiting->fd(); }

// ---- sending

void qudag_send_options_init(qudag_send_options* options) {
  if (options == nullptr) return;
  const SendOptions defaults;
  *options = {.priority = static_cast<qudag_priority>(defaults.priority),
              .ttl_ms = static_cast<uint32_t>(defaults.ttl.count()),
              .relays = defaults.relays,
              .isolation = defaults.isolation,
              .sign = 0,
              .channel = defaults.channel,
              .if_away = static_cast<qudag_if_away>(defaults.if_away)};
}
int qudag_send(qudag_node* node, const char* id, const void* payload, size_t bytes,
               const qudag_send_options* options, qudag_message_id* message) {
  return call([&]() -> Status {
    if (node == nullptr || id == nullptr) return null();
    const auto to = NodeId::parse(id);
    if (!to) return std::unexpected(to.error());
    return send_with(*node, payload, bytes, options, message,
                     [&](auto data, const SendOptions& how, Completion done) {
                       return node->node->send(*to, data, how, std::move(done));
                     });
  });
}
int qudag_reply(qudag_node* node, const qudag_message* to, const void* payload, size_t bytes,
                const qudag_send_options* options, qudag_message_id* message) {
  return call([&]() -> Status {
    if (node == nullptr || to == nullptr) return null();
    if (!to->value.reply_to) return fail(Errc::invalid_argument, "it cannot be answered");
    return send_with(*node, payload, bytes, options, message,
                     [&](auto data, const SendOptions& how, Completion done) {
                       return node->node->reply(*to->value.reply_to, data, how, std::move(done));
                     });
  });
}
int qudag_cancel(qudag_node* node, const qudag_message_id* message) {
  return call([&]() -> Status {
    if (node == nullptr || message == nullptr) return null();
    MessageId id;
    std::memcpy(id.bytes.data(), message->bytes, sizeof message->bytes);
    return node->node->cancel(id);
  });
}
int qudag_next_outcome(qudag_node* node, qudag_outcome* outcome) {
  return call([&]() -> Status {
    if (node == nullptr || outcome == nullptr) return null();
    if (node->waiting->take(*outcome)) return {};
    return fail(Errc::would_block, "no outcome waits");
  });
}

// ---- receiving

int qudag_listen(qudag_node* node, uint16_t channel, int on) {
  return call([&]() -> Status {
    if (node == nullptr) return null();
    node->node->on_message(channel, on != 0 ? into(node->waiting, false) : MessageHandler());
    return {};
  });
}
int qudag_listen_acknowledged(qudag_node* node, uint16_t channel) {
  return call([&]() -> Status {
    if (node == nullptr) return null();
    node->node->on_message(channel, into(node->waiting, true));
    return {};
  });
}
int qudag_receive(qudag_node* node, qudag_message** message) {
  return call([&]() -> Status {
    if (node == nullptr || message == nullptr) return null();
    *message = nullptr;
    std::unique_ptr<qudag_message> taken = node->waiting->take();
    if (taken == nullptr) return fail(Errc::would_block, "no message waits");
    *message = taken.release();
    return {};
  });
}
int qudag_acknowledge(qudag_node* node, qudag_message* message, qudag_answer answer,
                      uint32_t delay_ms) {
  return call([&]() -> Status {
    if (node == nullptr || message == nullptr) return null();
    if (!message->in_hand) return fail(Errc::not_found, "it is not in hand");
    if (message->room.lock() != node->waiting) {
      return fail(Errc::invalid_argument, "it came to another node");
    }
    return answered(*node, *message, answer, std::chrono::milliseconds(delay_ms));
  });
}
void qudag_message_free(qudag_message* message) {
  if (message == nullptr) return;
  const auto room = message->in_hand ? message->room.lock() : nullptr;
  if (room) room->dropped(message->value);
  delete message;
}

size_t qudag_message_size(const qudag_message* message) {
  return message == nullptr ? 0 : message->value.payload.size();
}
size_t qudag_message_copy(const qudag_message* message, size_t offset, void* out, size_t bytes) {
  if (message == nullptr || out == nullptr) return 0;
  const Buffer& payload = message->value.payload;
  auto* to = static_cast<std::byte*>(out);
  size_t copied = 0;
  for (std::size_t i = 0; i < payload.piece_count() && copied < bytes; ++i) {
    std::span<const std::byte> piece = payload.piece(i);
    const std::size_t skipped = std::min(offset, piece.size());
    offset -= skipped;
    piece = piece.subspan(skipped);
    piece = piece.first(std::min(piece.size(), bytes - copied));
    if (!piece.empty()) std::memcpy(to + copied, piece.data(), piece.size());
    copied += piece.size();
  }
  return copied;
}
const void* qudag_message_piece(const qudag_message* message, size_t index, size_t* bytes) {
  const bool there = message != nullptr && index < message->value.payload.piece_count();
  const std::span<const std::byte> piece =
      there ? message->value.payload.piece(index) : std::span<const std::byte>{};
  if (bytes != nullptr) *bytes = piece.size();
  return piece.data();
}
int qudag_message_get_id(const qudag_message* message, qudag_message_id* id) {
  return call([&]() -> Status {
    if (message == nullptr || id == nullptr) return null();
    copy_id(message->value.id, *id);
    return {};
  });
}
qudag_priority qudag_message_priority(const qudag_message* message) {
  return message == nullptr ? QUDAG_NORMAL : static_cast<qudag_priority>(message->value.priority);
}
uint16_t qudag_message_channel(const qudag_message* message) {
  return message == nullptr ? uint16_t{0} : message->value.channel;
}
int qudag_message_sender(const qudag_message* message, char text[QUDAG_ID_TEXT_BYTES]) {
  if (message == nullptr || text == nullptr || !message->value.sender) return 0;
  const int error = call([&]() -> Status {
    copy_text(message->value.sender->to_string(), text, QUDAG_ID_TEXT_BYTES);
    return {};
  });
  return error == 0 ? 1 : 0;
}
int qudag_message_can_reply(const qudag_message* message) {
  return message != nullptr && message->value.reply_to ? 1 : 0;
}
int qudag_message_in_reply_to(const qudag_message* message, qudag_message_id* id) {
  if (message == nullptr || id == nullptr || !message->value.in_reply_to) return 0;
  copy_id(*message->value.in_reply_to, *id);
  return 1;
}

}  // extern "C"
