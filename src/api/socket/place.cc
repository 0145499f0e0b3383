#include "api/socket/place.h"

#include <fmt/format.h>

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace qudag::api {
namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "qudag.sock";

fs::path state_folder(const Surroundings& s) {
  const fs::path state = s.variable("XDG_STATE_HOME");
  if (state.is_absolute()) return state / "qudag";  // a relative one is invalid, says its standard
  fs::path home = s.variable("HOME");
  if (!home.is_absolute()) home = s.home;
  return home.is_absolute() ? home / ".local" / "state" / "qudag" : fs::path();
}

bool may_be_made(const Status& checked) { return !checked && checked.error() == Errc::not_found; }

/// 3 of the list: what is there and fit, or what root can make.
bool takes_run_folder(const Surroundings& s) {
  const Status checked = check_folder(s.run / "qudag", s.user);
  return checked || (s.user == 0 && may_be_made(checked) && check_folder(s.run, s.user));
}

struct Place {
  fs::path folder;
  bool made_by_us = false;  // if it is not there
};

Result<Place> place_of(const Surroundings& s) {
  const fs::path runtime = s.variable("XDG_RUNTIME_DIR");
  if (runtime.is_absolute() && check_folder(runtime, s.user)) return Place{runtime};
  if (takes_run_folder(s)) return Place{s.run / "qudag", true};
  const fs::path state = state_folder(s);
  if (state.empty()) {
    return fail(Errc::not_found,
                "no folder of this user's for the socket ($XDG_RUNTIME_DIR and $HOME are not set); "
                "name one: --api.socket for a node, --socket or $QUDAG_SOCKET for the rest");
  }
  if (const Status checked = check_folder(state, s.user); !checked && !may_be_made(checked)) {
    return std::unexpected(checked.error());
  }
  return Place{state, true};
}

/// Each missing folder on the way is made for its user only.
Status make_folders(const fs::path& folder) {
  fs::path at;
  for (const fs::path& part : folder) {
    at /= part;
    if (::mkdir(at.c_str(), 0700) == 0 || errno == EEXIST) continue;
    struct stat found {};
    if (::stat(at.c_str(), &found) == 0 && S_ISDIR(found.st_mode)) continue;  // of a system, say
    return fail(Errc::permission_denied,
                fmt::format("{}: cannot be made: {}", at.string(), std::strerror(errno)));
  }
  return {};
}

}  // namespace

Surroundings Surroundings::of_process() {
  Surroundings out;
  out.variable = [](const char* name) {
    const char* const value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  out.user = ::geteuid();
  out.run = "/run";
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> text;
  if (::getpwuid_r(out.user, &entry, text.data(), text.size(), &found) == 0 && found != nullptr) {
    out.home = found->pw_dir;
  }
  return out;
}

Status check_folder(const fs::path& folder, unsigned user) {
  struct stat found {};
  if (::lstat(folder.c_str(), &found) != 0) {
    const bool absent = errno == ENOENT || errno == ENOTDIR;
    return fail(absent ? Errc::not_found : Errc::permission_denied,
                fmt::format("{}: {}", folder.string(), std::strerror(errno)));
  }
  const auto unfit = [&](const char* why) {
    return fail(Errc::permission_denied,
                fmt::format("{}: {}; no socket is looked for there", folder.string(), why));
  };
  if (S_ISLNK(found.st_mode)) return unfit("is a link, and could lead anywhere");
  if (!S_ISDIR(found.st_mode)) return unfit("is no folder");
  if (found.st_uid != user) return unfit("belongs to another user");
  if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return unfit("others may write to it (chmod 700)");
  return {};
}

Result<fs::path> default_socket(const Surroundings& surroundings) {
  if (const std::string named = surroundings.variable("QUDAG_SOCKET"); !named.empty()) return named;
  const Result<Place> place = place_of(surroundings);
  if (!place) return std::unexpected(place.error());
  return place->folder / kName;
}

Result<fs::path> default_socket() { return default_socket(Surroundings::of_process()); }

Status make_default_folder(const Surroundings& surroundings) {
  if (!surroundings.variable("QUDAG_SOCKET").empty()) return {};
  const Result<Place> place = place_of(surroundings);
  if (!place) return std::unexpected(place.error());
  if (!place->made_by_us) return {};
  if (Status made = make_folders(place->folder); !made) return made;
  return check_folder(place->folder, surroundings.user);
}

Status make_default_folder() { return make_default_folder(Surroundings::of_process()); }

}  // namespace qudag::api
