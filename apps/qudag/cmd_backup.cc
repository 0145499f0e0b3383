// Files of a node that does not have to run: check-config, backup, restore.
//
// A backup is a directory of mode 0700 with the identity, the files of the state directory and the
// contacts, each as it was written last; the inbox and a keeper's letters are not in it. A node may
// run meanwhile: it replaces its files whole.
//
// restore reads all of it first, so that nothing is written of a backup that is damaged; backup and
// restore take back what they wrote when they cannot write all.
#include "commands.h"
#include "settings.h"

#include "base/posix.h"
#include "base/secret.h"
#include "crypto/identity.h"
#include "gateway/contact_book.h"
#include "node/key_file.h"
#include "store/directory.h"
#include "store/file.h"
#include "store/state_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <boost/json.hpp>
#include <memory>

namespace qudag::app {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{128} << 20;
constexpr std::string_view kIdentity = "identity";
constexpr std::string_view kContacts = "contacts";
/// Of the state directory: the rest there is the lock, what was set aside, and other stores.
constexpr std::string_view kStateFiles[] = {"guards", "netmap"};
constexpr std::string_view kReceiver = "receiver-";

struct Places {
  std::filesystem::path identity, state, contacts;  // empty: there is none
};

/// One file; some have secrets.
struct Copy {
  std::string name;
  std::vector<std::byte> content;
  Copy(std::string its, std::vector<std::byte> what)
      : name(std::move(its)), content(std::move(what)) {}
  Copy(Copy&&) noexcept = default;
  Copy& operator=(Copy&&) noexcept = default;
  ~Copy() { wipe(content); }
};

Result<Places> places_of(const BackupArgs& args) {
  NodeArgs node;
  node.config = args.config;
  Result<config::Settings> settings = settings_of(node);
  if (!settings) return std::unexpected(settings.error());
  if (settings->node.identity.empty()) {
    return fail(Errc::config_invalid, args.config.string() +
                                          ": names no identity: such a node is another one at "
                                          "each start, and has nothing to keep");
  }
  place_state(*settings);
  return Places{.identity = settings->node.identity,
                .state = settings->node.state_dir,
                .contacts = settings->gateway.contacts_file};
}

Result<std::vector<std::byte>> read_file(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a FIFO must not hang; it is refused below.
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  if (!fd) return system_failure(path.string());
  struct stat found {};
  if (::fstat(fd.get(), &found) != 0) return system_failure(path.string());
  if (!S_ISREG(found.st_mode) || found.st_size > static_cast<off_t>(kFileBytesMax)) {
    return fail(Errc::malformed, path.string() + ": no regular file, or too large");
  }
  std::vector<std::byte> out(static_cast<std::size_t>(found.st_size));
  const ssize_t got = store::read_all(fd.get(), out);
  if (got < 0) return system_failure(path.string());
  out.resize(static_cast<std::size_t>(got));
  return out;
}

Status check(const std::filesystem::path& path, const Copy& file) {
  const auto wrong = [&](const Error& why) {
    return fail(why.code, path.string() + ": " + why.detail);
  };
  if (file.name == kContacts) {
    const std::string_view text(reinterpret_cast<const char*>(file.content.data()),
                                file.content.size());
    const auto rows = gateway::parse_contacts(text);
    return rows ? Status() : wrong(rows.error());
  }
  const bool receiver = file.name.starts_with(kReceiver);
  const std::string_view kind = receiver ? kReceiver.substr(0, kReceiver.size() - 1) : file.name;
  const auto body = store::parse_state({.name = kind, .version = 1}, file.content);
  return body ? Status() : wrong(body.error());
}

/// What is there of the state, and the contacts; each whole.
Result<std::vector<Copy>> read_state(const std::filesystem::path& state,
                                     const std::filesystem::path& contacts) {
  std::vector<std::pair<std::string, std::filesystem::path>> wanted;
  if (!state.empty()) {
    for (const std::string_view name : kStateFiles) wanted.emplace_back(name, state / name);
    std::error_code no_throw;
    for (std::filesystem::directory_iterator at(state, no_throw), end; at != end;
         at.increment(no_throw)) {
      const std::string name = at->path().filename().string();
      const bool is_one = name.starts_with(kReceiver) && name.find('.') == std::string::npos;
      if (is_one) wanted.emplace_back(name, at->path());
    }
    std::ranges::sort(wanted);
  }
  if (!contacts.empty()) wanted.emplace_back(kContacts, contacts);
  std::vector<Copy> out;
  for (const auto& [name, path] : wanted) {
    auto content = read_file(path);
    if (!content && content.error() == Errc::not_found) continue;
    if (!content) return std::unexpected(content.error());
    out.emplace_back(name, std::move(*content));
    if (Status good = check(path, out.back()); !good) return std::unexpected(good.error());
  }
  return out;
}

/// Where a file of a backup belongs; empty: nowhere, by the configuration.
std::filesystem::path target(const Places& places, const Copy& file) {
  if (file.name == kContacts) return places.contacts;
  return places.state.empty() ? std::filesystem::path() : places.state / file.name;
}

/// Files that were written, and go again unless all were.
class Written {
 public:
  ~Written() {
    std::error_code no_throw;
    for (; !paths_.empty(); paths_.pop_back()) {
      std::filesystem::remove(paths_.back(), no_throw);
    }
  }
  void note(std::filesystem::path path) { paths_.push_back(std::move(path)); }
  void keep() { paths_.clear(); }

