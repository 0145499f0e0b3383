// qudag recv: 1 subscribe, 2 write each message to its file or to standard output, 3 end after
// --count, --timeout or a signal. A file appears under its name only when it is whole.
#include "commands.h"
#include "common/interrupt.h"

#include "api/client/stream_client.h"
#include "api/records/encoding.h"
#include "base/posix.h"
#include "config/quantity.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <boost/json.hpp>

#include <cerrno>
#include <cstring>

namespace qudag::app {
namespace {

using Clock = std::chrono::steady_clock;

std::unexpected<Error> failed(const std::filesystem::path& file) {
  return system_failure(file.string());
}

Status write_file(const std::filesystem::path& file, Bytes bytes) {
  const std::filesystem::path part = file.string() + ".part";
  const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return failed(part);
  Status status{std::in_place};  // nothing has failed yet
  while (!bytes.empty() && status) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      status = failed(part);
    } else {
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
  }
  if (::close(fd) != 0 && status) status = failed(part);
  if (status && ::rename(part.c_str(), file.c_str()) != 0) status = failed(file);
  if (!status) ::unlink(part.c_str());
  return status;
}

std::string json_line(const api::MessageRecord& message, const std::filesystem::path& file) {
  boost::json::object out{{"id", message.id.to_string()},
                          {"priority", name_of(message.priority)},
                          {"bytes", message.payload.size()}};
  if (message.channel != 0) out["channel"] = message.channel;
  if (message.sender) out["sender"] = message.sender->to_string();
  if (message.reply_to) out["reply_to"] = api::to_text(*message.reply_to);
  if (message.in_reply_to) out["in_reply_to"] = message.in_reply_to->to_string();
  if (file.empty()) {
    out["payload"] = api::to_base64(message.payload);
  } else {
    out["file"] = file.filename().string();
  }
  return boost::json::serialize(out) + "\n";
}

Status keep(const RecvArgs& args, const api::MessageRecord& message) {
  std::filesystem::path file;
  if (!args.directory.empty()) {
    file = args.directory / message.id.to_string();
    if (Status written = write_file(file, message.payload); !written) return written;
  }
  if (args.json) return print(json_line(message, file));
  if (!file.empty()) return print(fmt::format("{} {}\n", file.string(), message.payload.size()));
  return print({reinterpret_cast<const char*>(message.payload.data()), message.payload.size()});
}

}  // namespace

Exit recv(const RecvArgs& args) {
  std::chrono::milliseconds patience = std::chrono::hours(24 * 365);
  if (!args.timeout.empty()) {
    const auto parsed = config::parse_duration(args.timeout);
    if (!parsed)
      return report(Error(Errc::invalid_argument, "--timeout is a time such as 30s"), args.json);
    patience = *parsed;
  }
  std::error_code no_throw;
  if (!args.directory.empty() && !std::filesystem::is_directory(args.directory, no_throw)) {
    return report(Error(Errc::not_found, args.directory.string() + ": no such directory"),
                  args.json);
  }

  Interrupt interrupt;
  api::ClientLoop loop;
  std::uint64_t received = 0;
  std::optional<Error> failure;
  const auto enough = [&] { return args.count != 0 && received >= args.count; };
  auto stream = api::StreamClient::open(
      loop, args.socket.path,
      [&](const api::ServerRecord& record) {
        const auto* message = std::get_if<api::MessageRecord>(&record);
        if (message == nullptr || failure || enough()) return;
        if (const Status kept = keep(args, *message); !kept) {
          failure = kept.error();
        } else {
          ++received;
        }
      },
      args.socket.owner);
  if (!stream) return report(stream.error(), args.json);
  if (const Status open = (*stream)->subscribe(args.count, args.channel); !open) {
    return report(open.error(), args.json);
  }

  while (!enough() && !failure && !interrupt.raised()) {
    const std::uint64_t before = received;
    const bool came = loop.run_until(
        [&] { return received != before || failure || (*stream)->ended() || interrupt.raised(); },
        patience);
    if (!came) return report(Error(Errc::timed_out, "no message came in time"), args.json);
    if ((*stream)->ended()) return report(*(*stream)->ended(), args.json);
  }
  return failure ? report(*failure, args.json) : Exit::ok;
}

}  // namespace qudag::app
