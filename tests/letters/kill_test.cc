// A keeper's disk of letters in a process that is killed in random moments, in the middle of
// commits: what was said to be stored is there, whatever the moment.
//
// Some kills by default; in full: QUDAG_KILLS=1000 build/dev/tests/letters/qudag_letters_test
// --gtest_filter='LettersKilled.*'. QUDAG_SEED chooses the moments. The last line has the figures.
#include "letters/disk.h"

#include <fmt/format.h>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <map>
#include <random>
#include <thread>

namespace qudag::node::test {
namespace {

using namespace std::chrono_literals;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// What the process says: a letter is stored, or was deleted since its receiver took it.
struct Said {
  wire::LetterId id{};
  std::uint64_t inbox = 0;
};

/// Leaves letters for many inboxes as fast as their commits go, and never ends.
[[noreturn]] void keep_letters(const std::filesystem::path& directory, int out,
                               std::uint64_t life) {
  Disk disk(directory);
  for (std::uint64_t i = 0; i < 64; ++i) disk.register_inbox(i);
  std::uint64_t number = life << 32;
  for (;;) {
    const std::uint64_t inbox = number % 64;
    const wire::LetterId id = letter_id(number++);
    while (!disk.put(inbox, id, wire::kHailBytes, [out, id, inbox](keeper::LetterEnd end) {
      if (end != keeper::LetterEnd::stored) return;
      const Said said{id, inbox};
      if (::write(out, &said, sizeof said) != sizeof said) ::_exit(1);
    })) {
      std::this_thread::sleep_for(100us);
    }
  }
}

TEST(LettersKilled, WhatWasSaidToBeStoredIsThere) {
  const Scratch scratch;
  const std::uint64_t kills = number_from("QUDAG_KILLS", 12);
  std::mt19937_64 random(number_from("QUDAG_SEED", 1));
  std::size_t stored = 0, gone = 0, changed = 0;
  for (std::uint64_t life = 1; life <= kills; ++life) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(ends[0]);
      keep_letters(scratch.path, ends[1], life);
    }
    ::close(ends[1]);
    // The first is waited for: a process that is killed before it began shows nothing.
    std::map<wire::LetterId, std::uint64_t> said;
    Said one;
    const auto read_one = [&] { return ::read(ends[0], &one, sizeof one) == sizeof one; };
    if (read_one()) said[one.id] = one.inbox;
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status)) << "it ended by itself";
    while (read_one()) said[one.id] = one.inbox;
    ::close(ends[0]);

    Disk disk(scratch.path);
    stored += said.size();
    std::map<std::uint64_t, std::set<wire::LetterId>> there;
    for (std::uint64_t inbox = 0; inbox < 64; ++inbox) there[inbox] = disk.all(inbox, changed);
    for (const auto& [id, inbox] : said) gone += there[inbox].contains(id) ? 0 : 1;
    for (std::uint64_t inbox = 0; inbox < 64; ++inbox) disk.take_all(inbox);
  }
  EXPECT_EQ(gone, 0u);
  EXPECT_EQ(changed, 0u);
  EXPECT_GE(stored, kills);
  fmt::print("{} kills; letters said to be stored {}, gone {}\n", kills, stored, gone);
}

}  // namespace
}  // namespace qudag::node::test
