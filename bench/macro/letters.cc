// letters: a keeper's disk. Deposits of 1 KiB, each a letter of the least size, as many under way
// as a keeper lets; how many a second are on the disk for good, and how long one takes until it is
// said to be stored.
#include "scenarios.h"

#include "keeper/letters/letter_room.h"
#include "node/letters/letter_records.h"
#include "runtime/clock.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <mutex>
#include <thread>
#include <utility>

namespace qudag::app::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kInboxes = 4'096;
/// What waits for a commit at a time, in the first run and in the second.
constexpr std::size_t kUnderWayMany = 2'000, kUnderWayFew = 64;

struct Rate {
  double per_second = 0;
  double p50_ms = 0;
};

wire::InboxId inbox_of(std::uint64_t number) {
  wire::InboxId out{};
  store_be(out.data(), number);
  return out;
}

class Disk {
 public:
  explicit Disk(const std::filesystem::path& directory)
      : room_({.under_way = std::uint64_t{64} << 20}, 1, nullptr) {
    auto records = node::LetterRecords::open({.directory = directory,
                                              .bytes = room_.bounds().node_bytes,
                                              .inboxes = kInboxes,
                                              .clock = runtime::system_now},
                                             room_, log_);
    if (!records) return;
    records_ = std::move(*records);
    room_.attach(*records_, [](unsigned) { return true; });
    for (std::uint64_t i = 0; i < kInboxes; ++i) {
      boxes_.push_back(keeper::box_of(inbox_of(i)));
      static_cast<void>(room_.registered(boxes_.back(), {}, runtime::system_now().unix_seconds));
    }
  }
  bool open() const { return records_ != nullptr; }

  Rate run(double seconds, std::size_t under_way_max) {
    std::atomic<std::size_t> under_way{0};
    std::mutex mutex;
    std::vector<double> took_ms;
    const auto began = Clock::now();
    const auto end =
        began + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    while (Clock::now() < end) {
      if (under_way.load() >= under_way_max) {
        std::this_thread::sleep_for(50us);
        continue;
      }
      const std::uint64_t number = next_++;
      const keeper::LetterBox& box = boxes_[number % kInboxes];
      if (room_.reserve(box, wire::kHailBytes) != keeper::LetterRoom::Place::ok) break;  // full
      const UnixSeconds now = runtime::system_now().unix_seconds;
      keeper::LetterRow row;
      row.box = box;
      row.expires = now + 604'800;
      row.resent = now + 1'200;
      store_be(row.id.data(), number);
      row.sealed.assign(wire::kHailBytes, static_cast<std::byte>(number));
      ++under_way;
      const auto asked = Clock::now();
      const bool taken = records_->put(std::move(row), [&, box, asked](keeper::LetterEnd how) {
        room_.ended(box, wire::kHailBytes, how);
        if (how == keeper::LetterEnd::stored) {
          const std::lock_guard lock(mutex);
          took_ms.push_back(
              std::chrono::duration<double, std::milli>(Clock::now() - asked).count());
        }
        --under_way;
      });
      if (taken) continue;
      --under_way;
      room_.ended(box, wire::kHailBytes, keeper::LetterEnd::failed);
    }
    while (under_way.load() > 0) std::this_thread::sleep_for(1ms);
    const double whole = std::chrono::duration<double>(Clock::now() - began).count();
    const std::lock_guard lock(mutex);
    return {.per_second = static_cast<double>(took_ms.size()) / whole,
            .p50_ms = took_ms.empty() ? 0 : median_of(took_ms)};
  }

 private:
  Log log_{{.level = LogLevel::off, .sink = {}}};
  keeper::LetterRoom room_;
  std::unique_ptr<node::LetterRecords> records_;
  std::vector<keeper::LetterBox> boxes_;
  std::uint64_t next_ = 1;
};

}  // namespace

Status letters_scenario(const BenchArgs& args, Results& out) {
  std::vector<double> rate, wait, wait_few;
  for (unsigned run = 0; run < args.runs; ++run) {
    std::string name = (std::filesystem::temp_directory_path() / "qudag-bench-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) return fail(Errc::io_error, "mkdtemp");
    {
      Disk disk(name);
      if (!disk.open()) return fail(Errc::io_error, "the records cannot be opened");
      const Rate many = disk.run(args.seconds, kUnderWayMany);
      const Rate few = disk.run(args.seconds, kUnderWayFew);
      rate.push_back(many.per_second);
      wait.push_back(many.p50_ms);
      wait_few.push_back(few.p50_ms);
    }
    std::filesystem::remove_all(name);
  }
  out.add("letters_stored", "1/s", true).runs = rate;
  out.add("letters_stored_p50", "ms", false).runs = wait;
  out.add("letters_stored_p50_64", "ms", false).runs = wait_few;
  out.note(fmt::format("letters: the keeper's disk alone, in {}; 2,000 under way, then 64",
                       std::filesystem::temp_directory_path().string()));
  return {};
}

}  // namespace qudag::app::bench
