#include "run.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cstdio>

namespace qudag::emulator {
namespace {

constexpr auto kPatience = std::chrono::seconds(5);  // between SIGTERM and SIGKILL
constexpr int kBatch = 64;                           // packets of one node in one turn
constexpr std::size_t kPacketMax = 65'536;

}  // namespace

Run::Run(const Scenario& scenario, const RunOptions& options)
    : scenario_(scenario), fabric_(scenario, options.interval), programs_(options.logs) {
  if (!options.trace.empty()) trace_.open(options.trace);
}

Result<std::unique_ptr<Run>> Run::create(const Scenario& scenario, const RunOptions& options) {
  std::unique_ptr<Run> run(new Run(scenario, options));
  for (const NodeSpec& node : scenario.nodes) {
    auto space = Space::create(node.address, scenario.mtu);
    if (!space) return std::unexpected(space.error());
    for (const Ipv4 more : node.more) {
      if (auto ok = space->also(more); !ok) return std::unexpected(ok.error());
    }
    run->spaces_.push_back(std::move(*space));
  }
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int each : {SIGCHLD, SIGTERM, SIGINT}) ::sigaddset(&signals, each);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  run->signals_ = Fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  int pipe[2];
  if (!run->signals_ || ::pipe2(pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
    return fail(Errc::io_error, "signalfd or pipe");
  }
  run->commands_ = Fd(pipe[0]);
  run->command_writer_ = Fd(pipe[1]);
  // Times of less than a millisecond need a timer without slack, and a place before the programs.
  ::prctl(PR_SET_TIMERSLACK, 1UL);
  run->programs_.keep_priority(::getpriority(PRIO_PROCESS, 0));
  (void)::setpriority(PRIO_PROCESS, 0, -20);
  for (const auto& [at, command] : scenario.timed) {  // a name that does not exist is told now
    Fabric trial(scenario, Nanos(0));
    if (auto ok = trial.apply(command, at); !ok) return std::unexpected(ok.error());
  }
  return run;
}

Nanos Run::now() const { return std::chrono::steady_clock::now() - begin_; }

std::vector<std::string> Run::environment() const {
  // Our number in the /proc that the programs see, own or not.
  std::error_code no_throw;
  const std::string fds =
      "/proc/" + std::filesystem::read_symlink("/proc/self", no_throw).string() + "/fd/";
  std::vector<std::string> out{"QUDAG_EMULATOR_CONTROL=" + fds +
                               std::to_string(command_writer_.get())};
  for (std::size_t i = 0; i < spaces_.size(); ++i) {
    out.push_back("QUDAG_EMULATOR_NET_" + fabric_.name(i) + "=" + fds +
                  std::to_string(spaces_[i].net()));
  }
  return out;
}

Status Run::start_programs() {
  const auto environment = this->environment();
  for (const Program& program : scenario_.programs) {
    const auto node = fabric_.find(program.node);
    const int net = node ? spaces_[*node].net() : -1;
    if (auto ok = programs_.start(program, net, environment); !ok) return ok;
  }
  return {};
}

int Run::go() {
  begin_ = std::chrono::steady_clock::now();
  // What holds from the beginning holds before the first packet.
  for (; timed_done_ < scenario_.timed.size() && scenario_.timed[timed_done_].at == Nanos(0);
       ++timed_done_) {
    do_command(scenario_.timed[timed_done_].command);
  }
  if (auto ok = start_programs(); !ok) {
    std::fprintf(stderr, "qudag_emulator: %s\n", ok.error().message().c_str());
    return 1;
  }
  while (!over(now())) {
    wait(now());
    read_signals();
    read_commands();  // first: who sees the pipe empty again knows that it is done
    for (; timed_done_ < scenario_.timed.size() && scenario_.timed[timed_done_].at <= now();
         ++timed_done_) {
      do_command(scenario_.timed[timed_done_].command);
    }
    fabric_.on_time(now());
    read_packets();
    write_packets();
  }
  lasted_ = now();
  return timed_out_ ? kExitTimeout : programs_.exit_code();
}

void Run::wait(Nanos at) {
  Nanos until = stopping_ ? kill_at_ : scenario_.time;
  if (const auto next = fabric_.next()) until = std::min(until, *next);
  if (timed_done_ < scenario_.timed.size()) {
    until = std::min(until, scenario_.timed[timed_done_].at);
  }
  const Nanos left = std::max(until - at, Nanos(0));
  const timespec patience{left.count() / 1'000'000'000, left.count() % 1'000'000'000};
  std::array<pollfd, kNodesMax + 2> fds{};
  nfds_t n = 0;
  fds[n++] = {signals_.get(), POLLIN, 0};
  fds[n++] = {commands_.get(), POLLIN, 0};
  for (const Space& space : spaces_) fds[n++] = {space.device(), POLLIN, 0};
  (void)::ppoll(fds.data(), n, &patience, nullptr);
}

void Run::read_packets() {
  std::array<std::uint8_t, kPacketMax> buffer;
  for (std::size_t i = 0; i < spaces_.size(); ++i) {
    for (int n = 0; n < kBatch; ++n) {
      const auto packet = spaces_[i].read(buffer);
      if (packet.empty()) break;
      const auto sent = fabric_.send(i, packet, now());
      if (sent && trace_.is_open()) trace(i, *sent, packet);
    }
  }
}

void Run::trace(std::size_t from, const Fabric::Sent& sent, std::span<const std::uint8_t> packet) {
  constexpr std::string_view kFates[] = {"passed", "queue", "loss", "partition"};
  constexpr std::size_t kHeaders = 28;  // IPv4 without options, UDP
  const int first = packet.size() > kHeaders ? packet[kHeaders] : -1;
  trace_ << now().count() << ' ' << fabric_.name(from) << ' ' << fabric_.name(sent.to) << ' '
         << packet.size() << ' ' << kFates[static_cast<std::size_t>(sent.fate.drop)] << ' ' << first
         << '\n';
}

void Run::write_packets() {
  while (const auto arrival = fabric_.arrived(now())) {
    late_ns_.record(static_cast<std::uint64_t>((now() - arrival->due).count()));
    if (!spaces_[arrival->to].write(arrival->packet)) ++not_taken_;
  }
}

void Run::do_command(const Command& command) {
  Status ok = fabric_.apply(command, now());
  if (const auto* move = std::get_if<Move>(&command); ok && move != nullptr) {
    ok = spaces_[*fabric_.find(move->node)].move(move->address);
  }
  if (!ok) std::fprintf(stderr, "qudag_emulator: %s\n", ok.error().message().c_str());
}

void Run::read_commands() {
  std::array<char, 4'096> buffer;
  for (ssize_t n; (n = ::read(commands_.get(), buffer.data(), buffer.size())) > 0;) {
    command_text_.append(buffer.data(), static_cast<std::size_t>(n));
  }
  for (std::size_t end; (end = command_text_.find('\n')) != std::string::npos;) {
    const auto command = parse_command(std::string_view(command_text_).substr(0, end));
    if (command) {
      do_command(*command);
    } else {
      std::fprintf(stderr, "qudag_emulator: %s\n", command.error().message().c_str());
    }
    command_text_.erase(0, end + 1);
  }
}

void Run::read_signals() {
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGCHLD) {
      programs_.reap();
    } else if (!stopping_) {
      timed_out_ = true;  // it did not end by itself
      scenario_.time = Nanos(0);
    }
  }
}

bool Run::over(Nanos at) {
  if (!stopping_) {
    const bool late = at >= scenario_.time;
    if (!late && !programs_.done()) return false;
    timed_out_ = timed_out_ || (late && !programs_.done());
    stopping_ = true;
    programs_.told_to_end();
    kill_at_ = at + kPatience;
    programs_.signal_all(SIGTERM);
  }
  return programs_.all_ended() || at >= kill_at_;
}

}  // namespace qudag::emulator
