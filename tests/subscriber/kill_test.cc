// A subscriber has a thousand messages in hand and is killed with SIGKILL after it has handled k of
// them, before or after it acknowledged the last one; another one comes after it. What was
// acknowledged is what was handled, no message is lost, and an idempotent receiver has none twice.
//
// Ten values of k from 0 to 100 by default, which QUDAG_SEED chooses; all of them:
// QUDAG_KILLS=101 build/dev/tests/subscriber/qudag_subscriber_kill_test. The last line has the
// figures.
#include "api/two_nodes.h"
#include "app/run.h"
#include "subscriber/journal.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <numeric>
#include <random>
#include <set>

namespace qudag {
namespace {

constexpr std::uint64_t kMessages = 1'000;
constexpr std::uint64_t kKilledAfterMax = 100;
constexpr std::chrono::seconds kPatience{60};

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// What senders heard.
class Outcomes {
 public:
  void ended(std::uint64_t number, const Delivery& delivery) {
    const std::lock_guard lock(mutex_);
    if (delivery.outcome == Outcome::delivered) {
      delivered_.insert(number);
    } else if (others_.size() < 200) {
      others_ += fmt::format(" {}: {}", number, delivery.reason.message());
    }
    changed_.notify_all();
  }
  bool wait_for_delivered(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return delivered_.size() >= count; });
  }
  std::set<std::uint64_t> delivered() {
    const std::lock_guard lock(mutex_);
    return delivered_;
  }
  std::string others() {
    const std::lock_guard lock(mutex_);
    return others_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::uint64_t> delivered_;
  std::string others_;
};

class Killed : public api::test::TwoNodes {
 protected:
  std::unique_ptr<app::test::Process> subscriber(const std::string& journal,
                                                 std::uint64_t at_a_time, const std::string& moment,
                                                 std::uint64_t count) {
    auto process = std::make_unique<app::test::Process>(std::vector<std::string>{
        b_.socket, journal, std::to_string(at_a_time), moment, std::to_string(count)});
    EXPECT_EQ(process->line(), "subscribed");
    return process;
  }
  void send(const std::shared_ptr<Outcomes>& outcomes) {
    for (std::uint64_t number = 0; number < kMessages; ++number) {
      std::vector<std::byte> payload(8 + number % 256);
      store_be(payload.data(), number);
      const auto sent =
          a_.node->send(b_.node->id(), std::span<const std::byte>(payload), direct(),
                        [outcomes, number](const Delivery& end) { outcomes->ended(number, end); });
      ASSERT_TRUE(sent) << sent.error().message();
    }
  }
  static std::multiset<std::uint64_t> numbers(const std::string& journal) {
    std::multiset<std::uint64_t> out;
    for (const test::Handled& one : test::read_journal(journal)) out.insert(one.number);
    return out;
  }
  /// One subscriber dies after `k`, the next one takes the rest.
  void run(std::uint64_t k, bool acknowledges) {
    SCOPED_TRACE(fmt::format("killed after {}, {} it acknowledged the last one", k,
                             acknowledges ? "after" : "before"));
    const std::string journal = directory_.path() / fmt::format("{}-{}", k, acknowledges);
    const auto outcomes = std::make_shared<Outcomes>();
    auto first = subscriber(journal, kMessages, acknowledges ? "after" : "before", k);
    ASSERT_NO_FATAL_FAILURE(send(outcomes));
    EXPECT_EQ(first->wait(kPatience).exit, 128 + SIGKILL);
    const std::multiset<std::uint64_t> handled = numbers(journal);
    EXPECT_EQ(handled.size(), k);
    if (acknowledges) {
      EXPECT_TRUE(outcomes->wait_for_delivered(k));
      EXPECT_EQ(outcomes->delivered().size(), k);
    }
    EXPECT_TRUE(std::ranges::includes(handled, outcomes->delivered()));

    const auto second = subscriber(journal, 1, "never", 0);
    const bool all = outcomes->wait_for_delivered(kMessages);
    EXPECT_TRUE(all) << outcomes->delivered().size() << " delivered;" << outcomes->others();
    const std::multiset<std::uint64_t> at_last = numbers(journal);
    const std::set<std::uint64_t> delivered = outcomes->delivered();
    EXPECT_TRUE(std::ranges::equal(at_last, delivered)) << "acknowledged = handled, each once";
    acknowledged_ += delivered.size();
    handled_ += at_last.size();
    lost_ += kMessages - std::set(at_last.begin(), at_last.end()).size();
    doubled_ += at_last.size() - std::set(at_last.begin(), at_last.end()).size();
  }

  std::uint64_t acknowledged_ = 0, handled_ = 0, lost_ = 0, doubled_ = 0;
};

TEST_F(Killed, AfterEachNumberOfMessages) {
  std::vector<std::uint64_t> all(kKilledAfterMax + 1);
  std::iota(all.begin(), all.end(), 0u);
  std::mt19937_64 random(number_from("QUDAG_SEED", 1));
  std::ranges::shuffle(all, random);
  all.resize(std::min<std::size_t>(all.size(), number_from("QUDAG_KILLS", 10)));
  std::ranges::sort(all);
  for (const std::uint64_t k : all) {
    // Of none it acknowledges none.
    for (const bool acknowledges : {false, true}) {
      if (acknowledges && k == 0) continue;
      run(k, acknowledges);
      if (HasFatalFailure()) return;
    }
  }
  fmt::print("{} values of k: sent {}, acknowledged {}, handled {}, lost {}, doubled {}\n",
             all.size(), (2 * all.size() - (all.front() == 0 ? 1 : 0)) * kMessages, acknowledged_,
             handled_, lost_, doubled_);
}

}  // namespace
}  // namespace qudag
