// No silent or wrong answer: every command with every flag, and every key, with values that nobody
// means. Commands and flags are those of `--help` and keys those of `--print-config`, so that a new
// one is walked without being listed here.
//
// An answer is one line that names the flag or key, an exit code of the reference page, and, with
// `--json`, an error object. It comes within seconds.
#include "run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

namespace qudag::app::test {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Words = std::vector<std::string>;

constexpr std::chrono::seconds kAnswerMax(5);
const std::string kNonsense = "n0nsense";
const std::string kHuge = "99999999999999999999999999";

struct Flag {
  std::string name;
  bool takes_value = false;
  std::string ordinary;  // its default, or something
};

struct Command {
  Words words;  // {"testnet", "run"}
  std::vector<Flag> flags;
  Words places;  // the required ones

  bool has(const std::string& flag) const {
    return std::ranges::any_of(flags, [&](const Flag& f) { return f.name == flag; });
  }
};

/// What a place takes.
std::string right_for(const Words& command, const std::string& place) {
  if (place == "listen") return "0";
  if (place == "name") return "alice";
  if (place == "service") return command.back() == "expose" ? "web=127.0.0.1:8080" : "web";
  return std::string(52, 'a');
}

Words joined(Words a, const Words& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::string text_of(const Words& words) {
  std::string out = "qudag";
  for (const std::string& word : words) out += " '" + word + "'";
  return out;
}

/// "  -n,--nodes NUMBER=6          How many"
Flag parse_flag(const std::string& line) {
  std::istringstream in(line);
  std::string names, kind;
  in >> names;
  Flag flag;
  flag.name = names.substr(names.find("--"));
  flag.name = flag.name.substr(0, flag.name.find(','));
  const std::size_t after = line.find(names) + names.size();
  flag.takes_value = after + 1 < line.size() && line[after] == ' ' &&
                     std::isupper(static_cast<unsigned char>(line[after + 1])) != 0;
  if (flag.takes_value) in >> kind;
  const std::size_t is = kind.find('=');
  flag.ordinary = is == std::string::npos ? "1" : kind.substr(is + 1);
  return flag;
}

/// The command and those below it.
void walk(const Words& words, std::vector<Command>& out) {
  const Ran help = run(joined(words, {"--help"}), {}, kAnswerMax);
  ASSERT_EQ(help.exit, 0) << text_of(words);
  Command command;
  command.words = words;
  std::istringstream in(help.out);
  std::string section, line;
  Words inner;
  while (std::getline(in, line)) {
    if (line.starts_with("Exit codes")) break;
    if (!line.empty() && line.front() != ' ') section = line;
    if (!line.starts_with("  ") || line.starts_with("   ")) continue;
    const std::string word = line.substr(2, line.find(' ', 2) - 2);
    if (section == "Subcommands:") {
      inner.push_back(word);
    } else if (section == "Positionals:") {
      if (line.contains("REQUIRED")) command.places.push_back(word);
    } else if (word.starts_with("-")) {
      command.flags.push_back(parse_flag(line));
    }
  }
  out.push_back(command);
  for (const std::string& one : inner) walk(joined(words, {one}), out);
}

/// Every key with its full name.
Words keys() {
  Words out;
  std::istringstream in(run({"node", "--print-config"}).out);
  std::string line, table;
  while (std::getline(in, line)) {
    if (line.starts_with("[")) table = line.substr(1, line.find(']') - 1) + ".";
    if (line.empty() || line.front() == '#' || line.front() == '[') continue;
    out.push_back(table + line.substr(0, line.find(' ')));
  }
  return out;
}

class Answers : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("QUDAG_SOCKET", "/nonexistent/qudag.sock", 1);
    walk({}, commands_);
    std::ifstream page(QUDAG_DOCS "/reference/exit-codes.md");
    for (std::string line; std::getline(page, line);) {
      if (line.size() > 4 && line.starts_with("| ") && line[3] == ' ' && std::isdigit(line[2])) {
        codes_.insert(line[2] - '0');
      }
    }
    ASSERT_EQ(codes_.size(), 7u);
  }
  void TearDown() override { ::unsetenv("QUDAG_SOCKET"); }

  /// Words that make the command end whatever is accepted.
  static Words ending(const Command& command, const std::string& flag) {
    const std::string& name = command.words.empty() ? flag : command.words.front();
    if (name == "send" || name == "ping") return {std::string(52, 'a')};
    if (name == "pipe" || name == "forward" || name == "expose" || name == "contact") {
      Words out;
      for (const std::string& place : command.places) {
        out.push_back(right_for(command.words, place));
      }
      return out;
    }
    if (name == "node" && flag != "--print-config") return {"--print-config"};
    return {};
  }

