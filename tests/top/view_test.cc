// Keys, and what stands on a screen.
#include "top/view.h"
#include "samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace qudag::app::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Figures some() {
  std::string peers;
  for (int i = 0; i < 50; ++i) {
    peers += std::string(i > 0 ? "," : "") + R"({"address":"192.0.2.)" + std::to_string(i) +
             R"(:4433","state":"ready","dialed":true,"circuits":)" + std::to_string(i % 7) +
             R"(,"id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})";
  }
  const Sample one = sample(
      1, "qudag_links_refused_total{reason=\"rate\"} 5\n", "", "{\"peers\":[" + peers + "]}", "",
      R"({"joined":true,"uptime_us":90061000000,"nodes_known":41,"relays_known":33,"links":3})");
  return figures(one, one, nullptr);
}

/// Line by line, after keys.
std::string screen(const std::string& keys, Size size, View view = {}) {
  const Figures f = some();
  for (const char key : keys) press(view, key, f);
  return text_of(draw(f, view, size));
}

std::string line(const std::string& text, std::size_t number) {
  std::istringstream in(text);
  std::string out;
  for (std::size_t i = 0; i <= number; ++i) std::getline(in, out);
  return out;
}

TEST(View, KeysChooseAPanel) {
  EXPECT_THAT(screen("", {100, 40}), HasSubstr("traffic by priority"));
  EXPECT_THAT(screen("7", {100, 40}), HasSubstr("links (1 to 33 of 50)"));
  EXPECT_THAT(screen("7", {100, 40}), Not(HasSubstr("traffic by priority")));
  EXPECT_THAT(screen("\t\t\t\t", {100, 40}), HasSubstr("refused"));
  EXPECT_THAT(screen("71", {100, 40}), HasSubstr("traffic by priority"));
  EXPECT_THAT(screen("?", {100, 40}), HasSubstr("turn the order"));
  EXPECT_THAT(screen("?x", {100, 40}), Not(HasSubstr("turn the order")));
}

TEST(View, RowsAreSortedByTheColumnThatAKeyChose) {
  EXPECT_THAT(line(screen("7ssss", {100, 40}), 6), HasSubstr(" 6 "));  // circuits, most first
  EXPECT_THAT(line(screen("7ssssr", {100, 40}), 6), HasSubstr(" 0 "));
  EXPECT_THAT(line(screen("7s", {100, 40}), 6), HasSubstr("192.0.2.0:"));  // the address
  EXPECT_THAT(line(screen("7sr", {100, 40}), 6), HasSubstr("192.0.2.9:"));
  EXPECT_THAT(line(screen("7sr", {100, 40}), 5), HasSubstr("addressv "));
  EXPECT_EQ(screen("7sS", {100, 40}), screen("7", {100, 40}));
}

TEST(View, AFilterLeavesRowsThatHaveItsText) {
  const std::string found = screen("7/.49:\n", {100, 40});
  EXPECT_THAT(found, HasSubstr("links, with \".49:\"\n"));
  EXPECT_THAT(found, HasSubstr("192.0.2.49:4433"));
  EXPECT_THAT(found, Not(HasSubstr("192.0.2.48:4433")));
  EXPECT_THAT(screen("7/.4", {100, 40}), HasSubstr("\n/.4_\n")) << "while it is typed";
  EXPECT_THAT(screen("7/q", {100, 40}), Not(HasSubstr("q quit"))) << "a letter is a letter";
  EXPECT_EQ(screen("7/.49\x1b", {100, 40}), screen("7", {100, 40}));
  EXPECT_EQ(screen("7/.49\x7f\x7f\x7f\n", {100, 40}), screen("7", {100, 40}));
  EXPECT_THAT(screen("7/nobody\n", {100, 40}), HasSubstr("none"));
}

