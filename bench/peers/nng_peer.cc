// NNG over plain TCP: PUSH to PULL for the rate, PAIR to PAIR for round trips. Nothing is encrypted
// here, so this is what a messaging library costs without cryptography, and not a like comparison.
#include "peer_main.h"

#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>

#include <cstring>
#include <string>

namespace {

void check(int rc, const char* what) {
  if (rc == 0) return;
  std::fprintf(stderr, "nng: %s: %s\n", what, nng_strerror(rc));
  ::_exit(1);
}

std::string address(int which) {
  return "tcp://127.0.0.1:" +
         std::to_string(52'000 + static_cast<int>(::getpgrp() % 10'000) + which);
}

class Socket {
 public:
  Socket(int (*open)(nng_socket*), bool server, int which) {
    check(open(&socket_), "open");
    nng_socket_set_ms(socket_, NNG_OPT_RECONNMINT, 10);
    nng_socket_set_size(socket_, NNG_OPT_RECVMAXSZ, 0);
    nng_socket_set_int(socket_, NNG_OPT_SENDBUF, 1'000);  // as many as ZeroMQ has by default
    nng_socket_set_int(socket_, NNG_OPT_RECVBUF, 1'000);
    if (server) {
      check(nng_listen(socket_, address(which).c_str(), nullptr, 0), "listen");
    } else {
      check(nng_dial(socket_, address(which).c_str(), nullptr, NNG_FLAG_NONBLOCK), "dial");
    }
  }
  ~Socket() { nng_close(socket_); }
  void send(std::size_t bytes) {
    nng_msg* message = nullptr;
    check(nng_msg_alloc(&message, bytes), "message");
    std::memset(nng_msg_body(message), 0, bytes);
    check(nng_sendmsg(socket_, message, 0), "send");
  }
  std::size_t receive() {
    nng_msg* message = nullptr;
    check(nng_recvmsg(socket_, &message, 0), "receive");
    const std::size_t size = nng_msg_len(message);
    nng_msg_free(message);
    return size;
  }

 private:
  nng_socket socket_{};
};

struct Flood {
  void run(std::size_t bytes) {
    Socket socket(nng_push0_open, false, 0);
    for (;;) socket.send(bytes);
  }
};
struct Sink {
  Socket socket{nng_pull0_open, true, 0};
  void receive(std::size_t bytes) {
    if (socket.receive() != bytes) ::_exit(1);
  }
};
struct Echo {
  void run() {
    Socket socket(nng_pair0_open, true, 1);
    for (;;) socket.send(socket.receive());
  }
};
struct Pinger {
  Socket socket{nng_pair0_open, false, 1};
  void round_trip(std::size_t bytes) {
    socket.send(bytes);
    if (socket.receive() != bytes) ::_exit(1);
  }
};

}  // namespace

int main(int argc, char** argv) { return peer::run<Flood, Echo, Sink, Pinger>(argc, argv); }
