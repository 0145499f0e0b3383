// A screen: 1 the state and the summary, 2 the panels' names, 3 panels, 4 a line of keys. A panel
// is laid out by leaving out columns until the rest fits, then cutting the widest.
#include "top/view.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace qudag::app {
namespace {

constexpr std::string_view kPanelNames[kPanelCount] = {"traffic", "time",  "pressures", "refusals",
                                                       "queues",  "links", "circuits"};
constexpr std::chrono::milliseconds kIntervalMin{250}, kIntervalMax{60'000};

constexpr std::string_view kHelp[] = {
    "1 to 8, Tab    overview, traffic, time, pressures, refusals, queues, links, circuits",
    "s, S           sort by the next, the previous column",
    "r              turn the order",
    "/              show only rows with this text; Enter keeps it, Escape drops it",
    "arrows, PgUp, PgDn, Home, End    move in a list",
    "+, -           twice as often, half as often",
    "p              pause",
    "q              quit",
};

std::size_t index(Panel panel) { return static_cast<std::size_t>(panel); }

// ---- Spans --------------------------------------------------------------------------------------

/// What does not fit ends with '~'.
std::string fitted(std::string_view text, std::size_t width) {
  if (text.size() <= width) return std::string(text);
  if (width == 0) return {};
  return std::string(text.substr(0, width - 1)) + "~";
}

std::size_t width_of(const Line& line) {
  return std::accumulate(line.begin(), line.end(), std::size_t{0},
                         [](std::size_t sum, const Span& span) { return sum + span.text.size(); });
}

void pad(Line& line, std::size_t width) {
  const std::size_t has = width_of(line);
  if (has < width) line.push_back({std::string(width - has, ' '), Style::plain});
}

Style style_of(Weight weight) {
  switch (weight) {
    case Weight::plain:
      return Style::plain;
    case Weight::faint:
      return Style::faint;
    case Weight::warn:
      return Style::warn;
    case Weight::alarm:
      return Style::alarm;
  }
  return Style::plain;
}

/// Pieces that fit one line, two spaces between them; those that do not are left out.
std::string joined(const std::vector<std::string>& pieces, std::size_t width) {
  std::string out;
  for (const std::string& piece : pieces) {
    const std::size_t need = out.size() + (out.empty() ? 0 : 2) + piece.size();
    if (need > width) continue;
    out += (out.empty() ? "" : "  ") + piece;
  }
  return out;
}

// ---- A panel ------------------------------------------------------------------------------------

using Row = std::vector<Cell>;

bool has_text(const Row& row, const std::string& text) {
  return text.empty() ||
         std::ranges::any_of(row, [&](const Cell& cell) { return cell.text.contains(text); });
}

std::vector<const Row*> rows_in_order(const Table& table, const View& view, Panel panel) {
  std::vector<const Row*> rows;
  for (const Row& row : table.rows) {
    if (has_text(row, view.filter)) rows.push_back(&row);
  }
  const View::Order& order = view.orders[index(panel)];
  const std::size_t by = order.column.value_or(table.sorted_by);
  if (by < table.columns.size()) {
    const bool numbers = table.columns[by].is_number;
    std::ranges::stable_sort(rows, [&](const Row* a, const Row* b) {
      if (order.turned) std::swap(a, b);
      return numbers ? (*a)[by].order > (*b)[by].order : (*a)[by].text < (*b)[by].text;
    });
  } else if (order.turned) {
    std::ranges::reverse(rows);
  }
  return rows;
}

struct Layout {
  std::vector<std::size_t> columns, widths;
};

/// Widths are those of all rows, so that columns stay where they are while a list is moved.
Layout layout(const Table& table, const std::vector<const Row*>& rows, std::size_t width) {
  Layout out;
  std::vector<std::size_t> wanted;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    std::size_t widest = table.columns[c].name.size() + 1;  // and a mark of the order
    for (const Row* row : rows) widest = std::max(widest, (*row)[c].text.size());
    wanted.push_back(widest);
    out.columns.push_back(c);
  }
  const auto total = [&] {
    std::size_t sum = out.columns.empty() ? 0 : out.columns.size() - 1;
    for (const std::size_t c : out.columns) sum += wanted[c];
    return sum;
  };
  while (total() > width) {
    auto last = out.columns.begin();
    for (auto c = last; c != out.columns.end(); ++c) {
      if (table.columns[*c].rank >= table.columns[*last].rank) last = c;
    }
    if (table.columns[*last].rank == 0 || out.columns.size() == 1) break;
    out.columns.erase(last);
  }
  while (total() > width) {
    const auto widest =
        std::ranges::max_element(out.columns, {}, [&](std::size_t c) { return wanted[c]; });
    if (wanted[*widest] <= 4) break;
    --wanted[*widest];
  }
  for (const std::size_t c : out.columns) out.widths.push_back(wanted[c]);
  return out;
}

Span placed(const std::string& text, std::size_t width, bool right, Style style) {
  const std::string cut = fitted(text, width);
  return {right ? fmt::format("{:>{}}", cut, width) : fmt::format("{:<{}}", cut, width), style};
}

/// Spans that fit in `width`.
Line cut_to(Line line, std::size_t width) {
  std::size_t used = 0;
  for (Span& span : line) {
    span.text.resize(std::min(span.text.size(), width - used));
    used += span.text.size();
  }
  return line;
}

/// Title, head and rows from `from` on, `rows_max` of them (0: all).
std::vector<Line> panel_lines(const Figures& figures, const View& view, Panel panel,
                              std::size_t width, std::size_t rows_max, std::size_t from) {
  const Table& table = figures.table(panel);
  const std::vector<const Row*> rows = rows_in_order(table, view, panel);
  const Layout at = layout(table, rows, width);
  const View::Order& order = view.orders[index(panel)];
  const std::size_t by = order.column.value_or(table.sorted_by);
  std::vector<Line> out;
  std::string title = table.title;
  if (!view.filter.empty()) title += fmt::format(", with \"{}\"", view.filter);
  const std::size_t end = rows_max == 0 ? rows.size() : std::min(rows.size(), from + rows_max);
  if (end - std::min(from, end) < rows.size()) {
    title += fmt::format(" ({} to {} of {})", from + 1, end, rows.size());
  }
  out.push_back({{fitted(title, width), Style::title}});
  if (rows.empty()) {
    out.push_back({{fitted(table.nothing.empty() ? "none" : table.nothing, width), Style::faint}});
    return out;
  }
  Line head;
  for (std::size_t i = 0; i < at.columns.size(); ++i) {
    const Column& column = table.columns[at.columns[i]];
    const char* mark = at.columns[i] != by ? "" : order.turned == column.is_number ? "^" : "v";
    if (i > 0) head.push_back({" ", Style::head});
    head.push_back(placed(column.name + mark, at.widths[i], column.is_number, Style::head));
  }
  out.push_back(cut_to(std::move(head), width));
  for (std::size_t r = from; r < end; ++r) {
    Line line;
    for (std::size_t i = 0; i < at.columns.size(); ++i) {
      const Cell& cell = (*rows[r])[at.columns[i]];
      if (i > 0) line.push_back({" ", Style::plain});
      line.push_back(placed(cell.text, at.widths[i], table.columns[at.columns[i]].is_number,
                            style_of(cell.weight)));
    }
    out.push_back(cut_to(std::move(line), width));
  }
  return out;
}

// ---- The overview -------------------------------------------------------------------------------

/// Panels one below the other in so many lines (0: without bound): all get the same number of rows
/// at most; the last ones are left out where not even one row each fits.
std::vector<Line> stack(const Figures& figures, const View& view, std::vector<Panel> panels,
                        std::size_t width, std::size_t height) {
  const auto all = [&](std::size_t rows) {
    std::vector<Line> out;
    for (const Panel panel : panels) {
      if (!out.empty()) out.emplace_back();
      for (Line& line : panel_lines(figures, view, panel, width, rows, 0)) {
        out.push_back(std::move(line));
      }
    }
    return out;
  };
  if (height == 0) return all(kOverviewRows);
  for (std::size_t rows = kOverviewRows; rows > 0; --rows) {
    std::vector<Line> out = all(rows);
    if (out.size() <= height) return out;
    if (rows > 4) continue;
    // Rather fewer panels than panels of three rows.
    while (panels.size() > 1 && out.size() > height && rows == 4) {
      panels.pop_back();
      out = all(rows);
    }
    if (out.size() <= height) return out;
  }
  std::vector<Line> out = all(1);
  out.resize(std::min(out.size(), height));
  return out;
}

std::vector<Line> overview(const Figures& figures, const View& view, std::size_t width,
                           std::size_t height) {
  if (width < kTwoColumnsFrom) {
    return stack(figures, view,
                 {Panel::classes, Panel::pressures, Panel::latency, Panel::refusals, Panel::queues},
                 width, height);
  }
  const std::size_t left_width = (width - 3) * 45 / 100, right_width = width - 3 - left_width;
  std::vector<Line> left =
      stack(figures, view, {Panel::classes, Panel::latency, Panel::refusals}, left_width, height);
  std::vector<Line> right =
      stack(figures, view, {Panel::pressures, Panel::queues}, right_width, height);
  left.resize(std::max(left.size(), right.size()));
  right.resize(left.size());
  for (std::size_t i = 0; i < left.size(); ++i) {
    pad(left[i], left_width + 3);
    left[i].insert(left[i].end(), right[i].begin(), right[i].end());
  }
  return left;
}

Line names(const View& view, std::size_t width) {
  Line out;
  for (std::size_t i = 0; i <= kPanelCount; ++i) {
    const bool chosen = i == 0 ? !view.panel : view.panel && index(*view.panel) == i - 1;
    const std::string_view name = i == 0 ? "overview" : kPanelNames[i - 1];
    if (i > 0) out.push_back({" ", Style::plain});
    out.push_back({fmt::format("{} {}", i + 1, name), chosen ? Style::chosen : Style::faint});
  }
  if (width_of(out) <= width) return out;
  const std::string name(view.panel ? kPanelNames[index(*view.panel)] : "overview");
  return {{fitted(name, width), Style::chosen}};
}

std::vector<Line> head(const Figures& figures, const View& view, std::size_t width) {
  std::vector<Line> out;
  out.push_back({{fitted("qudag top, " + figures.state, width), Style::title}});
  out.push_back({{joined(figures.summary, width), Style::plain}});
  out.push_back(names(view, width));
  out.emplace_back();
  return out;
}

Line foot(const View& view, std::size_t width) {
  if (view.typing) return {{fitted("/" + view.filter + "_", width), Style::chosen}};
  if (!view.trouble.empty()) return {{fitted(view.trouble, width), Style::alarm}};
  std::vector<std::string> pieces{"q quit", "? help", "s sort", "r turn", "/ filter", "p pause"};
  if (view.paused) pieces.insert(pieces.begin(), "PAUSED");
  pieces.push_back(
      fmt::format("+ - every {:.4g} s", std::chrono::duration<double>(view.interval).count()));
  return {{joined(pieces, width), Style::faint}};
}

// ---- Keys ---------------------------------------------------------------------------------------

void type(View& view, int key) {
  if (key == '\n' || key == '\r') {
    view.typing = false;
  } else if (key == 27) {
    view.typing = false;
    view.filter.clear();
  } else if (key == 127 || key == 8) {
    if (!view.filter.empty()) view.filter.pop_back();
  } else if (key >= ' ' && key < 127 && view.filter.size() < kFilterMax) {
    view.filter += static_cast<char>(key);
  }
  view.scrolled = 0;
}

void choose(View& view, std::size_t number) {  // 0: the overview
  view.panel = number == 0 ? std::optional<Panel>() : static_cast<Panel>(number - 1);
  view.scrolled = 0;
}

void sort_by(View& view, std::size_t columns, bool next) {
  // One place of the circle is the table's own order.
  View::Order& order = view.orders[index(*view.panel)];
  const std::size_t all = columns + 1, at = order.column ? *order.column + 1 : 0;
  const std::size_t to = (at + (next ? 1 : all - 1)) % all;
  order.column = to == 0 ? std::optional<std::size_t>() : to - 1;
}

/// Keys that are about one panel.
void press_in_panel(View& view, int key, const Table& table) {
  if (key == 'r') view.orders[index(*view.panel)].turned ^= true;
  if (key == 's' || key == 'S') sort_by(view, table.columns.size(), key == 's');
}

}  // namespace

