// What every call to the system needs: a descriptor that is closed, and an error in words.
#pragma once

#include <qudag/error.h>

#include <cerrno>
#include <string_view>
#include <utility>

namespace qudag {

/// A file descriptor that this object closes; -1: none.
class Fd {
 public:
  explicit Fd(int fd = -1) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      static_cast<void>(close());
      fd_ = other.release();
    }
    return *this;
  }
  ~Fd() { static_cast<void>(close()); }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  int release() noexcept { return std::exchange(fd_, -1); }
  /// Closing may be what reports that the disk is full: false, see errno. True if there is none.
  bool close() noexcept;

 private:
  int fd_;
};

/// The group of a system error: not_found, already_exists, permission_denied, disk_full,
/// address_in_use; io_error for every other.
Errc code_of_errno(int number) noexcept;

/// "what: why", with that code.
std::unexpected<Error> system_failure(std::string_view what, int number = errno);

}  // namespace qudag
