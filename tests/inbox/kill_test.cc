// A node process with an inbox is killed in random moments, while a source sends 1,000 messages a
// second and a program takes some of what was kept: what was said to be delivered is there, and an
// idempotent receiver has nothing twice.
//
// A few kills by default; in full: QUDAG_KILLS=1000 build/dev/tests/inbox/qudag_inbox_kill_test.
// QUDAG_SEED chooses the moments. The last line has the figures.
#include "api/client/client.h"
#include "api/client/stream_client.h"
#include "app/run.h"
#include "base/bytes.h"

#include <qudag/node.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <unordered_map>

namespace qudag {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::microseconds kEvery = 1ms;  // 1,000 messages a second
constexpr std::size_t kUnderWayMax = 4'000;
constexpr auto kPatience = 60s;
/// A source that sees its destination die again and again waits longer and longer before it dials:
/// another one takes its place after so many kills.
constexpr std::uint64_t kKillsOfASource = 5;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// 8 to 2,055 bytes that follow from the number.
std::vector<std::byte> payload_of(std::uint64_t number) {
  std::vector<std::byte> out(sizeof number + number * 7'919 % 2'048);
  store_be(out.data(), number);
  for (std::size_t i = sizeof number; i < out.size(); ++i) {
    out[i] = static_cast<std::byte>(number + i * 13);
  }
  return out;
}

/// What was sent, what its sender heard, and what a program has.
class Books {
 public:
  /// The number of a new message.
  std::uint64_t sent() {
    const std::lock_guard lock(mutex_);
    ++under_way_;
    return sent_++;
  }
  void ended(std::uint64_t number, const Delivery& delivery) {
    const std::lock_guard lock(mutex_);
    if (delivery.outcome == Outcome::delivered) {
      delivered_.emplace(number, delivery.id);
    } else {
      ++reasons_[std::string(name_of(delivery.reason.code))];
    }
    --under_way_;
    changed_.notify_all();
  }
  void received(const MessageId& id, Bytes payload) {
    const std::lock_guard lock(mutex_);
    ASSERT_GE(payload.size(), sizeof(std::uint64_t));
    const auto number = load_be<std::uint64_t>(payload.data());
    EXPECT_TRUE(std::ranges::equal(payload, payload_of(number))) << number;
    const auto [at, first] = received_.emplace(number, id);
    if (!first) ++again_;
    if (at->second != id) ++doubled_;
    changed_.notify_all();
  }
  template <class State>
  bool wait(State&& state, std::chrono::milliseconds most = kPatience) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, most, [&] { return state(); });
  }
  // With the lock, inside wait().
  std::size_t delivered() const { return delivered_.size(); }
  std::size_t under_way() const { return under_way_; }
  std::size_t gone() const {
    std::size_t count = 0;
    for (const auto& [number, id] : delivered_) {
      const auto at = received_.find(number);
      count += at == received_.end() || at->second != id ? 1 : 0;
    }
    return count;
  }
  std::size_t delivered_now() {
    const std::lock_guard lock(mutex_);
    return delivered_.size();
  }
  std::size_t doubled() const { return doubled_; }
  std::string figures() {
    const std::lock_guard lock(mutex_);
    std::string others;
    for (const auto& [reason, count] : reasons_) others += fmt::format(", {} {}", reason, count);
    return fmt::format(
        "sent {}, delivered {}{}; received {}, again {}; delivered and gone {}, doubled {}", sent_,
        delivered_.size(), others, received_.size(), again_, gone(), doubled_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_map<std::uint64_t, MessageId> delivered_, received_;
  std::map<std::string, std::size_t> reasons_;  // of those that were not delivered
  std::uint64_t sent_ = 0;
  std::size_t under_way_ = 0, again_ = 0, doubled_ = 0;
};

class Source {
 public:
  explicit Source(Books& books) : books_(books) {
    Options options;
    options.shards = 1;
    options.log_level = LogLevel::off;
    options.gossip_interval = 1s;
    node_ = Node::start(options).value();
  }
  ~Source() {
    end();
    node_->stop(0ms);
  }
  Node& node() { return *node_; }
  void begin(const NodeId& to) {
    thread_ = std::thread([this, to] { run(to); });
  }
  void end() {
    ended_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  void run(const NodeId& to) {
    while (!ended_ && !node_->wait_until_known(to, 100ms)) continue;
    Clock::time_point next = Clock::now();
    while (!ended_) {
      // The pace is the load, not a wait for something.
      books_.wait([&] { return ended_.load(); },
                  std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()));
      if (!books_.wait([&] { return books_.under_way() < kUnderWayMax; }, 100ms)) continue;
      for (next = std::max(next, Clock::now() - 20ms); next <= Clock::now(); next += kEvery) {
        const std::uint64_t number = books_.sent();
        const auto sent = node_->send(
            to, payload_of(number), {.relays = 0},
            [this, number](const Delivery& delivery) { books_.ended(number, delivery); });
        if (!sent) books_.ended(number, {.reason = sent.error()});
      }
    }
  }

  Books& books_;
  std::unique_ptr<Node> node_;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

/// A program that writes down what it gets, and acknowledges it then. Ends with the node, or when
/// it is told.
class Receiver {
 public:
  Receiver(std::filesystem::path socket, Books& books)
      : thread_([this, socket = std::move(socket), &books] { run(socket, books); }) {}
  ~Receiver() {
    ended_ = true;
    thread_.join();
  }

 private:
  void run(const std::filesystem::path& socket, Books& books) {
    api::ClientLoop loop;
    Result<std::unique_ptr<api::StreamClient>> stream = fail(Errc::shutting_down);
    stream = api::StreamClient::open(loop, socket, [&](const api::ServerRecord& record) {
      const auto* const message = std::get_if<api::MessageRecord>(&record);
      if (message == nullptr) return;
      books.received(message->id, message->payload);
      static_cast<void>((*stream)->acknowledge({.token = message->token.value_or(0)}));
    });
    if (!stream || !(*stream)->subscribe(0, 0, true)) return;
    loop.run_until([&] { return ended_ || (*stream)->ended(); }, std::chrono::hours(1));
  }

  std::atomic<bool> ended_{false};
  std::thread thread_;
};

std::string field(const std::string& json, const std::string& name) {
  const std::string key = "\"" + name + "\":\"";
  const std::size_t at = json.find(key);
  if (at == std::string::npos) return {};
  const std::size_t begin = at + key.size();
  return json.substr(begin, json.find('"', begin) - begin);
}

class Kills : public ::testing::Test {
 protected:
  std::unique_ptr<app::test::Process> start() {
    return std::make_unique<app::test::Process>(std::vector<std::string>{
        "node",
        "--identity",
        directory / "key",
        "--state.dir",
        "none",
        "--inbox.dir",
        directory / "inbox",
        "--inbox.accept",
        "true",
        "--inbox.messages",
        "5000000",
        "--inbox.bytes",
        "16GiB",
        "--listen",
        address,
        "--bootstrap",
        source->node().id().to_string() + "@" + source->node().address().to_string(),
        "--api.socket",
        directory / "socket",
        "--shards",
        "1",
        "--log.level",
        "error",
        "--gossip_interval",
        "1s"});
  }
  /// A descriptor is newer than another by its second: a node that ran and starts again in the same
  /// one may be known with its old keys for an hour.
  void wait_for_a_new_second() {
    using Wall = std::chrono::system_clock;
    const auto next = std::chrono::ceil<std::chrono::seconds>(Wall::now()) - Wall::now();
    books.wait([] { return false; }, std::chrono::ceil<std::chrono::milliseconds>(next));
  }
  /// One life of the node: it is killed after so many deliveries, in which a program may be there.
  void live(std::mt19937_64& random) {
    wait_for_a_new_second();
    const auto node = start();
    const std::uint64_t how = random() % 10;
    if (how == 0) {  // it hardly began
      books.wait([] { return false; }, std::chrono::milliseconds(random() % 100));
      return node->signal(SIGKILL);
    }
    ASSERT_NE(node->line(), "") << node->wait(1s).err;
    std::optional<Receiver> receiver;
    if (how >= 7) receiver.emplace(directory / "socket", books);
    const auto wait_for_more = [&](std::size_t most) {
      const std::size_t until = books.delivered_now() + random() % most;
      EXPECT_TRUE(books.wait([&] { return books.delivered() >= until; }));
    };
    wait_for_more(300);
    if (how >= 4 && how < 7) {
      receiver.emplace(directory / "socket", books);
      wait_for_more(200);
    }
    node->signal(SIGKILL);
  }

  app::test::Directory directory;
  std::string address = "127.0.0.1:0";
  Books books;
  std::unique_ptr<Source> source = std::make_unique<Source>(books);
};

TEST_F(Kills, DeliveredAndGoneNoneAndNothingTwice) {
  const std::uint64_t kills = number_from("QUDAG_KILLS", 6);
  std::mt19937_64 random(number_from("QUDAG_SEED", 1));
  ASSERT_EQ(app::test::run({"keygen", directory / "key"}).exit, 0);
  NodeId id;
  {
    const auto first = start();
    const std::string ready = first->line();
    ASSERT_NE(ready, "") << first->wait(1s).err;
    address = field(ready, "address");
    id = NodeId::parse(field(ready, "id")).value();
    ASSERT_TRUE(source->node().wait_until_known(id, 20s));
  }
  const Clock::time_point began = Clock::now();
  source->begin(id);
  for (std::uint64_t i = 0; i < kills && !HasFatalFailure(); ++i) {
    if (i > 0 && i % kKillsOfASource == 0) {
      source = nullptr;  // what it had under way ends as shutting_down
      source = std::make_unique<Source>(books);
      source->begin(id);
    }
    live(random);
    if ((i + 1) % 50 != 0) continue;
    fmt::print("{} kills: {}\n", i + 1, books.figures());
    std::fflush(stdout);
  }
  const auto seconds = std::chrono::duration<double>(Clock::now() - began).count();
  source->end();

  wait_for_a_new_second();
  const auto node = start();
  ASSERT_NE(node->line(), "");
  EXPECT_TRUE(books.wait([&] { return books.under_way() == 0; }, 120s));
  Receiver last(directory / "socket", books);
  EXPECT_TRUE(books.wait([&] { return books.gone() == 0; })) << books.figures();
  const api::Client api(directory / "socket");
  const Clock::time_point until = Clock::now() + kPatience;
  while (api.metric("qudag_inbox_messages").value_or(1) > 0 && Clock::now() < until) {
    std::this_thread::yield();
  }
  EXPECT_EQ(api.metric("qudag_inbox_messages").value_or(1), 0);
  EXPECT_EQ(books.doubled(), 0u);
  EXPECT_GT(books.delivered_now(), kills * 20);
  fmt::print("{} kills in {:.0f} s: {}\n", kills, seconds, books.figures());
}

}  // namespace
}  // namespace qudag
