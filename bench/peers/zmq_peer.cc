// ZeroMQ with CURVE over TCP: PUSH to PULL for the rate, PAIR to PAIR for round trips.
#include "peer_main.h"

#include <zmq.h>

#include <cstring>
#include <string>

namespace {

// Made anew for each run of the program, before it forks.
struct Keys {
  char server_public[41], server_secret[41], client_public[41], client_secret[41];
  Keys() {
    zmq_curve_keypair(server_public, server_secret);
    zmq_curve_keypair(client_public, client_secret);
  }
};
const Keys& keys() {
  static const Keys all;
  return all;
}

void check(int rc, const char* what) {
  if (rc >= 0) return;
  std::fprintf(stderr, "zmq: %s: %s\n", what, zmq_strerror(zmq_errno()));
  ::_exit(1);
}

std::string address(int which) {
  const int port = 42'000 + static_cast<int>(::getpgrp() % 10'000);
  return "tcp://127.0.0.1:" + std::to_string(port + which);
}

class Socket {
 public:
  Socket(int type, bool server, int which) {
    socket_ = zmq_socket(context_, type);
    if (server) {
      const int on = 1;
      check(zmq_setsockopt(socket_, ZMQ_CURVE_SERVER, &on, sizeof on), "server");
      check(zmq_setsockopt(socket_, ZMQ_CURVE_SECRETKEY, keys().server_secret, 40), "key");
      check(zmq_bind(socket_, address(which).c_str()), "bind");
    } else {
      check(zmq_setsockopt(socket_, ZMQ_CURVE_SERVERKEY, keys().server_public, 40), "key");
      check(zmq_setsockopt(socket_, ZMQ_CURVE_PUBLICKEY, keys().client_public, 40), "key");
      check(zmq_setsockopt(socket_, ZMQ_CURVE_SECRETKEY, keys().client_secret, 40), "key");
      check(zmq_connect(socket_, address(which).c_str()), "connect");
    }
  }
  ~Socket() {
    const int none = 0;
    zmq_setsockopt(socket_, ZMQ_LINGER, &none, sizeof none);
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }
  void send(std::size_t bytes) {
    zmq_msg_t message;
    check(zmq_msg_init_size(&message, bytes), "message");
    std::memset(zmq_msg_data(&message), 0, bytes);
    check(zmq_msg_send(&message, socket_, 0), "send");
  }
  std::size_t receive() {
    zmq_msg_t message;
    check(zmq_msg_init(&message), "message");
    check(zmq_msg_recv(&message, socket_, 0), "receive");
    const std::size_t size = zmq_msg_size(&message);
    zmq_msg_close(&message);
    return size;
  }

 private:
  void* context_ = zmq_ctx_new();
  void* socket_ = nullptr;
};

struct Flood {
  void run(std::size_t bytes) {
    Socket socket(ZMQ_PUSH, false, 0);
    for (;;) socket.send(bytes);
  }
};
struct Sink {
  Socket socket{ZMQ_PULL, true, 0};
  void receive(std::size_t bytes) {
    if (socket.receive() != bytes) ::_exit(1);
  }
};
struct Echo {
  void run() {
    Socket socket(ZMQ_PAIR, true, 1);
    for (;;) socket.send(socket.receive());
  }
};
struct Pinger {
  Socket socket{ZMQ_PAIR, false, 1};
  void round_trip(std::size_t bytes) {
    socket.send(bytes);
    if (socket.receive() != bytes) ::_exit(1);
  }
};

}  // namespace

int main(int argc, char** argv) {
  (void)keys();
  return peer::run<Flood, Echo, Sink, Pinger>(argc, argv);
}
