// Hears from the kernel (rtnetlink) that this machine got or lost an address or its default route.
//
// It says that something changed, not what: whoever asks looks at the world again. Addresses that
// cannot carry a link to elsewhere (loopback, not yet usable) are left out.
//
// Limits: the kernel's queue for one socket; when it overflows, that counts as a change. Threads:
// one. Source: rtnetlink(7).
#pragma once

#include <qudag/error.h>

#include <memory>

namespace qudag::runtime {

class AddressWatch {
 public:
  /// io_error or permission_denied where the system has no rtnetlink for us.
  static Result<std::unique_ptr<AddressWatch>> open();
  ~AddressWatch();
  AddressWatch(const AddressWatch&) = delete;
  AddressWatch& operator=(const AddressWatch&) = delete;

  /// Reads all that the kernel has said since the last call. Does not block.
  bool changed();
  int native_handle() const { return fd_; }

 private:
  explicit AddressWatch(int fd) : fd_(fd) {}
  const int fd_;
};

}  // namespace qudag::runtime
