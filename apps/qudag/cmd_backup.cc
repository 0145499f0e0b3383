// Files of a node that does not have to run: check-config, backup, restore.
//
// A backup is a directory of mode 0700 with the identity and the files of the state directory, each
// as it was written last; the inbox is not in it. A node may run meanwhile: it replaces its files
// whole.
#include "commands.h"
#include "settings.h"

#include "base/posix.h"
#include "base/secret.h"
#include "crypto/identity.h"
#include "node/key_file.h"
#include "store/directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <boost/json.hpp>

namespace qudag::app {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{128} << 20;
constexpr std::string_view kIdentity = "identity";
/// Of the state directory: the rest there is the lock, and what was set aside.
constexpr std::string_view kStateFiles[] = {"guards", "netmap"};

struct Places {
  std::filesystem::path identity, state;
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
  return Places{.identity = settings->node.identity, .state = settings->node.state_dir};
}

Result<std::vector<std::byte>> read_file(const std::filesystem::path& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return system_failure(path.string());
  struct stat found {};
  if (::fstat(fd.get(), &found) != 0) return system_failure(path.string());
  if (!S_ISREG(found.st_mode) || found.st_size > static_cast<off_t>(kFileBytesMax)) {
    return fail(Errc::malformed, path.string() + ": no regular file, or too large");
  }
  std::vector<std::byte> out(static_cast<std::size_t>(found.st_size));
  std::size_t got = 0;
  while (got < out.size()) {
    const ssize_t n = ::read(fd.get(), out.data() + got, out.size() - got);
    if (n < 0) return system_failure(path.string());
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  out.resize(got);
  return out;
}

/// Those of the state that are there; their names.
Result<std::vector<std::string>> copy_state(const std::filesystem::path& from,
                                            store::Directory& to) {
  std::vector<std::string> out;
  for (const std::string_view name : kStateFiles) {
    const auto content = read_file(from / name);
    if (!content && content.error() == Errc::not_found) continue;
    if (!content) return std::unexpected(content.error());
    if (Status written = to.write(name, *content); !written)
      return std::unexpected(written.error());
    out.emplace_back(name);
  }
  return out;
}

Exit done(const BackupArgs& args, std::string_view what, const NodeId& id,
          const std::vector<std::string>& files) {
  std::string names(kIdentity);
  boost::json::array list{std::string(kIdentity)};
  for (const std::string& file : files) {
    names += ", " + file;
    list.emplace_back(file);
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
  const auto parsed = node::parse_identity(*identity);
  if (!parsed) return report(parsed.error(), args.json);
  const auto to = store::Directory::open(args.directory, "backup");
  if (!to) return report(to.error(), args.json);
  const Status written = (*to)->write(kIdentity, *identity);
  wipe(*identity);
  if (!written) return report(written.error(), args.json);
  const auto files = copy_state(places->state, **to);
  if (!files) return report(files.error(), args.json);
  return done(args, "saved", parsed->id(), *files);
}

Exit restore(const BackupArgs& args) {
  const Result<Places> places = places_of(args);
  if (!places) return report(places.error(), args.json);
  std::error_code no_throw;
  for (const auto& path : {places->identity, places->state / kStateFiles[0]}) {
    if (!std::filesystem::exists(path, no_throw)) continue;
    return report(Error(Errc::already_exists,
                        path.string() + ": is there, and nothing is overwritten; move it away"),
                  args.json);
  }
  const auto identity = node::load_identity((args.directory / kIdentity).string());
  if (!identity) return report(identity.error(), args.json);
  if (const Status saved = node::save_identity(places->identity.string(), *identity); !saved) {
    return report(saved.error(), args.json);
  }
  std::vector<std::string> files;
  if (!places->state.empty()) {
    const auto state = store::Directory::open(places->state);
    if (!state) return report(state.error(), args.json);
    auto copied = copy_state(args.directory, **state);
    if (!copied) return report(copied.error(), args.json);
    files = std::move(*copied);
  }
  return done(args, "restored", identity->id(), files);
}

}  // namespace qudag::app
