#include "node/state.h"

#include "base/lines/log_lines.h"
#include "netmap/kept.h"
#include "store/state_file.h"

#include <utility>

namespace qudag::node {

struct StateFile {
  store::StateKind kind;
  std::size_t body_max;
};

namespace {

const StateFile kGuards{{.name = "guards", .version = 1}, netmap::Guards::kEncodedBytesMax};
const StateFile kNetmap{{.name = "netmap", .version = 1}, netmap::kKeptFileBytesMax};

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
  auto raw = directory_->read(file.kind.name, store::kStateHeaderBytes + file.body_max);
  if (!raw) {
    if (raw.error().code != Errc::not_found) set_aside(file.kind.name, raw.error(), now);
    return {};
  }
  const auto body = store::parse_state(file.kind, *raw);
  if (!body) {
    set_aside(file.kind.name, body.error(), now);
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

bool State::save(const StateFile& file, Bytes body) {
  if (!directory_) return true;
  const std::lock_guard lock(mutex_);
  const Status written = directory_->write(file.kind.name, store::encode_state(file.kind, body));
  if (written) {
    if (std::exchange(write_failed_, false)) log_.info(lines::kStateWorks);
    return true;
  }
  if (std::exchange(write_failed_, true)) return false;
  log_.warn(lines::kStateFails, written.error().detail);
  return false;
}

bool State::save_guards(Bytes body) { return save(kGuards, body); }
bool State::save_netmap(Bytes body) { return save(kNetmap, body); }

}  // namespace qudag::node
