// Where the socket is when nobody says, so that client and node of one user mean the same place and
// no other user can be there first.
//
//   1. $QUDAG_SOCKET, whatever it is;
//   2. $XDG_RUNTIME_DIR/qudag.sock;
//   3. /run/qudag/qudag.sock: for root, and for a service that was given that folder;
//   4. $XDG_STATE_HOME/qudag/qudag.sock, or ~/.local/state/qudag/qudag.sock.
//
// The folder of 2 to 4 must be a real one (no link), belong to this user, and be writable by nobody
// else; another is passed over (2, 3) or refused (4). There is none in a shared folder for
// temporary files: whoever came first would be handed what is sent.
#pragma once

#include <qudag/error.h>

#include <filesystem>
#include <functional>
#include <string>

namespace qudag::api {

/// What the choice looks at; for tests another than the process's.
struct Surroundings {
  /// An environment variable; empty: not set.
  std::function<std::string(const char*)> variable;
  unsigned user = 0;           // effective
  std::filesystem::path run;   // "/run"
  std::filesystem::path home;  // of the user, if $HOME does not say
  static Surroundings of_process();
};

/// permission_denied: the folder is not fit; not_found: no folder is known. Makes nothing.
Result<std::filesystem::path> default_socket(const Surroundings& surroundings);
Result<std::filesystem::path> default_socket();

/// For a node that is about to listen there: makes the folder of 3 (for root) or 4, mode 0700.
Status make_default_folder(const Surroundings& surroundings);
Status make_default_folder();

/// The folder is real, this user's, and writable by nobody else. not_found if it is not there.
Status check_folder(const std::filesystem::path& folder, unsigned user);

}  // namespace qudag::api
