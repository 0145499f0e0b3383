// Records with their thread: what was said to be stored is there, whatever happens to the process
// or to the disk.
#include "record_kit.h"

#include "store/records.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <future>
#include <random>

namespace qudag::store::test {
namespace {

/// The wall clock of these tests stands still unless a test moves it.
struct Clocks {
  std::atomic<UnixSeconds> wall{kNow};
  Now now() const {
    return {TimePoint(std::chrono::steady_clock::now().time_since_epoch()), wall.load()};
  }
};

struct Lines {
  std::mutex mutex;
  std::string text;
  Log log{{.level = LogLevel::info, .sink = [this](LogLevel, std::string_view line) {
             const std::lock_guard lock(mutex);
             text += std::string(line) + "\n";
           }}};
  bool has(std::string_view what) {
    const std::lock_guard lock(mutex);
    return text.find(what) != std::string::npos;
  }
};

class One final : public NewRecord {
 public:
  using Done = std::move_only_function<void(AddEnd)>;
  One(RecordName record, std::vector<std::byte> bytes, Done done)
      : name_(std::move(record)), body_(std::move(bytes)), done_(std::move(done)) {}
  const RecordName& name() const override { return name_; }
  void body(std::vector<Bytes>& pieces) const override { pieces.push_back(body_); }
  std::uint64_t bytes() const override { return body_.size(); }
  void done(AddEnd end) override { done_(end); }

