#include "node/state.h"

#include "base/lines/log_lines.h"
#include "base/secret.h"
#include "netmap/kept.h"
#include "store/state_file.h"

#include <algorithm>
#include <utility>

namespace qudag::node {

struct StateFile {
  store::StateKind kind;
  std::size_t body_max;
  std::string name = std::string(kind.name);
};

namespace {

const StateFile kGuards{{.name = "guards", .version = 1}, netmap::Guards::kEncodedBytesMax};
const StateFile kNetmap{{.name = "netmap", .version = 1}, netmap::kKeptFileBytesMax};
const StateFile kQuota{{.name = "quota", .version = 1}, circuit::KeptMonth::kBytes};
constexpr std::string_view kReceiver = "receiver-";

StateFile receiver_file(std::string_view name) {
  return {{.name = "receiver", .version = 1},
          keeper::KeptReceiver::kEncodedBytesMax,
          std::string(kReceiver) + std::string(name)};
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 24 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

}  // namespace

Result<std::unique_ptr<State>> State::open(const std::filesystem::path& path, Log& log) {
  auto directory = store::Directory::open(path);
  std::unique_ptr<store::Directory> opened;
  if (directory) {
    opened = std::move(*directory);
    if (!opened->locked()) {
      log.warn(lines::kStateReadOnly);
    }
  } else {
    const Error& why = directory.error();
    // Who may read it, or has it, is for the operator to decide; a disk that is full or cannot be
    // written need not stop a node.
    if (why.code != Errc::io_error) return std::unexpected(why);
    log.warn(lines::kStateNone, why.detail);
  }
  return std::unique_ptr<State>(new State(std::move(opened), log));
}

void State::set_aside(std::string_view name, const Error& why, UnixSeconds now) {
  auto aside = directory_->set_aside(name, now);
  log_.warn(lines::kStateAside, name, why.detail,
            aside ? "kept as " + *aside : std::string("left where it is"));
}

/// The body of the file; empty if there is none.
std::vector<std::byte> State::load(const StateFile& file, UnixSeconds now) {
  if (!directory_) return {};
  auto raw = directory_->read(file.name, store::kStateHeaderBytes + file.body_max);
  if (!raw) {
    if (raw.error().code != Errc::not_found) set_aside(file.name, raw.error(), now);
    return {};
  }
  const auto body = store::parse_state(file.kind, *raw);
  if (!body) {
    set_aside(file.name, body.error(), now);
    return {};
  }
  return {body->begin(), body->end()};
}

netmap::Guards State::load_guards(UnixSeconds now) {
  const std::vector<std::byte> body = load(kGuards, now);
  if (body.empty()) return {};
  auto guards = netmap::Guards::parse(body, now);
  if (guards) return std::move(*guards);
  set_aside(kGuards.kind.name, guards.error(), now);
  return {};
}

std::vector<std::byte> State::load_netmap(UnixSeconds now) {
  std::vector<std::byte> body = load(kNetmap, now);
  if (body.empty()) return {};
  if (const auto parsed = netmap::parse_kept(body); !parsed) {
    set_aside(kNetmap.kind.name, parsed.error(), now);
    return {};
  }
  return body;
}

std::optional<circuit::KeptMonth> State::load_quota(UnixSeconds now) {
  const std::vector<std::byte> body = load(kQuota, now);
  if (body.empty()) return std::nullopt;
  const auto kept = circuit::KeptMonth::parse(body);
  if (kept) return *kept;
  set_aside(kQuota.kind.name, kept.error(), now);
  return std::nullopt;
}

bool State::save(const StateFile& file, Bytes body) {
  if (!directory_) return true;
  const std::lock_guard lock(mutex_);
  const Status written = directory_->write(file.name, store::encode_state(file.kind, body));
  if (written) {
    if (std::exchange(write_failed_, false)) log_.info(lines::kStateWorks);
    return true;
  }
  if (std::exchange(write_failed_, true)) return false;
  log_.warn(lines::kStateFails, written.error().detail);
  return false;
}

std::vector<std::string> State::receivers() const {
  std::vector<std::string> out;
  if (!directory_) return out;
  std::error_code no_throw;
  for (std::filesystem::directory_iterator at(directory_->path(), no_throw), end; at != end;
       at.increment(no_throw)) {
    const std::string file = at->path().filename().string();
    if (!file.starts_with(kReceiver) || !is_name(file.substr(kReceiver.size()))) continue;
    out.push_back(file.substr(kReceiver.size()));
  }
  std::ranges::sort(out);
  if (out.size() > kReceiversMax) out.resize(kReceiversMax);
  return out;
}

Result<keeper::KeptReceiver> State::load_receiver(std::string_view name) {
  if (!directory_) return fail(Errc::not_found);
  const StateFile file = receiver_file(name);
  auto raw = directory_->read(file.name, store::kStateHeaderBytes + file.body_max);
  if (!raw) return std::unexpected(raw.error());
  const auto body = store::parse_state(file.kind, *raw);
  Result<keeper::KeptReceiver> out = std::unexpected(Error(Errc::malformed));
  if (body) out = keeper::KeptReceiver::parse(*body);
  if (!body) out = std::unexpected(body.error());
  wipe(*raw);
  if (out) return out;
  return fail(out.error().code, "state file " + file.name + ": " + out.error().detail);
}

bool State::save_receiver(std::string_view name, std::vector<std::byte>&& body) {
  const bool done = save(receiver_file(name), body);
  wipe(body);
  return done;
}

bool State::save_guards(Bytes body) { return save(kGuards, body); }
bool State::save_netmap(Bytes body) { return save(kNetmap, body); }
bool State::save_quota(Bytes body) { return save(kQuota, body); }

}  // namespace qudag::node
