// qudag recv: 1 subscribe, 2 write each message to its file or to standard output, 3 acknowledge
// it: only then its sender hears `delivered`, 4 end after --count, --timeout or a signal. A file
// appears under its name only when it is whole and on the disk.
#include "commands.h"
#include "common/interrupt.h"

#include "api/client/stream_client.h"
#include "api/records/encoding.h"
#include "base/posix.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <boost/json.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <span>

namespace qudag::app {
namespace {

using Clock = std::chrono::steady_clock;

std::unexpected<Error> failed(const std::filesystem::path& file) {
  return system_failure(file.string());
}

/// Everything of it is on the disk when this returns.
Status write_whole(const std::filesystem::path& file, Bytes bytes) {
  const Fd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return failed(file);
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(file);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return ::fsync(fd.get()) == 0 ? Status{} : Status(failed(file));
}

bool holds(const std::filesystem::path& file, Bytes bytes) {
  std::ifstream in(file, std::ios::binary);
  std::string found{std::istreambuf_iterator<char>(in), {}};
  return in && std::ranges::equal(std::as_bytes(std::span(found)), bytes);
}

/// The file's name is the message's id, which its sender chose: another message's file is never
/// replaced, but has a number after it. The same message again, as after a crash before it was
/// acknowledged, is there already.
Result<std::filesystem::path> write_file(const std::filesystem::path& directory,
                                         const std::string& name, Bytes bytes) {
  constexpr int kSameNameMax = 1000;
  // Of this process alone: others may write into the directory, too.
  const std::filesystem::path part = directory / fmt::format("{}.{}.part", name, ::getpid());
  ::unlink(part.c_str());  // of another one that had this number
  if (Status written = write_whole(part, bytes); !written) {
    ::unlink(part.c_str());
    return std::unexpected(written.error());
  }
  for (int i = 1; i <= kSameNameMax; ++i) {
    const std::filesystem::path file = directory / (i == 1 ? name : fmt::format("{}.{}", name, i));
    const bool named =
        ::renameat2(AT_FDCWD, part.c_str(), AT_FDCWD, file.c_str(), RENAME_NOREPLACE) == 0;
    if (!named && errno != EEXIST) break;
    if (!named && !holds(file, bytes)) continue;
    if (!named) ::unlink(part.c_str());
    const Fd folder(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder || ::fsync(folder.get()) != 0) return failed(directory);
    return file;
  }
  auto why = failed(directory / name);
  ::unlink(part.c_str());
  return why;
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
    auto written = write_file(args.directory, message.id.to_string(), message.payload);
    if (!written) return std::unexpected(written.error());
    file = std::move(*written);
  }
  if (args.json) return print(json_line(message, file));
  if (!file.empty()) return print(fmt::format("{} {}\n", file.string(), message.payload.size()));
  return print({reinterpret_cast<const char*>(message.payload.data()), message.payload.size()});
}

}  // namespace

Exit recv(const RecvArgs& args) {
  Interrupt interrupt;
  api::ClientLoop loop;
  std::uint64_t received = 0;
  std::optional<Error> failure;
  const auto enough = [&] { return args.count != 0 && received >= args.count; };
  Result<std::unique_ptr<api::StreamClient>> stream = fail(Errc::shutting_down);
  stream = api::StreamClient::open(
      loop, args.socket.path,
      [&](const api::ServerRecord& record) {
        const auto* message = std::get_if<api::MessageRecord>(&record);
        if (message == nullptr || failure || enough()) return;
        // What is not acknowledged goes to the next client, or comes again.
        Status kept = keep(args, *message);
        if (kept) kept = (*stream)->acknowledge({.token = message->token.value_or(0)});
        if (!kept) {
          failure = kept.error();
        } else {
          ++received;
        }
      },
      args.socket.owner);
  if (!stream) return report(stream.error(), args.json);
  if (const Status open = (*stream)->subscribe(args.count, args.channel, true); !open) {
    return report(open.error(), args.json);
  }

  while (!enough() && !failure && !interrupt.raised()) {
    const std::uint64_t before = received;
    const bool came = loop.run_until(
        [&] { return received != before || failure || (*stream)->ended() || interrupt.raised(); },
        args.patience);
    if (!came) return report(Error(Errc::timed_out, "no message came in time"), args.json);
    if ((*stream)->ended()) return report(*(*stream)->ended(), args.json);
  }
  // The last acknowledgements leave before the connection ends.
  loop.run_until([&] { return (*stream)->queued_bytes() == 0 || (*stream)->ended(); },
                 std::chrono::seconds(5));
  return failure ? report(*failure, args.json) : Exit::ok;
}

}  // namespace qudag::app