 private:
  std::vector<std::filesystem::path> paths_;
};

Status write_copy(const std::filesystem::path& path, const Copy& file, Written& written) {
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  const Fd at(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!at) return system_failure(folder.string());
  if (auto done = store::replace_file(at.get(), folder, path.filename().string(), file.content);
      !done) {
    return done;
  }
  written.note(path);
  return {};
}

Exit done(const BackupArgs& args, std::string_view what, const NodeId& id,
          const std::vector<Copy>& files) {
  std::string names(kIdentity);
  boost::json::array list{std::string(kIdentity)};
  for (const Copy& file : files) {
    names += ", " + file.name;
    list.emplace_back(file.name);
  }
  const Status printed =
      print(args.json ? boost::json::serialize(boost::json::object{{"id", id.to_string()},
                                                                   {"files", std::move(list)}}) +
                            "\n"
                      : fmt::format("{} {}: {}\n", what, id.to_string(), names));
  return printed ? Exit::ok : report(printed.error(), false);
}

}  // namespace

Exit check_config(const CheckConfigArgs& args) {
  NodeArgs node;
  node.config = args.file;
  const Result<config::Settings> settings = settings_of(node);
  if (!settings) return report(settings.error(), args.json);
  if (!settings->node.identity.empty()) {
    const auto identity = node::load_identity(settings->node.identity);
    if (!identity) {
      return report(Error(identity.error().code, "identity: " + identity.error().detail),
                    args.json);
    }
  }
  const std::size_t keys = settings->named.size();
  const Status printed = print(
      args.json ? boost::json::serialize(boost::json::object{{"good", true}, {"keys", keys}}) + "\n"
                : fmt::format("{}: is right; {} keys are set, all others have their defaults\n",
                              args.file.string(), keys));
  return printed ? Exit::ok : report(printed.error(), false);
}

Exit backup(const BackupArgs& args) {
  const Result<Places> places = places_of(args);
  if (!places) return report(places.error(), args.json);
  std::error_code no_throw;
  if (std::filesystem::exists(args.directory, no_throw)) {
    return report(
        Error(Errc::already_exists, args.directory.string() + ": is there; name a new directory"),
        args.json);
  }
  auto identity = read_file(places->identity);
  if (!identity) return report(identity.error(), args.json);
  const Copy key(std::string(kIdentity), std::move(*identity));
  const auto parsed = node::parse_identity(key.content);
  if (!parsed) return report(parsed.error(), args.json);
  const auto files = read_state(places->state, places->contacts);
  if (!files) return report(files.error(), args.json);
  Written written;
  written.note(args.directory);  // the last that goes, when it is empty
  const auto to = store::Directory::open(args.directory, "backup");
  if (!to) return report(to.error(), args.json);
  written.note(args.directory / "lock");
  for (const Copy& file : *files) {
    const Status done = write_copy(args.directory / file.name, file, written);
    if (!done) return report(done.error(), args.json);
  }
  const Status done = write_copy(args.directory / kIdentity, key, written);
  if (!done) return report(done.error(), args.json);
  written.keep();
  return app::done(args, "saved", parsed->id(), *files);
}

Exit restore(const BackupArgs& args) {
  const Result<Places> places = places_of(args);
  if (!places) return report(places.error(), args.json);
  const auto identity = node::load_identity((args.directory / kIdentity).string());
  if (!identity) return report(identity.error(), args.json);
  auto files = read_state(args.directory, args.directory / kContacts);
  if (!files) return report(files.error(), args.json);
  std::erase_if(*files, [&](const Copy& file) { return target(*places, file).empty(); });
  std::error_code no_throw;
  std::vector<std::filesystem::path> targets{places->identity};
  for (const Copy& file : *files) targets.push_back(target(*places, file));
  for (const auto& path : targets) {
    if (!std::filesystem::exists(std::filesystem::symlink_status(path, no_throw))) continue;
    return report(Error(Errc::already_exists,
                        path.string() + ": is there, and nothing is overwritten; move it away"),
                  args.json);
  }
  std::unique_ptr<store::Directory> state;  // its lock: no node has it meanwhile
  if (!places->state.empty()) {
    auto opened = store::Directory::open(places->state);
    if (!opened) return report(opened.error(), args.json);
    state = std::move(*opened);
  }
  Written written;
  for (const Copy& file : *files) {
    const Status done = write_copy(target(*places, file), file, written);
    if (!done) return report(done.error(), args.json);
  }
  if (const Status saved = node::save_identity(places->identity.string(), *identity); !saved) {
    return report(saved.error(), args.json);
  }
  written.keep();
  return done(args, "restored", identity->id(), *files);
}

}  // namespace qudag::app
