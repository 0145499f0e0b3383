#include "runtime/resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

namespace qudag::runtime {
namespace {

std::optional<SocketAddress> address_of(const sockaddr& from, std::uint16_t port) {
  if (from.sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &from, sizeof v4);
    std::array<std::uint8_t, 4> ip{};
    std::memcpy(ip.data(), &v4.sin_addr, ip.size());
    return SocketAddress::v4(ip[0], ip[1], ip[2], ip[3], port);
  }
  if (from.sa_family != AF_INET6) return std::nullopt;
  sockaddr_in6 v6;
  std::memcpy(&v6, &from, sizeof v6);
  SocketAddress out;
  std::memcpy(out.ip.data(), &v6.sin6_addr, out.ip.size());
  out.port = port;
  return out;
}

struct Question {
  Executor::Place home;
  std::function<void(Addresses, Now)> done;
};

}  // namespace

/// What a thread may still hold when the Resolver is gone.
struct Resolver::State {
  explicit State(Lookup with) : lookup(std::move(with)) {}

  void answer(std::uint64_t number, Addresses found);

  const Lookup lookup;
  std::mutex mutex;
  std::map<std::uint64_t, Question> under_way;
  std::uint64_t next = 0;
};

void Resolver::State::answer(std::uint64_t number, Addresses found) {
  const std::lock_guard lock(mutex);  // held: ~Resolver must not end `home` meanwhile
  auto node = under_way.extract(number);
  if (!node) return;
  Question& question = node.mapped();
  std::move(question.home)
      .post([done = std::move(question.done), found = std::move(found)](Now now) mutable {
        done(std::move(found), now);
      });
}

Resolver::Resolver(Lookup lookup) : state_(std::make_shared<State>(std::move(lookup))) {}

Resolver::~Resolver() {
  const std::lock_guard lock(state_->mutex);
  state_->under_way.clear();
}

bool Resolver::ask(const std::string& name, std::uint16_t port, Executor& home,
                   std::function<void(Addresses, Now)> done) {
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->under_way.size() >= kUnderWayMax) return false;
    auto place = home.keep_place();
    if (!place) return false;
    number = state_->next++;
    state_->under_way.emplace(number, Question{std::move(*place), std::move(done)});
  }
  try {
    std::thread([state = state_, number, name, port] {
      state->answer(number, state->lookup(name, port));
    }).detach();
  } catch (const std::system_error&) {  // no thread to be had
    const std::lock_guard lock(state_->mutex);
    state_->under_way.erase(number);
    return false;
  }
  return true;
}

void Resolver::report(BoundedList& out) const {
  const std::lock_guard lock(state_->mutex);
  out.push_back(bounded(Bounded::Kind::table, "names being looked up", "at the next attempt",
                        state_->under_way.size(), kUnderWayMax, sizeof(Question)));
}

Addresses Resolver::system_lookup(const std::string& name, std::uint16_t port) {
  addrinfo wanted{};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_DGRAM;
  addrinfo* list = nullptr;
  const int rv = ::getaddrinfo(name.c_str(), nullptr, &wanted, &list);
  if (rv != 0) return fail(Errc::unreachable, name + ": " + ::gai_strerror(rv));
  std::vector<SocketAddress> out;
  for (const addrinfo* at = list; at != nullptr && out.size() < kAddressesMax; at = at->ai_next) {
    const auto one = address_of(*at->ai_addr, port);
    if (one && std::ranges::find(out, *one) == out.end()) out.push_back(*one);
  }
  ::freeaddrinfo(list);
  if (out.empty()) return fail(Errc::unreachable, name + ": has no address");
  return out;
}

}  // namespace qudag::runtime
