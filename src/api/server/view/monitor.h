// What watches a node and can do nothing to it: a TCP port of loopback (`metrics.listen`) with the
// metrics and two questions of health, and a Unix socket (`api.monitor_socket`) that has the status
// and the queues as well. Nothing here names a peer, sends, receives or changes anything.
//
// Bounded: kWatchersMax connections at each place, more are closed at once; a request is a header
// of kWatcherHeaderBytesMax; who reads slowly is cut after kWatcherPatience; a text is made at most
// once in kTextKept, whoever asks, and shared by all that read it.
//
// Threads: open() before the API's runs; the rest on it.
#pragma once

#include "api/server/hub.h"
#include "api/server/view/loopback.h"
#include "api/socket/listen.h"

#include <boost/asio/io_context.hpp>

#include <memory>
#include <optional>

namespace qudag::api {

inline constexpr std::size_t kWatchersMax = 16;
inline constexpr std::size_t kWatcherHeaderBytesMax = 4 * 1024;
inline constexpr std::chrono::seconds kWatcherPatience{10};
inline constexpr std::chrono::milliseconds kTextKept{200};

/// A text of the node's, made at most once in kTextKept.
class KeptText;

class Monitor {
 public:
  Monitor(std::shared_ptr<Hub> hub, asio::io_context& io);
  ~Monitor();

  /// Listens where the options say; nowhere if they name no place. address_in_use,
  /// permission_denied, io_error.
  Status open();
  /// Where the metrics are, with the port that the kernel chose.
  const std::optional<SocketAddress>& metrics() const { return metrics_; }
  /// Takes no more connections, and removes the socket file.
  void close();

 private:
  /// What differs between the two places.
  struct Place {
    Place(LoopbackAcceptor taken, bool of_unix) : acceptor(std::move(taken)), is_unix(of_unix) {}
    LoopbackAcceptor acceptor;
    const bool is_unix;
    std::size_t open = 0;
  };

  Status open_tcp();
  Status open_unix();
  using SharedTexts = std::shared_ptr<std::vector<std::unique_ptr<KeptText>>>;
  asio::awaitable<void> accept(std::shared_ptr<Place> place);
  static asio::awaitable<void> serve(std::shared_ptr<Hub> hub, SharedTexts texts,
                                     std::shared_ptr<Place> place,
                                     asio::generic::stream_protocol::socket socket);

  std::shared_ptr<Hub> hub_;
  asio::io_context& io_;
  std::shared_ptr<Place> tcp_, unix_;  // owners: this, and the coroutines that serve there
  SharedTexts texts_;                  // the same
  Listening file_;
  std::optional<SocketAddress> metrics_;
};

}  // namespace qudag::api