  Ran answer(const Words& words, bool json) {
    const Ran ran = run(words, {}, kAnswerMax);
    EXPECT_THAT(codes_, Contains(ran.exit)) << text_of(words) << "\n" << ran.err;
    EXPECT_NE(ran.exit, 1) << text_of(words) << "\n" << ran.err;
    if (ran.exit == 0) return ran;
    EXPECT_THAT(ran.err, StartsWith("qudag: ")) << text_of(words);
    EXPECT_EQ(std::ranges::count(ran.err, '\n'), 1) << text_of(words) << "\n" << ran.err;
    if (json) {
      EXPECT_THAT(ran.out, StartsWith("{\"error\":{\"code\":\"")) << text_of(words);
    }
    return ran;
  }

  std::vector<Command> commands_;
  std::set<int> codes_;
};

TEST_F(Answers, NameTheFlagWhateverItsValue) {
  std::size_t walked = 0;
  for (const Command& command : commands_) {
    for (const Flag& flag : command.flags) {
      if (!flag.takes_value) continue;
      const bool json = command.has("--json");
      Words begin = joined(command.words, ending(command, flag.name));
      if (json) begin.push_back("--json");
      begin.push_back(flag.name);
      for (const Words& end : {Words{}, Words{""}, Words{kHuge}, Words{"-3"}, Words{kNonsense},
                               Words{flag.ordinary, flag.name, flag.ordinary}}) {
        const Words words = joined(begin, end);
        const Ran ran = answer(words, json);
        ++walked;
        // These are names, and what is wrong is that there is no node.
        if (flag.name == "--name" && (end == Words{"-3"} || end == Words{kNonsense})) continue;
        // What is taken shows: a path may have any name.
        const std::string& said = ran.exit == 0 ? ran.out : ran.err;
        const std::size_t dot = flag.name.rfind('.');
        const std::string last = flag.name.substr(dot == std::string::npos ? 2 : dot + 1);
        EXPECT_THAT(said, HasSubstr(ran.exit == 0 ? "\n" + last + " = " : flag.name))
            << text_of(words);
        if (end.empty()) {
          EXPECT_EQ(ran.exit, 2) << text_of(words);
        } else if (ran.exit == 0) {
          EXPECT_THAT(said, HasSubstr(end[0]));
        }
      }
    }
  }
  EXPECT_GT(walked, 300u) << "the help has another form";
}

TEST_F(Answers, NameTheFlagThatWasMeant) {
  for (const Command& command : commands_) {
    for (const Flag& flag : command.flags) {
      const Words begin = joined(command.words, ending(command, flag.name));
      const std::string mistyped = flag.name.substr(0, flag.name.size() - 1);
      const Words words = joined(begin, {mistyped, "x"});
      const Ran ran = answer(words, false);
      EXPECT_EQ(ran.exit, 2) << text_of(words);
      EXPECT_THAT(ran.err, HasSubstr(mistyped + ": `")) << text_of(words);
      EXPECT_THAT(ran.err, HasSubstr("did you mean '" + flag.name + "'?")) << text_of(words);
      if (flag.takes_value || flag.name == "--help" || flag.name == "--version") continue;
      const Words valued = joined(begin, {flag.name + "=7"});
      EXPECT_THAT(answer(valued, false).err, HasSubstr(flag.name + ": takes no value"))
          << text_of(valued);
    }
  }
}

TEST_F(Answers, NameTheCommandAndThePlace) {
  for (const Command& command : commands_) {
    const Words& words = command.words;
    Words before = words;
    for (const std::string& place : command.places) {
      EXPECT_THAT(answer(before, false).err, HasSubstr(": " + place + ": takes "))
          << text_of(before);
      EXPECT_THAT(answer(joined(before, {""}), false).err, HasSubstr(": " + place + ": takes "))
          << text_of(before);
      before.push_back(right_for(words, place));
    }
    if (words.empty()) continue;
    Words mistyped = words;
    mistyped.back() += "x";
    EXPECT_THAT(answer(joined(mistyped, {"--json"}), true).err,
                HasSubstr("no such command; did you mean '" + words.back() + "'?"));
  }
}

TEST_F(Answers, NameTheKeyWhateverItsValue) {
  const Directory directory;
  const std::string file = directory / "q.toml";
  const Words all = keys();
  ASSERT_GT(all.size(), 30u);
  for (const std::string& key : all) {
    const std::string huge = key + " = " + kHuge;
    for (const std::string& text :
         {key + " =", key + " = \"\"", huge, key + " = -3", key + " = \"" + kNonsense + "\"",
          key + " = 1.5", key + " = {}", key + " = true\n" + key + " = true"}) {
      std::ofstream(file) << text << "\n";
      const Ran ran = answer({"node", "--print-config", "--config", file}, false);
      if (ran.exit == 0) {
        const std::string last = key.substr(key.rfind('.') + 1);
        EXPECT_THAT(ran.out, HasSubstr("\n" + last + text.substr(key.size()) + "\n")) << text;
      } else {
        EXPECT_EQ(ran.exit, 2) << text;
        EXPECT_THAT(ran.err, HasSubstr(file + ":")) << text;
        EXPECT_THAT(ran.err, HasSubstr(key)) << text;
      }
    }
  }
}

}  // namespace
}  // namespace qudag::app::test