bool View::shows(Panel which) const { return panel == which; }

void press(View& view, int key, const Figures& figures) {
  if (view.typing) return type(view, key);
  if (view.help) {
    view.help = false;
    return;
  }
  const std::size_t at = view.panel ? index(*view.panel) + 1 : 0;
  constexpr std::size_t kPage = 10;
  switch (key) {
    case 'q':
      view.quit = true;
      break;
    case '?':
    case 'h':
      view.help = true;
      break;
    case 'p':
      view.paused = !view.paused;
      break;
    case '\t':
      choose(view, (at + 1) % (kPanelCount + 1));
      break;
    case '/':
      view.typing = true;
      break;
    case 27:
      view.filter.clear();
      break;
    case '+':
      view.interval = std::max(view.interval / 2, kIntervalMin);
      break;
    case '-':
      view.interval = std::min(view.interval * 2, kIntervalMax);
      break;
    case kKeyDown:
      ++view.scrolled;
      break;
    case kKeyUp:
      view.scrolled -= std::min<std::size_t>(view.scrolled, 1);
      break;
    case kKeyPageDown:
      view.scrolled += kPage;
      break;
    case kKeyPageUp:
      view.scrolled -= std::min(view.scrolled, kPage);
      break;
    case kKeyHome:
      view.scrolled = 0;
      break;
    case kKeyEnd:
      view.scrolled = SIZE_MAX / 2;
      break;
    default:
      if (view.panel) press_in_panel(view, key, figures.table(*view.panel));
      if (key >= '1' && key <= '8') choose(view, static_cast<std::size_t>(key - '1'));
  }
}

