// qudag send: 1 read the file or standard input, 2 post it, showing progress, 3 print the outcome.
#include "commands.h"
#include "progress.h"

#include "common/json_text.h"

#include "api/client/client.h"
#include "base/posix.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

namespace qudag::app {
namespace {

Result<std::vector<std::byte>> read_all(const std::filesystem::path& file) {
  const bool standard_input = file.empty() || file == "-";
  const int fd = standard_input ? STDIN_FILENO : ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return system_failure(file.string());
  std::vector<std::byte> out;
  std::optional<Error> error;
  for (;;) {
    constexpr std::size_t kStep = std::size_t{1} << 20;
    const std::size_t at = out.size();
    out.resize(at + kStep);
    const ssize_t n = ::read(fd, out.data() + at, kStep);
    out.resize(at + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) error.emplace(Errc::io_error, fmt::format("reading: {}", std::strerror(errno)));
    if (out.size() > kMessageBytesMax) {
      error.emplace(Errc::too_large, "a message has at most 64 MiB");
    }
    if (n <= 0 || error) break;
  }
  if (!standard_input) ::close(fd);
  if (error) return std::unexpected(*error);
  return out;
}

std::string outcome_text(const Delivery& delivery, std::size_t bytes, bool json) {
  const double seconds = std::chrono::duration<double>(delivery.elapsed).count();
  const double rate = seconds > 0 ? static_cast<double>(bytes) / seconds / 1e6 : 0;
  const bool named = delivery.id != MessageId{};  // not when refused at once
  const std::string id = named ? delivery.id.to_string() : std::string();
  if (json) {
    return json_text({{"id", named ? boost::json::value(id) : boost::json::value(nullptr)},
                      {"outcome", name_of(delivery.outcome)},
                      {"reason", name_of(delivery.reason.code)},
                      {"bytes", bytes},
                      {"seconds", seconds},
                      {"mb_per_s", rate}}) +
           "\n";
  }
  return fmt::format("{}: {} bytes in {:.3f} s ({:.1f} MB/s){}{}\n", name_of(delivery.outcome),
                     bytes, seconds, rate, named ? ", id " : "", id);
}

}  // namespace

Exit send(const SendArgs& args) {
  const auto payload = read_all(args.file);
  if (!payload) return report(payload.error(), args.json);

  Result<Delivery> delivery = fail(Errc::internal);
  {
    ProgressBar bar;
    delivery = api::Client(args.socket.path, args.socket.owner)
                   .send(args.to, *payload, args.options, [&](std::size_t done, std::size_t all) {
                     if (!args.quiet) bar.update(done, all);
                   });
  }
  if (!delivery) return report(delivery.error(), args.json);
  if (const Status printed = print(outcome_text(*delivery, payload->size(), args.json)); !printed) {
    return report(printed.error(), false);
  }
  if (delivery->reason.code != Errc::ok) (void)report(delivery->reason, false);
  return exit_of(*delivery);
}

}  // namespace qudag::app
