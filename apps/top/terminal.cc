#include "top/terminal.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#define NCURSES_NOMACROS
#include <curses.h>

namespace qudag::app {
namespace {

enum Pair : short { kWarnPair = 1, kAlarmPair, kTitlePair };

attr_t attributes_of(Style style) {
  const auto coloured = [](short pair) {
    return has_colors() ? static_cast<attr_t>(COLOR_PAIR(pair)) : attr_t{A_NORMAL};
  };
  switch (style) {
    case Style::plain:
      return A_NORMAL;
    case Style::faint:
      return A_DIM;
    case Style::warn:
      return coloured(kWarnPair) | A_BOLD;
    case Style::alarm:
      return coloured(kAlarmPair) | A_BOLD;
    case Style::title:
      return coloured(kTitlePair) | A_BOLD;
    case Style::head:
      return A_UNDERLINE;
    case Style::chosen:
      return A_REVERSE;
  }
  return A_NORMAL;
}

int key_of(int code) {
  switch (code) {
    case KEY_UP:
      return kKeyUp;
    case KEY_DOWN:
      return kKeyDown;
    case KEY_PPAGE:
      return kKeyPageUp;
    case KEY_NPAGE:
      return kKeyPageDown;
    case KEY_HOME:
      return kKeyHome;
    case KEY_END:
      return kKeyEnd;
    case KEY_BACKSPACE:
      return 127;
    case KEY_ENTER:
      return '\n';
    default:
      return code;
  }
}

}  // namespace

Result<Terminal> Terminal::open() {
  if (::isatty(STDOUT_FILENO) == 0 || ::isatty(STDIN_FILENO) == 0) {
    return fail(Errc::unsupported, "top needs a terminal; --once prints a snapshot without one");
  }
  if (newterm(nullptr, stdout, stdin) == nullptr) {
    return fail(Errc::unsupported,
                "top does not know this kind of terminal (TERM); --once prints a snapshot");
  }
  set_escdelay(25);
  cbreak();
  noecho();
  curs_set(0);
  keypad(stdscr, true);
  if (has_colors()) {
    start_color();
    use_default_colors();
    init_pair(kWarnPair, COLOR_YELLOW, -1);
    init_pair(kAlarmPair, COLOR_RED, -1);
    init_pair(kTitlePair, COLOR_CYAN, -1);
  }
  return Terminal();
}

Terminal::~Terminal() {
  if (open_) endwin();
}

Size Terminal::size() const {
  return {static_cast<std::size_t>(std::max(1, getmaxx(stdscr))),
          static_cast<std::size_t>(std::max(1, getmaxy(stdscr)))};
}

void Terminal::show(const std::vector<Line>& lines) {
  werase(stdscr);
  for (std::size_t y = 0; y < lines.size(); ++y) {
    wmove(stdscr, static_cast<int>(y), 0);
    for (const Span& span : lines[y]) {
      wattrset(stdscr, static_cast<int>(attributes_of(span.style)));
      waddnstr(stdscr, span.text.data(), static_cast<int>(span.text.size()));
    }
  }
  wattrset(stdscr, A_NORMAL);
  wrefresh(stdscr);
}

std::optional<int> Terminal::key(std::chrono::milliseconds patience) {
  wtimeout(stdscr, static_cast<int>(patience.count()));
  const int code = wgetch(stdscr);
  if (code == ERR || code == KEY_RESIZE) return std::nullopt;
  return key_of(code);
}

}  // namespace qudag::app