std::vector<Line> draw(const Figures& figures, View& view, Size size) {
  const std::size_t width = std::clamp<std::size_t>(size.columns, 1, kScreenColumnsMax);
  const std::size_t height = std::min(size.rows, kScreenRowsMax);
  std::vector<Line> out = head(figures, view, width);
  const std::size_t used = out.size() + 1;  // and the foot
  const std::size_t room = height == 0 ? 0 : height > used ? height - used : 1;
  std::vector<Line> body;
  if (view.help) {
    for (const std::string_view line : kHelp) body.push_back({{fitted(line, width), Style::plain}});
  } else if (!view.panel) {
    body = overview(figures, view, width, room);
  } else {
    const std::size_t rows = room > 2 ? room - 2 : room;
    const std::size_t all = rows_in_order(figures.table(*view.panel), view, *view.panel).size();
    view.scrolled = std::min(view.scrolled, all > rows && rows > 0 ? all - rows : 0);
    body = panel_lines(figures, view, *view.panel, width, rows, view.scrolled);
  }
  if (room > 0) body.resize(room);
  for (Line& line : body) out.push_back(std::move(line));
  if (height == 0) return out;
  out.push_back(foot(view, width));
  if (out.size() > height) out.erase(out.begin(), out.end() - static_cast<std::ptrdiff_t>(height));
  return out;
}

std::vector<Line> draw_all(const Figures& figures, Size size) {
  View view;
  size.rows = 0;
  std::vector<Line> out = draw(figures, view, size);
  out.erase(out.begin() + 2);  // the panels' names
  for (const Panel panel : {Panel::links, Panel::circuits}) {
    out.emplace_back();
    for (Line& line : panel_lines(figures, view, panel, size.columns, kOverviewRows, 0)) {
      out.push_back(std::move(line));
    }
  }
  return out;
}

std::string text_of(const std::vector<Line>& lines) {
  std::string out;
  for (const Line& line : lines) {
    std::string text;
    for (const Span& span : line) text += span.text;
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  }
  return out;
}

}  // namespace qudag::app
