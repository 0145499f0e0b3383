// The C interface of receivers and invitations, over the public Node alone.
#include "node/c/handles.h"

#include <chrono>
#include <string>
#include <utility>

using namespace qudag;  // NOLINT: what follows is the interface, not a place for names
using node::call, node::copy_text, node::null;

namespace {

constexpr std::size_t kIdText = QUDAG_ID_TEXT_BYTES;

}  // namespace

extern "C" {

void qudag_receiver_options_init(qudag_receiver_options* options) {
  if (options == nullptr) return;
  const ReceiverOptions defaults;
  *options = {.name = nullptr,
              .identity = nullptr,
              .identity_bytes = 0,
              .hidden = defaults.hidden ? 1 : 0,
              .keepers = static_cast<unsigned>(defaults.keepers)};
}

int qudag_open_receiver(qudag_node* node, const qudag_receiver_options* options,
                        char text[QUDAG_ID_TEXT_BYTES]) {
  return call([&]() -> Status {
    if (node == nullptr || text == nullptr) return null();
    ReceiverOptions how;
    if (options != nullptr) {
      if (options->identity == nullptr && options->identity_bytes > 0) return null();
      if (options->name != nullptr) how.name = options->name;
      const auto* const key = static_cast<const std::byte*>(options->identity);
      if (key != nullptr) how.identity_key.assign(key, key + options->identity_bytes);
      how.hidden = options->hidden != 0;
      how.keepers = options->keepers;
    }
    const auto opened = node->node->open_receiver(std::move(how), [](const Card&) {});
    if (!opened) return std::unexpected(opened.error());
    copy_text(opened->to_string(), text, kIdText);
    return {};
  });
}

int qudag_close_receiver(qudag_node* node, const char* id) {
  return call([&]() -> Status {
    if (node == nullptr || id == nullptr) return null();
    const auto whom = NodeId::parse(id);
    if (!whom) return std::unexpected(whom.error());
    node->node->close_receiver(*whom);
    return {};
  });
}

int qudag_invitation(const qudag_node* node, const char* id,
                     char text[QUDAG_INVITATION_TEXT_BYTES]) {
  return call([&]() -> Status {
    if (node == nullptr || id == nullptr || text == nullptr) return null();
    const auto whom = NodeId::parse(id);
    if (!whom) return std::unexpected(whom.error());
    for (const ReceiverStatus& one : node->node->receivers().get()) {
      if (!(one.id == *whom)) continue;
      if (one.invitation.places.empty()) {
        return fail(Errc::would_block, "no keeper has answered yet");
      }
      copy_text(one.invitation.to_string(), text, QUDAG_INVITATION_TEXT_BYTES);
      return {};
    }
    return fail(Errc::not_found, "no such receiver is open");
  });
}

int qudag_add_invitation(qudag_node* node, const char* invitation, char text[QUDAG_ID_TEXT_BYTES]) {
  return call([&]() -> Status {
    if (node == nullptr || invitation == nullptr || text == nullptr) return null();
    const auto parsed = Invitation::parse(invitation);
    if (!parsed) return std::unexpected(parsed.error());
    const Status added = node->node->add_invitation(*parsed);
    if (!added) return added;
    copy_text(parsed->receiver.to_string(), text, kIdText);
    return {};
  });
}

int qudag_remove_invitation(qudag_node* node, const char* id) {
  return call([&]() -> Status {
    if (node == nullptr || id == nullptr) return null();
    const auto whom = NodeId::parse(id);
    if (!whom) return std::unexpected(whom.error());
    node->node->remove_card(*whom);
    return {};
  });
}

int qudag_message_receiver(const qudag_message* message, char text[QUDAG_ID_TEXT_BYTES]) {
  if (message == nullptr || text == nullptr || !message->value.receiver) return 0;
  const int error = call([&]() -> Status {
    copy_text(message->value.receiver->to_string(), text, kIdText);
    return {};
  });
  return error == 0 ? 1 : 0;
}

}  // extern "C"
