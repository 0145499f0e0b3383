#include "api/client/stream_client.h"

#include "api/records/bounds.h"
#include "api/socket/listen.h"
#include "config/api_options.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket.hpp>

#include <deque>

namespace qudag::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;

constexpr std::size_t kBatchBytes = std::size_t{1} << 20;
constexpr std::chrono::seconds kHandshakePatience{10};

}  // namespace

struct ClientLoop::Impl {
  asio::io_context io{1};
};

ClientLoop::ClientLoop() : impl_(std::make_unique<Impl>()) {}
ClientLoop::~ClientLoop() = default;

bool ClientLoop::run_until(const std::function<bool()>& done, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  impl_->io.restart();
  while (!done()) {
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left <= std::chrono::nanoseconds(0)) return false;
    const auto turn = std::min<std::chrono::nanoseconds>(left, std::chrono::milliseconds(50));
    const auto until = std::chrono::steady_clock::now() + turn;
    if (impl_->io.run_one_for(turn) == 0 && impl_->io.stopped()) {
      impl_->io.restart();
      // No operation is under way: nothing can change but by time.
      if (std::chrono::steady_clock::now() < until && !done()) return false;
    }
  }
  return true;
}

struct StreamClient::Impl : std::enable_shared_from_this<StreamClient::Impl> {
  Impl(ClientLoop& l, Handler handler)
      : loop(l), socket(l.impl().io), on_record(std::move(handler)) {}

  void read();
  void write();
  void end(Error error);
  template <class Record>
  Status queue(const Record& record, std::size_t bytes);

  ClientLoop& loop;
  websocket::stream<asio::local::stream_protocol::socket> socket;
  Handler on_record;
  beast::flat_buffer in;
  std::deque<std::vector<std::byte>> out;  // the front is being written if `writing`
  bool writing = false;
  bool ready = false;
  bool subscribed = false;
  std::optional<Error> ended;
};

void StreamClient::Impl::end(Error error) {
  if (!ended) ended = std::move(error);
  boost::system::error_code ignored;
  beast::get_lowest_layer(socket).close(ignored);
}

void StreamClient::Impl::read() {
  socket.async_read(in, [self = shared_from_this()](beast::error_code ec, std::size_t) {
    if (ec) return self->end(Error(Errc::link_closed, "the node ended the connection"));
    RecordReader reader({static_cast<const std::byte*>(self->in.data().data()), self->in.size()});
    while (!reader.at_end() && !self->ended) {
      const auto raw = reader.next();
      const auto record =
          raw ? parse_server_record(*raw) : Result<ServerRecord>(std::unexpected(raw.error()));
      if (!record) return self->end(record.error());
      if (const auto* error = std::get_if<ErrorRecord>(&*record)) {
        return self->end(Error(error->code, std::string(error->detail)));
      }
      if (std::holds_alternative<SubscribedRecord>(*record)) self->subscribed = true;
      self->on_record(*record);
    }
    self->in.consume(self->in.size());
    if (!self->ended) self->read();
  });
}

void StreamClient::Impl::write() {
  if (writing || !ready || ended || out.empty()) return;
  writing = true;
  socket.async_write(asio::buffer(out.front()),
                     [self = shared_from_this()](beast::error_code ec, std::size_t) {
                       self->writing = false;
                       self->out.pop_front();
                       // The reader tells why the connection ended.
                       if (!ec) self->write();
                     });
}

/// Appends to the last batch that is not being written, while it has room.
template <class Record>
Status StreamClient::Impl::queue(const Record& record, std::size_t bytes) {
  if (ended) return std::unexpected(*ended);
  if (bytes > kStreamInBytesMax) {
    return fail(Errc::too_large, "larger messages go through POST /v1/messages");
  }
  const bool last_is_taken = out.size() == 1 && writing;
  if (out.empty() || last_is_taken || out.back().size() + bytes > kBatchBytes) out.emplace_back();
  append(out.back(), record);
  write();
  return {};
}

Result<std::unique_ptr<StreamClient>> StreamClient::open(ClientLoop& loop,
                                                         const std::filesystem::path& path,
                                                         Handler on_record,
                                                         std::optional<unsigned> owner) {
  const Result<int> fd = connect_to(path, owner);
  if (!fd) return std::unexpected(fd.error());
  auto impl = std::make_shared<Impl>(loop, std::move(on_record));
  beast::get_lowest_layer(impl->socket).assign(asio::local::stream_protocol(), *fd);
  impl->socket.binary(true);
  impl->socket.auto_fragment(false);
  impl->socket.write_buffer_bytes(64 * 1024);
  impl->socket.read_message_max(kMessageBytesMax + kMessageHeadBytesMax + kStreamOutBytes);
  auto client = std::unique_ptr<StreamClient>(new StreamClient(impl));

  impl->socket.async_handshake("localhost", "/v1/stream", [impl](beast::error_code ec) {
    if (ec) return impl->end(Error(Errc::io_error, "no WebSocket: " + ec.message()));
    impl->ready = true;
    impl->read();
    impl->write();
  });
  loop.run_until([&] { return impl->ready || impl->ended; }, kHandshakePatience);
  if (impl->ended) return std::unexpected(*impl->ended);
  if (!impl->ready) return fail(Errc::timed_out, "the node did not answer in time");
  return client;
}

StreamClient::StreamClient(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

StreamClient::~StreamClient() { impl_->end(Error(Errc::shutting_down)); }

Status StreamClient::send(const SendRecord& record) {
  return impl_->queue(record, kRecordLengthBytes + kSendHeadBytes + record.payload.size());
}

Status StreamClient::reply(const ReplyRecord& record) {
  return impl_->queue(record, kRecordLengthBytes + kReplyHeadBytes + record.payload.size());
}

Status StreamClient::cancel(std::uint64_t request) {
  return impl_->queue(CancelRecord{request}, kRecordLengthBytes + kCancelBytes);
}

Status StreamClient::acknowledge(const AcknowledgeRecord& record) {
  return impl_->queue(record, kRecordLengthBytes + kAcknowledgeBytes + kDelayBytes);
}

Status StreamClient::subscribe(std::uint64_t count, ChannelNumber channel, bool explicit_acks) {
  impl_->subscribed = false;
  const SubscribeRecord record{
      .on = true, .count = count, .channel = channel, .explicit_acks = explicit_acks};
  if (Status queued = impl_->queue(record, kRecordLengthBytes + 9 + kChannelBytes + 1); !queued) {
    return queued;
  }
  impl_->loop.run_until([this] { return impl_->subscribed || impl_->ended; }, kHandshakePatience);
  if (impl_->ended) return std::unexpected(*impl_->ended);
  if (!impl_->subscribed) return fail(Errc::timed_out, "the node did not answer in time");
  return {};
}

void StreamClient::unsubscribe() {
  (void)impl_->queue(SubscribeRecord{.on = false}, kRecordLengthBytes + 1);
}

const std::optional<Error>& StreamClient::ended() const { return impl_->ended; }

std::size_t StreamClient::queued_bytes() const {
  std::size_t bytes = 0;
  for (const auto& batch : impl_->out) bytes += batch.size();
  return bytes;
}

}  // namespace qudag::api
