// Bytes both ways between a socket of this machine and a pipe, until the pipe has closed.
//
//   a program's end of its bytes (FIN)   the pipe's END, and the other way round
//   a program that breaks off (RST)      RESET of the pipe, and the other way round
//   a socket that takes nothing          nothing is taken of the pipe; its other end stops
//   a pipe without room                  nothing is read from the socket
//
// Threads: the gateway's. Owners (shared_ptr): its coroutines. Memory: what a socket said and the
// pipe has no room for, 4 KiB at most.
#pragma once

#include "gateway/pipe_port.h"

#include <boost/asio/generic/stream_protocol.hpp>

#include <array>
#include <memory>

namespace qudag::gateway {

/// TCP or Unix.
using LocalSocket = asio::generic::stream_protocol::socket;

/// Shared by all of a thread, between two waits.
using Scratch = std::array<std::byte, 64 * 1024>;

class Splice : public std::enable_shared_from_this<Splice> {
 public:
  Splice(LocalSocket socket, std::shared_ptr<PipePort> port, Scratch& scratch)
      : socket_(std::move(socket)), port_(std::move(port)), scratch_(scratch) {}
  ~Splice() { port_->leave(); }
  Splice(const Splice&) = delete;
  Splice& operator=(const Splice&) = delete;

  /// Runs until the pipe has closed and the socket is.
  asio::awaitable<void> run();

 private:
  static asio::awaitable<void> to_pipe(std::shared_ptr<Splice> self);
  asio::awaitable<bool> one_read();
  static asio::awaitable<void> to_program(std::shared_ptr<Splice> self);
  asio::awaitable<bool> write(const Buffer& bytes);
  void watch();

  LocalSocket socket_;
  std::shared_ptr<PipePort> port_;
  Scratch& scratch_;
};

/// Closes so that the program sees a connection that was broken off, where its kind has that: TCP.
void break_off(LocalSocket& socket);
/// Of TCP: small pieces leave at once.
void set_no_delay(LocalSocket& socket);

}  // namespace qudag::gateway
