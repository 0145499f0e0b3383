// One network namespace with a TUN device, held by file descriptors and by nothing else: when this
// process ends, in whatever way, the kernel removes both.
//
// The namespace has one address (/32) and one route, to the device, so every packet that is not for
// the node itself comes to us. Threads: one; a call that works inside the namespace enters it and
// comes back.
#pragma once

#include "packet.h"

#include <qudag/error.h>

#include <cstdint>
#include <span>
#include <string>

namespace qudag::emulator {

/// A file descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

class Space {
 public:
  /// permission_denied where namespaces or TUN devices are not allowed.
  static Result<Space> create(Ipv4 address, std::size_t mtu);
  /// One more address, which stays.
  Status also(Ipv4 address);

  /// The node's own address becomes another: the new one comes before the old one goes.
  Status move(Ipv4 address);
  /// The next packet that the node sends; empty: none now.
  std::span<std::uint8_t> read(std::span<std::uint8_t> buffer);
  /// A packet to the node; false: the device did not take it.
  bool write(std::span<const std::uint8_t> packet);
  /// Packets that the node sent and the device dropped before we could read them.
  std::uint64_t dropped_by_device() const;

  int device() const { return tun_.get(); }
  int net() const { return net_.get(); }  // for setns

 private:
  Fd net_;
  Fd tun_;
  Fd netlink_;
  std::uint32_t index_ = 0;
  Ipv4 address_ = 0;
};

}  // namespace qudag::emulator
