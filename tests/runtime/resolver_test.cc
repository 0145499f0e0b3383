// Names are looked up on threads that nobody waits for (runtime/resolver.h).
#include "runtime/resolver.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

namespace qudag::runtime {
namespace {

using namespace std::chrono_literals;

/// Runs what it is given at once, on whatever thread; so many places.
class Home final : public Executor {
 public:
  explicit Home(std::size_t places = 100) : places_(places) {}
  bool post(std::function<void(Now)> task) override {
    task({});
    return true;
  }
  std::size_t places() {
    const std::lock_guard lock(mutex_);
    return places_;
  }
  bool wait_for_places(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 30s, [&] { return places_ == count; });
  }

 private:
  bool keep() override {
    const std::lock_guard lock(mutex_);
    if (places_ == 0) return false;
    --places_;
    return true;
  }
  void give_back() override {
    const std::lock_guard lock(mutex_);
    ++places_;
    changed_.notify_all();
  }
  void post_kept(std::function<void(Now)> task) override {
    task({});
    give_back();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t places_;
};

TEST(Resolver, FindsTheAddressesOfThisMachinesName) {
  const Addresses found = Resolver::system_lookup("localhost", 4433);
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_NE(std::ranges::find(*found, SocketAddress::v4(127, 0, 0, 1, 4433)), found->end());
}

TEST(Resolver, SaysWhyThereIsNone) {
  const Addresses found = Resolver::system_lookup("nobody.invalid", 1);  // RFC 6761, 6.4
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::unreachable);
  EXPECT_EQ(found.error().detail.find("nobody.invalid: "), 0u) << found.error().detail;
}

TEST(Resolver, AnswersOnTheShardThatAsked) {
  Home home;
  std::string name;
  std::optional<Addresses> answer;
  Resolver resolver([&](const std::string& asked, std::uint16_t port) -> Addresses {
    name = asked;
    return std::vector{SocketAddress::v4(192, 0, 2, 1, port)};
  });
  EXPECT_TRUE(
      resolver.ask("relay.example", 7, home, [&](Addresses found, Now) { answer = found; }));
  ASSERT_TRUE(home.wait_for_places(100));
  EXPECT_EQ(name, "relay.example");
  EXPECT_EQ(answer->value().at(0), SocketAddress::v4(192, 0, 2, 1, 7));
}

/// A lookup that ends when it may.
struct Slow {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
  unsigned ended = 0;

  Addresses operator()() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return open; });
    ++ended;
    changed.notify_all();
    return fail(Errc::unreachable, "late");
  }
  void let_go(unsigned count) {
    std::unique_lock lock(mutex);
    open = true;
    changed.notify_all();
    changed.wait(lock, [&] { return ended == count; });
  }
};

TEST(Resolver, IsBoundedAndNobodyWaitsForASlowOne) {
  Home home;
  const auto slow = std::make_shared<Slow>();
  bool answered = false;
  {
    Resolver resolver([slow](const std::string&, std::uint16_t) { return (*slow)(); });
    for (std::size_t i = 0; i < Resolver::kUnderWayMax; ++i) {
      EXPECT_TRUE(
          resolver.ask("a.example", 1, home, [&](const Addresses&, Now) { answered = true; }));
    }
    EXPECT_FALSE(resolver.ask("b.example", 1, home, {}));
  }  // ends at once
  EXPECT_EQ(home.places(), 100u) << "the places are given back";
  slow->let_go(Resolver::kUnderWayMax);
  EXPECT_FALSE(answered);
}

TEST(Resolver, AsksNothingWithoutAPlaceForTheAnswer) {
  Home home(0);
  Resolver resolver(
      [](const std::string&, std::uint16_t) -> Addresses { return fail(Errc::internal); });
  EXPECT_FALSE(resolver.ask("a.example", 1, home, {}));
}

}  // namespace
}  // namespace qudag::runtime
