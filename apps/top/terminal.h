// The terminal as a screen. The one place that knows ncurses.
#pragma once

#include "top/view.h"

#include <qudag/error.h>

#include <chrono>
#include <optional>

namespace qudag::app {

/// One at a time. Its end gives the terminal back as it was.
class Terminal {
 public:
  /// unsupported: standard output is no terminal, or nobody knows its kind (TERM).
  static Result<Terminal> open();
  Terminal(Terminal&& other) noexcept : open_(std::exchange(other.open_, false)) {}
  Terminal& operator=(Terminal&&) = delete;
  ~Terminal();

  Size size() const;
  void show(const std::vector<Line>& lines);
  /// A key, as press() takes it; nothing when none was pressed for so long, or the size changed.
  std::optional<int> key(std::chrono::milliseconds patience);

 private:
  Terminal() = default;
  bool open_ = true;
};

}  // namespace qudag::app
