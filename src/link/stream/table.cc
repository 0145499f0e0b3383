#include "link/stream/table.h"

namespace qudag::link {

void StreamTable::add(Stream& stream) {
  stream.all_next = all_;
  if (all_ != nullptr) all_->all_prev = &stream;
  all_ = &stream;
  ++size_;
}

void StreamTable::free(Stream& stream) {
  turns_.remove(stream);
  if (stream.in_report) drop_report(stream);
  (stream.all_prev != nullptr ? stream.all_prev->all_next : all_) = stream.all_next;
  if (stream.all_next != nullptr) stream.all_next->all_prev = stream.all_prev;
  --size_;
  delete &stream;
}

void StreamTable::free_all() {
  reports_ = nullptr;
  while (Stream* const stream = all_) {
    all_ = stream->all_next;
    turns_.remove(*stream);
    delete stream;
  }
  size_ = 0;
  turns_.remove(control_);
}

void StreamTable::set_level(Stream& stream, std::uint8_t level) {
  const bool waiting = stream.in_turn;
  turns_.remove(stream);
  stream.set_level(level);
  if (waiting) turns_.add(stream);
}

void StreamTable::add_report(Stream& stream) {
  if (stream.in_report) return;
  stream.in_report = true;
  stream.report_next = reports_;
  reports_ = &stream;
}

Stream* StreamTable::take_report() {
  Stream* const stream = reports_;
  if (stream == nullptr) return nullptr;
  reports_ = stream->report_next;
  stream->in_report = false;
  return stream;
}

void StreamTable::drop_report(Stream& stream) {
  Stream** at = &reports_;
  while (*at != &stream) at = &(*at)->report_next;
  *at = stream.report_next;
}

}  // namespace qudag::link