 private:
  RecordName name_;
  std::vector<std::byte> body_;
  Done done_;
};

struct Kept {
  explicit Kept(std::filesystem::path path, Quota quota = kAmple) : directory(std::move(path)) {
    auto opened = Records::open({.directory = directory,
                                 .quota = quota,
                                 .clock = [this] { return clocks.now(); },
                                 .retry = std::chrono::milliseconds(5),
                                 .sweep = std::chrono::milliseconds(20)},
                                lines.log);
    if (opened)
      records = std::move(*opened);
    else
      error = opened.error();
  }
  AddEnd add(std::uint32_t number, std::size_t bytes = 10) {
    std::promise<AddEnd> end;
    std::unique_ptr<NewRecord> record = std::make_unique<One>(
        name(number), body(number, bytes), [&](AddEnd how) { end.set_value(how); });
    EXPECT_TRUE(records->add(record));
    return end.get_future().get();
  }
  /// Numbers of the box, in order.
  std::vector<std::uint64_t> list() {
    std::promise<std::vector<std::uint64_t>> out;
    records->look([&](RecordFile* file) -> Status {
      std::vector<std::uint64_t> numbers;
      const auto heads = file->list(box("box"), 0, 100'000, kNow);
      for (const RecordHead& head : *heads) {
        numbers.push_back(head.number);
      }
      out.set_value(std::move(numbers));
      return {};
    });
    return out.get_future().get();
  }
  template <class State>
  void wait_for(State&& state) {
    while (!state(records->report())) std::this_thread::yield();
  }

  std::filesystem::path directory;
  Clocks clocks;
  Lines lines;
  std::unique_ptr<Records> records;
  std::optional<Error> error;
};

TEST(Records, AreThereAfterARestartAndGoneWhenTheyAreRemoved) {
  const TemporaryDirectory directory;
  {
    Kept kept(directory / "inbox");
    ASSERT_TRUE(kept.records) << kept.error->message();
    for (std::uint32_t i = 0; i < 10; ++i) EXPECT_EQ(kept.add(i), AddEnd::stored);
    EXPECT_EQ(kept.add(3), AddEnd::known);
    kept.records->remove(4);
  }
  Kept kept(directory / "inbox");
  EXPECT_EQ(kept.list().size(), 9u);
  EXPECT_EQ(kept.records->report().records, 9u);
  EXPECT_EQ(kept.add(3), AddEnd::known) << "number 4: it was taken before the restart";
}

TEST(Records, DirectoryAndFilesAreTheOwnersAlone) {
  const TemporaryDirectory directory;
  Kept kept(directory / "inbox");
  EXPECT_EQ(kept.add(1), AddEnd::stored);
  const auto mode = [&](const char* file) {
    struct stat info {};
    EXPECT_EQ(::stat((kept.directory / file).c_str(), &info), 0) << file;
    return info.st_mode & 0777;
  };
  EXPECT_EQ(mode("."), 0700u);
  for (const auto& entry : std::filesystem::directory_iterator(kept.directory)) {
    EXPECT_EQ(mode(entry.path().filename().c_str()), 0600u) << entry.path();
    EXPECT_FALSE(entry.path().string().ends_with("-shm"));
  }
}

TEST(Records, ManyShareACommit) {
  const TemporaryDirectory directory;
  Kept kept(directory / "inbox");
  std::promise<void> all;
  std::atomic<int> left{4'000};
  for (std::uint32_t i = 0; i < 4'000; ++i) {
    std::unique_ptr<NewRecord> record =
        std::make_unique<One>(name(i), body(i, 100), [&](AddEnd end) {
          EXPECT_EQ(end, AddEnd::stored);
          if (--left == 0) all.set_value();
        });
    while (!kept.records->add(record)) std::this_thread::yield();
  }
  all.get_future().get();
  EXPECT_LT(kept.records->report().commits, 2'000u);
  const auto numbers = kept.list();
  EXPECT_EQ(numbers.size(), 4'000u);
  EXPECT_TRUE(std::ranges::is_sorted(numbers));
}

TEST(Records, AQueueThatIsFullSaysSoAndAFullInboxToo) {
  const TemporaryDirectory directory;
  Kept kept(directory / "inbox", {.records_max = 2, .bytes_max = 1 << 20, .seen_max = 10});
  EXPECT_EQ(kept.add(1), AddEnd::stored);
  EXPECT_EQ(kept.add(2), AddEnd::stored);
  EXPECT_EQ(kept.add(3), AddEnd::full);
  // While a look holds the thread, what waits has a bound.
  std::promise<void> held, go;
  kept.records->look([&](RecordFile*) -> Status {
    held.set_value();
    go.get_future().wait();
    return {};
  });
  held.get_future().wait();
  std::size_t waiting = 0;
  for (; waiting <= kWaitingRecordsMax; ++waiting) {
    std::unique_ptr<NewRecord> record = std::make_unique<One>(name(100), body(1, 1), [](AddEnd) {});
    if (!kept.records->add(record)) {
      EXPECT_NE(record, nullptr) << "it is still the caller's";
      break;
    }
  }
  EXPECT_EQ(waiting, kWaitingRecordsMax);
  go.set_value();
}

TEST(Records, WhatExpiresIsRemovedAndSaid) {
  const TemporaryDirectory directory;
  Kept kept(directory / "inbox");
  EXPECT_EQ(kept.add(1), AddEnd::stored);
  kept.clocks.wall = kNow + 1'001;
  kept.wait_for([](const RecordsReport& report) { return report.expired == 1; });
  kept.wait_for([](const RecordsReport& report) { return report.records == 0; });
  EXPECT_TRUE(kept.lines.has("1 messages that nobody took in time are removed"));
}

TEST(Records, ADamagedFileIsKeptAsideSaidAndReplaced) {
  const TemporaryDirectory directory;
  { Kept(directory / "inbox").add(1); }
  std::ofstream(directory / "inbox" / "records", std::ios::binary) << "no database at all";
  {
    Kept kept(directory / "inbox");
    ASSERT_TRUE(kept.records) << kept.error->message();
    EXPECT_TRUE(kept.lines.has("the file is kept as records.bad-1800000000"));
    EXPECT_EQ(kept.add(1), AddEnd::stored);
    EXPECT_EQ(kept.records->report().replaced, 1u);
  }
  Kept kept(directory / "inbox");
  EXPECT_EQ(kept.list().size(), 1u);
}

TEST(Records, DamageThatIsFoundLaterIsToo) {
  const TemporaryDirectory directory;
  Kept kept(directory / "inbox");
  EXPECT_EQ(kept.add(1), AddEnd::stored);
  std::promise<void> found;
  kept.records->look([&](RecordFile*) -> Status {
    found.set_value();
    return fail(Errc::malformed, "a page is damaged");
  });
  found.get_future().wait();
  EXPECT_EQ(kept.add(1), AddEnd::stored) << "into the new file";
  EXPECT_TRUE(kept.lines.has("a page is damaged"));
  const auto numbers = kept.list();
  ASSERT_EQ(numbers.size(), 1u);
  EXPECT_GT(numbers[0], 1u)
      << "numbers are not used again: who has the old one in hand has no other";
}

TEST(Records, ADirectoryThatIsNotOursIsRefused) {
  const TemporaryDirectory directory;
  ASSERT_EQ(::mkdir((directory / "inbox").c_str(), 0755), 0);
  Kept open_to_others(directory / "inbox");
  ASSERT_TRUE(open_to_others.error);
  EXPECT_EQ(open_to_others.error->code, Errc::permission_denied);
  EXPECT_NE(open_to_others.error->detail.find("the inbox directory"), std::string::npos);
  ASSERT_EQ(::chmod((directory / "inbox").c_str(), 0700), 0);
  Kept first(directory / "inbox");
  ASSERT_TRUE(first.records);
  Kept second(directory / "inbox");
  ASSERT_TRUE(second.error);
  EXPECT_EQ(second.error->code, Errc::already_exists);
}

// ---- disks, each in a process of its own --------------------------------------------------------

constexpr int kNoNamespace = 77;

template <class F>
int in_child(F&& f) {
  const pid_t child = ::fork();
  if (child == 0) {
    f();
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void mount_small(const std::filesystem::path& at, unsigned long flags, const char* size) {
  if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
    ::_exit(kNoNamespace);
  }
  ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  if (::mount("tmpfs", at.c_str(), "tmpfs", flags, size) != 0) ::_exit(kNoNamespace);
}

TEST(Records, AFullDiskRefusesAndWhatWasStoredIsThereAndCanBeTaken) {
  const TemporaryDirectory directory;
  const int exit = in_child([&] {
    mount_small(directory.path(), 0, "size=512k,mode=0700");
    std::size_t stored = 0;
    {
      Kept kept(directory / "inbox");
      ASSERT_TRUE(kept.records) << kept.error->message();
      std::uint32_t i = 0;
      for (AddEnd end = AddEnd::stored; end == AddEnd::stored; ++i) {
        ASSERT_LT(i, 1'000u);
        end = kept.add(i, 5'000);
        stored += end == AddEnd::stored ? 1 : 0;
        EXPECT_TRUE(end == AddEnd::stored || end == AddEnd::failed);
      }
      EXPECT_TRUE(kept.records->report().failing);
      EXPECT_TRUE(kept.lines.has("it cannot be written"));
      EXPECT_EQ(kept.list().size(), stored);
    }
    EXPECT_GT(stored, 10u);
    Kept kept(directory / "inbox");
    ASSERT_TRUE(kept.records) << kept.error->message();
    ASSERT_EQ(kept.lines.text, "");
    EXPECT_EQ(kept.list().size(), stored);
  });
  if (exit == kNoNamespace) GTEST_SKIP() << "no namespaces";
  EXPECT_EQ(exit, 0);
}

TEST(Records, AReadOnlyDiskIsSaidAtTheStart) {
  const TemporaryDirectory directory;
  const int exit = in_child([&] {
    mount_small(directory.path(), MS_RDONLY, "size=512k,mode=0700");
    const Kept kept(directory.path());
    ASSERT_TRUE(kept.error);
    EXPECT_EQ(kept.error->code, Errc::permission_denied);
    EXPECT_NE(kept.error->detail.find("nothing can be written"), std::string::npos);
  });
  if (exit == kNoNamespace) GTEST_SKIP() << "no namespaces";
  EXPECT_EQ(exit, 0);
}

TEST(Records, ALimitOnFilesIsAFullDiskAndItGoesOnAfterwards) {
  const TemporaryDirectory directory;
  EXPECT_EQ(in_child([&] {
              std::signal(SIGXFSZ, SIG_IGN);
              Kept kept(directory / "inbox");
              EXPECT_EQ(kept.add(1), AddEnd::stored);
              rlimit most{};
              ::getrlimit(RLIMIT_FSIZE, &most);
              most.rlim_cur = 100'000;
              ::setrlimit(RLIMIT_FSIZE, &most);
              EXPECT_EQ(kept.add(2, 200'000), AddEnd::failed);
              EXPECT_TRUE(kept.records->report().failing);
              most.rlim_cur = most.rlim_max;
              ::setrlimit(RLIMIT_FSIZE, &most);
              EXPECT_EQ(kept.add(2, 200'000), AddEnd::stored);
              EXPECT_FALSE(kept.records->report().failing);
              EXPECT_TRUE(kept.lines.has("it can be written again"));
            }),
            0);
}

// ---- the process is killed ----------------------------------------------------------------------

/// Adds records as fast as it can and writes the number of each to `to` when it is said to be
/// stored.
[[noreturn]] void add_until_killed(const std::filesystem::path& directory, int to,
                                   std::uint32_t first) {
  Kept kept(directory);
  if (!kept.records) ::_exit(3);
  for (std::uint32_t i = first;; ++i) {
    std::unique_ptr<NewRecord> record =
        std::make_unique<One>(name(i), body(i, i % 3'000), [to, i](AddEnd end) {
          if (end != AddEnd::stored) ::_exit(4);
          if (::write(to, &i, sizeof i) != sizeof i) ::_exit(5);
        });
    while (!kept.records->add(record)) std::this_thread::yield();
  }
}

TEST(Records, AKilledProcessLosesNothingThatItSaid) {
  const TemporaryDirectory directory;
  std::mt19937 random(1'129);
  std::uint32_t first = 0;
  std::vector<std::uint32_t> told;
  for (int round = 0; round < 40; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) add_until_killed(directory / "inbox", ends[1], first);
    ::close(ends[1]);
    // Killed after so many were said, which is at a random moment of some group.
    const std::size_t most = 1 + random() % 300;
    std::uint32_t number = 0;
    for (std::size_t i = 0; i < most && ::read(ends[0], &number, sizeof number) == sizeof number;
         ++i) {
      told.push_back(number);
    }
    ::kill(child, SIGKILL);
    while (::read(ends[0], &number, sizeof number) == sizeof number) told.push_back(number);
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);
    first += 100'000;
  }
  const auto file = open(directory / "inbox" / "records");
  const auto heads = file->list(box("box"), 0, 1'000'000, kNow).value();
  std::vector<std::uint32_t> there;
  for (const RecordHead& head : heads) {
    there.push_back(load_be<std::uint32_t>(head.name.key.data()));
    EXPECT_EQ(read(*file, head).value(), body(there.back(), there.back() % 3'000));
  }
  std::ranges::sort(there);
  std::ranges::sort(told);
  EXPECT_GT(told.size(), 1'000u);
  EXPECT_TRUE(std::ranges::includes(there, told));
  EXPECT_EQ(std::ranges::adjacent_find(there), there.end()) << "none twice";
}

}  // namespace
}  // namespace qudag::store::test