TEST(View, AListMovesToItsEndAndNoFurther) {
  const Figures f = some();
  View view;
  press(view, '7', f);
  press(view, kKeyEnd, f);
  const std::string end = text_of(draw(f, view, {100, 40}));
  EXPECT_THAT(end, HasSubstr("links (18 to 50 of 50)"));
  press(view, kKeyDown, f);
  EXPECT_EQ(text_of(draw(f, view, {100, 40})), end);
  press(view, kKeyUp, f);
  EXPECT_THAT(text_of(draw(f, view, {100, 40})), HasSubstr("links (17 to 49 of 50)"));
  press(view, kKeyPageUp, f);
  press(view, kKeyHome, f);
  EXPECT_THAT(text_of(draw(f, view, {100, 40})), HasSubstr("links (1 to 33 of 50)"));
}

TEST(View, TheIntervalStaysWithinItsBounds) {
  const Figures f = some();
  View view;
  for (int i = 0; i < 20; ++i) press(view, '+', f);
  EXPECT_EQ(view.interval, std::chrono::milliseconds(250));
  for (int i = 0; i < 20; ++i) press(view, '-', f);
  EXPECT_EQ(view.interval, std::chrono::minutes(1));
  press(view, 'q', f);
  EXPECT_TRUE(view.quit);
}

/// Every size of a screen, with every panel: nothing is wider or longer, and the panel's first
/// column is there.
TEST(View, EveryScreenFitsItsSize) {
  const Figures f = some();
  for (std::size_t columns = 1; columns <= 220; columns += columns < 20 ? 1 : 25) {
    for (const std::size_t rows : {1, 2, 3, 5, 8, 13, 24, 60, 300}) {
      for (char panel = '1'; panel <= '8'; ++panel) {
        View view;
        press(view, panel, f);
        const auto lines = draw(f, view, {columns, rows});
        ASSERT_LE(lines.size(), rows);
        for (const Line& one : lines) {
          std::size_t width = 0;
          for (const Span& span : one) width += span.text.size();
          ASSERT_LE(width, columns) << text_of(lines);
        }
      }
    }
  }
  EXPECT_THAT(screen("7", {24, 20}), HasSubstr("192.0.2.0"));
  EXPECT_THAT(screen("7", {40, 20}), Not(HasSubstr("aaaa"))) << "ids go first";
  EXPECT_THAT(screen("7", {150, 20}), HasSubstr("aaaa"));
}

// ---- The screens of the guide -------------------------------------------------------------------

std::string file(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// A relay of a network of six under load, as it was recorded.
Sample recorded(const std::string& name, double seconds) {
  const auto part = [&](const char* kind) {
    return file(QUDAG_TEST_DATA "/recorded/" + name + "." + kind);
  };
  return sample(seconds, part("metrics"), part("queues"), part("peers"), part("circuits"),
                part("status"));
}

/// docs/guide/screens shows what this program draws. QUDAG_WRITE_SCREENS=1 writes it anew.
TEST(View, TheGuideShowsTheScreens) {
  const Sample before = recorded("first", 0), now = recorded("second", 1);
  const Figures f = figures(now, before, nullptr);
  struct Screen {
    const char* name;
    const char* keys;
    Size size;
  };
  for (const Screen& one : {Screen{"top-100", "", {100, 46}}, Screen{"top-200", "", {200, 40}},
                            Screen{"top-links-100", "7", {100, 14}},
                            Screen{"top-circuits-100", "8/relay\n", {100, 14}}}) {
    View view;
    for (const char* key = one.keys; *key != 0; ++key) press(view, *key, f);
    const std::string drawn = text_of(draw(f, view, one.size));
    const std::string path = std::string(QUDAG_DOCS "/guide/screens/") + one.name + ".txt";
    if (std::getenv("QUDAG_WRITE_SCREENS") != nullptr) std::ofstream(path) << drawn;
    EXPECT_EQ(file(path), drawn) << path;
  }
}

}  // namespace
}  // namespace qudag::app::test
