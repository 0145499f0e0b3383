// The Unix socket file: taking the path over from a dead process, refusing to from a live one, and
// who is at the other end.
#pragma once

#include <qudag/error.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

namespace qudag::api {

/// A socket file that this process made, and the descriptor that listens on it.
class Listening {
 public:
  Listening() = default;
  Listening(int fd, std::filesystem::path path);
  /// Closes the descriptor, if it is still here, and leaves the file.
  ~Listening();
  Listening(Listening&& other) noexcept;
  Listening& operator=(Listening&& other) noexcept;

  int fd() const { return fd_; }
  int release() noexcept;
  /// Only the file that we made: by now another node may have put its own there.
  void remove_file() const;

 private:
  int fd_ = -1;
  std::filesystem::path path_;
  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;
};

/// Listens, with the file mode set before anybody can connect.
Result<Listening> listen_on(const std::filesystem::path& path, unsigned mode);

/// A connected descriptor. not_found when there is no such socket, unreachable when nobody listens,
/// permission_denied when its mode says no, or when who listens is neither this user nor root nor
/// `owner`: whoever listens there reads what is sent. Details say what to do. Empty path:
/// default_socket().
Result<int> connect_to(const std::filesystem::path& path, std::optional<unsigned> owner = {});

/// Whether the process at the other end may use a node whose socket has that mode: this user and
/// root always, others if the mode lets a group or everybody in.
Status check_client(int fd, unsigned mode);

/// The number of a user, by name or number. not_found.
Result<unsigned> user_number(std::string_view name);

}  // namespace qudag::api
