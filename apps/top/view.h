// What is on the screen: keys change a view, and figures are laid out by it. Pure.
#pragma once

#include "top/figures.h"

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace qudag::app {

/// Keys that are no character.
enum : int { kKeyUp = 0x110000, kKeyDown, kKeyPageUp, kKeyPageDown, kKeyHome, kKeyEnd };

inline constexpr std::size_t kScreenColumnsMax = 400;
inline constexpr std::size_t kScreenRowsMax = 200;
inline constexpr std::size_t kFilterMax = 64;

struct View {
  struct Order {
    std::optional<std::size_t> column;  ///< nothing: the table's own
    bool turned = false;
  };
  std::optional<Panel> panel;  ///< nothing: the overview
  std::array<Order, kPanelCount> orders;
  std::string filter;
  bool typing = false;  ///< the filter
  bool paused = false;
  bool help = false;
  bool quit = false;
  std::size_t scrolled = 0;
  std::chrono::milliseconds interval{1'000};
  std::string trouble;  ///< why the figures are old

  /// Whether the panel is on the screen, so that its figures are wanted.
  bool shows(Panel which) const;
};

/// What a key does. A key that means nothing does nothing.
void press(View& view, int key, const Figures& figures);

enum class Style : std::uint8_t { plain, faint, warn, alarm, title, head, chosen };

struct Span {
  std::string text;
  Style style = Style::plain;
};
using Line = std::vector<Span>;

struct Size {
  std::size_t columns = 100;
  std::size_t rows = 0;  ///< 0: as many as there are; panels of the overview have kOverviewRows
};
inline constexpr std::size_t kOverviewRows = 16;
/// From here on, the overview has two columns of panels.
inline constexpr std::size_t kTwoColumnsFrom = 150;

/// At most size.rows lines, none of them longer than size.columns.
/// Sets view.scrolled back where a list is shorter.
std::vector<Line> draw(const Figures& figures, View& view, Size size);

/// What --once prints: the overview, links and circuits, one below the other.
std::vector<Line> draw_all(const Figures& figures, Size size);

/// Without styles and spaces at the ends.
std::string text_of(const std::vector<Line>& lines);

}  // namespace qudag::app
