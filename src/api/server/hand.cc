#include "api/server/hand.h"

#include "api/server/hub.h"

#include <utility>

namespace qudag::api {

Hand::Hand(Hub& hub, std::shared_ptr<SubscriberQueue> queue)
    : hub_(hub), queue_(std::move(queue)), number_(crypto::SystemRng().u64()) {
  hub_.hands.insert_or_assign(number_, this);
}

Hand::~Hand() {
  leave();
  hub_.hands.erase(number_);
}

void Hand::free_places() {
  if (answered_.count() > 0) queue_->written(std::exchange(answered_, {}));
}

Hand::Kept Hand::keep(Message&& from) {
  auto message = std::make_shared<Message>(std::move(from));
  if (message->time_left().count() == 0) {
    answered_.add(*message);
    free_places();
    queue_->take_one_more();
    return {};
  }
  messages_.emplace_hint(messages_.end(), ++last_token_, message);
  return {last_token_, std::move(message)};
}

bool Hand::answer(const AcknowledgeRecord& record) {
  using Answer = AcknowledgeRecord::Answer;
  const auto at = messages_.find(record.token);
  if (at == messages_.end()) return false;
  std::shared_ptr<Message> message = std::move(at->second);
  messages_.erase(at);
  answered_.add(*message);
  if (record.answer == Answer::again) {
    free_places();  // it may come back at once
    if (hub_.left) hub_.left->put(std::move(message), record.delay);
  } else {
    const Accept answer = record.answer == Answer::taken ? Accept::taken : Accept::no_receiver;
    static_cast<void>(hub_.node.acknowledge(message->receipt, answer));
  }
  if (on_empty_ && messages_.empty()) on_empty_();
  return true;
}

void Hand::leave() {
  for (auto& [token, message] : std::exchange(messages_, {})) {
    if (hub_.left) hub_.left->put(std::move(message), {});
  }
}

}  // namespace qudag::api
