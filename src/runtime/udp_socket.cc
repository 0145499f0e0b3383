#include "runtime/udp_socket.h"

#include "runtime/buffer_size.h"
#include "runtime/clock.h"
#include "runtime/local_address.h"

#include "base/posix.h"
#include "memory/pages.h"

#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <system_error>
#include <vector>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif

namespace qudag::runtime {
namespace {

constexpr std::size_t kSlots = 16;
constexpr std::size_t kSlotBytes = 65'536;  // no merged train is larger
constexpr std::size_t kMessagesMax = 64;
constexpr int kEcnMask = 3;
// Source address, traffic class, segment size and time, each with its header and alignment.
constexpr std::size_t kControlBytes =
    CMSG_SPACE(sizeof(in6_pktinfo)) + 2 * CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(timespec));

/// A socket address of either family.
union NativeAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

bool all_zero(const std::uint8_t* first, const std::uint8_t* last) {
  return std::all_of(first, last, [](std::uint8_t byte) { return byte == 0; });
}

bool is_wildcard(const SocketAddress& address) {
  const std::uint8_t* const ip = address.ip.data();
  return all_zero(ip + (address.is_v4() ? 12 : 0), ip + 16);
}

socklen_t to_native(const SocketAddress& from, int family, NativeAddress& out) {
  std::memset(&out, 0, sizeof out);
  if (family == AF_INET) {
    out.v4.sin_family = AF_INET;
    out.v4.sin_port = htons(from.port);
    std::memcpy(&out.v4.sin_addr, from.ip.data() + 12, 4);
    return sizeof out.v4;
  }
  out.v6.sin6_family = AF_INET6;
  out.v6.sin6_port = htons(from.port);
  std::memcpy(&out.v6.sin6_addr, from.ip.data(), 16);
  return sizeof out.v6;
}

void set_v4(SocketAddress& out, const in_addr& ip) {
  out.ip = {};
  out.ip[10] = out.ip[11] = 0xff;
  std::memcpy(out.ip.data() + 12, &ip, 4);
}

SocketAddress from_native(const NativeAddress& from) {
  SocketAddress out;
  if (from.any.sa_family == AF_INET) {
    set_v4(out, from.v4.sin_addr);
    out.port = ntohs(from.v4.sin_port);
  } else if (from.any.sa_family == AF_INET6) {
    std::memcpy(out.ip.data(), &from.v6.sin6_addr, 16);
    out.port = ntohs(from.v6.sin6_port);
  }
  return out;
}

bool set_flag(int fd, int level, int name, int value = 1) {
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

void set_buffer(int fd, int force, int plain, std::uint64_t bytes) {
  const int value = static_cast<int>(std::min<std::uint64_t>(bytes, INT32_MAX / 2));
  // Force needs a capability; without it the system's maximum applies.
  if (!set_flag(fd, SOL_SOCKET, force, value)) set_flag(fd, SOL_SOCKET, plain, value);
}

/// What it gives of that.
std::uint64_t largest_buffer(int fd, int force, int plain, int wanted) {
  set_buffer(fd, force, plain, static_cast<std::uint64_t>(wanted));
  int bytes = 0;
  socklen_t size = sizeof bytes;
  if (::getsockopt(fd, SOL_SOCKET, plain, &bytes, &size) != 0) return 0;
  // The system counts what it needs itself as half of it.
  return static_cast<std::uint64_t>(std::clamp(bytes / 2, 1, wanted));
}

/// Gives a datagram to the socket of the shard that its destination connection id names. A load
/// behind the end of a datagram ends the program with 0, the first socket.
bool steer_by_connection_id(int fd, unsigned shards) {
  std::array<sock_filter, 7> code = {{
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x80, 0, 2),  // long header?
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6),             // flags, version (4), length, id
      BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 1),  // flags, id
      BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, shards),
      BPF_STMT(BPF_RET | BPF_A, 0),
  }};
  sock_fprog program{};
  program.len = static_cast<unsigned short>(code.size());
  program.filter = code.data();
  return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) == 0;
}

/// Appends control messages to a msghdr whose control buffer is large enough.
class ControlWriter {
 public:
  ControlWriter(msghdr& header, void* buffer) : header_(header) {
    header_.msg_control = buffer;
    header_.msg_controllen = 0;
  }
  template <class T>
  void add(int level, int type, const T& value) {
    auto* const at = reinterpret_cast<cmsghdr*>(static_cast<char*>(header_.msg_control) +
                                                header_.msg_controllen);
    std::memset(at, 0, CMSG_SPACE(sizeof value));
    at->cmsg_level = level;
    at->cmsg_type = type;
    at->cmsg_len = CMSG_LEN(sizeof value);
    std::memcpy(CMSG_DATA(at), &value, sizeof value);
    header_.msg_controllen += CMSG_SPACE(sizeof value);
  }
  void done() {
    if (header_.msg_controllen == 0) header_.msg_control = nullptr;
  }

 private:
  msghdr& header_;
};

template <class T>
T read_control(const cmsghdr& message) {
  T value{};
  std::memcpy(&value, CMSG_DATA(&message), sizeof value);
  return value;
}

}  // namespace

struct UdpSocket::Impl {
  /// Everything that one message of a batch needs besides its bytes.
  struct Envelope {
    NativeAddress address;
    iovec bytes;
    alignas(cmsghdr) std::array<char, kControlBytes> control;
  };

  ~Impl() {
    if (fd >= 0) ::close(fd);
  }

  Status set_up(const UdpOptions& options);
  void note_wait(const msghdr& oldest);
  void read_details(const msghdr& header, Received& out) const;
  void fill(const Train& train, bool whole, mmsghdr& message, Envelope& envelope) const;
  std::size_t send_some(std::span<const Train> trains);
  bool send_cut(const Train& train);
  bool drop_after_error(int number, const Train& train);
  void note_stood(std::size_t kept);
  void set_up_buffers(const UdpOptions& options);
  void set_in(std::uint64_t bytes);
  void set_out(std::uint64_t bytes);
  std::uint32_t drops() const;

  int fd = -1;
  int family = AF_INET;
  bool gso = true;
  SocketAddress local;
  SocketStats stats;
  bool emptied = true;               // by the last receive()
  std::optional<TimePoint> read_at;  // by it

  // The system's buffers.
  bool fixed_buffers = true;
  std::uint64_t in_max = 0, out_max = 0;
  std::optional<BufferSize> in_size, out_size;  // unless they are fixed
  std::uint64_t stood = 0;                      // read since the last time that it was empty
  std::uint32_t drops_seen = 0;
  std::uint64_t blocked_seen = 0, sent_seen = 0;
  TimePoint fitted_at{};

  // Not zeroed: a page costs memory only once a train has filled it.
  std::unique_ptr<std::byte[]> memory =
      std::make_unique_for_overwrite<std::byte[]>(kSlots * kSlotBytes);
  std::array<Envelope, kSlots> in_envelopes;
  std::array<mmsghdr, kSlots> in_messages{};
  std::array<Received, kSlots> received;
  std::array<Envelope, kMessagesMax> out_envelopes;
  std::array<mmsghdr, kMessagesMax> out_messages{};
};

// ---- Opening ------------------------------------------------------------------------------------

Status cannot_bind(const SocketAddress& at) {
  const int why = errno;
  return system_failure("UDP " + at.to_string(), why);
}

/// Sockets that share a port (SO_REUSEPORT) share it with another program of the same user too,
/// which then takes a part of the packets. A socket that does not share is refused instead.
Status nobody_has(const SocketAddress& bind, int family) {
  const Fd probe(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP));
  if (!probe) return system_failure("socket");
  if (family == AF_INET6) {
    set_flag(probe.get(), IPPROTO_IPV6, IPV6_V6ONLY, is_wildcard(bind) ? 0 : 1);
  }
  NativeAddress address;
  const socklen_t size = to_native(bind, family, address);
  if (::bind(probe.get(), &address.any, size) != 0) return cannot_bind(bind);
  return {};
}

Status UdpSocket::Impl::set_up(const UdpOptions& options) {
  family = options.bind.is_v4() ? AF_INET : AF_INET6;
  if (options.shards > 1 && options.shard == 0 && options.bind.port != 0) {
    if (Status free = nobody_has(options.bind, family); !free) return free;
  }
  fd = ::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
  if (fd < 0) return system_failure("socket");
  if (options.shards > 1 && !set_flag(fd, SOL_SOCKET, SO_REUSEPORT)) {
    return system_failure("SO_REUSEPORT");
  }
  set_up_buffers(options);
  // IPv4 can come to an IPv6 socket, so that family's options are set there too.
  bool ok = set_flag(fd, IPPROTO_IP, IP_RECVTOS);
  set_flag(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
  if (family == AF_INET) {
    ok = ok && set_flag(fd, IPPROTO_IP, IP_PKTINFO);
  } else {
    ok = set_flag(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO) &&
         set_flag(fd, IPPROTO_IPV6, IPV6_RECVTCLASS) &&
         set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, is_wildcard(options.bind) ? 0 : 1);
    set_flag(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
  }
  if (!ok) return system_failure("setsockopt");
  if (options.merge) set_flag(fd, IPPROTO_UDP, UDP_GRO);
  set_flag(fd, SOL_SOCKET, SO_TIMESTAMPNS);  // without it nothing is known of waits
  // Setting 0 changes nothing, but fails on a kernel that cannot cut trains.
  gso = options.merge && set_flag(fd, IPPROTO_UDP, UDP_SEGMENT, 0);

  NativeAddress address;
  socklen_t size = to_native(options.bind, family, address);
  if (::bind(fd, &address.any, size) != 0) return cannot_bind(options.bind);
  if (options.shards > 1 && !steer_by_connection_id(fd, options.shards)) {
    return system_failure("SO_ATTACH_REUSEPORT_CBPF");
  }
  size = sizeof address;
  if (::getsockname(fd, &address.any, &size) != 0) return system_failure("getsockname");
  local = from_native(address);

  for (std::size_t i = 0; i < kSlots; ++i) {
    Envelope& envelope = in_envelopes[i];
    envelope.bytes = {memory.get() + i * kSlotBytes, kSlotBytes};
    msghdr& header = in_messages[i].msg_hdr;
    header.msg_name = &envelope.address;
    header.msg_iov = &envelope.bytes;
    header.msg_iovlen = 1;
    header.msg_control = envelope.control.data();
  }
  return {};
}

// ---- The system's buffers -----------------------------------------------------------------------

void UdpSocket::Impl::set_up_buffers(const UdpOptions& options) {
  in_max = largest_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, options.buffer_bytes);
  out_max = largest_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, options.buffer_bytes);
  stats.receive_buffer = in_max;
  stats.send_buffer = out_max;
  if (options.fixed_buffers) return;
  set_in(in_size.emplace(BufferRules{.most = in_max}).bytes());
  set_out(out_size.emplace(BufferRules{.most = out_max}).bytes());
}

void UdpSocket::Impl::set_in(std::uint64_t bytes) {
  if (bytes == stats.receive_buffer) return;
  stats.receive_buffer = bytes;
  set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, bytes);
}

void UdpSocket::Impl::set_out(std::uint64_t bytes) {
  if (bytes == stats.send_buffer) return;
  stats.send_buffer = bytes;
  set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, bytes);
}

std::uint32_t UdpSocket::Impl::drops() const {
  std::array<std::uint32_t, SK_MEMINFO_VARS> system{};
  socklen_t size = sizeof system;
  if (::getsockopt(fd, SOL_SOCKET, SO_MEMINFO, system.data(), &size) != 0) return 0;
  return system[SK_MEMINFO_DROPS];
}

void UdpSocket::fit(bool tight, TimePoint now) {
  Impl& self = *impl_;
  if (!self.in_size) return;
  const std::uint32_t drops = self.drops();
  self.in_size->look_in(drops != std::exchange(self.drops_seen, drops), tight);
  self.set_in(self.in_size->bytes());

  const std::uint64_t sent =
      self.stats.sent_bytes - std::exchange(self.sent_seen, self.stats.sent_bytes);
  const bool full =
      self.stats.send_blocked != std::exchange(self.blocked_seen, self.stats.send_blocked);
  const std::chrono::duration<double> took = now - std::exchange(self.fitted_at, now);
  if (took.count() <= 0) return;
  const double rate = static_cast<double>(sent) / took.count();
  self.out_size->look_out(full, static_cast<std::uint64_t>(rate), tight);
  self.set_out(self.out_size->bytes());
}

std::pair<int, int> UdpSocket::buffers_max() const {
  return {static_cast<int>(impl_->in_max), static_cast<int>(impl_->out_max)};
}

Result<std::unique_ptr<UdpSocket>> UdpSocket::open(const UdpOptions& options) {
  if (options.shards == 0 || options.shard >= options.shards) {
    return fail(Errc::invalid_argument, "shards");
  }
  auto impl = std::make_unique<Impl>();
  if (auto ok = impl->set_up(options); !ok) return std::unexpected(ok.error());
  return std::unique_ptr<UdpSocket>(new UdpSocket(std::move(impl)));
}

UdpSocket::UdpSocket(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
UdpSocket::~UdpSocket() = default;

void UdpSocket::trim() { memory::drop_pages({impl_->memory.get(), kSlots * kSlotBytes}); }
SocketAddress UdpSocket::local() const { return impl_->local; }
std::optional<SocketAddress> UdpSocket::source_for(const SocketAddress& to) const {
  const SocketAddress bound = local();
  return is_wildcard(bound) ? runtime::source_for(to) : bound;
}
bool UdpSocket::has(const SocketAddress& address) const { return is_ours(address); }
SocketStats UdpSocket::stats() const { return impl_->stats; }
bool UdpSocket::emptied() const { return impl_->emptied; }
std::optional<TimePoint> UdpSocket::read_at() const { return impl_->read_at; }
void UdpSocket::report(BoundedList& out) const {
  Bounded slots = bounded(Bounded::Kind::buffer, "datagrams of a turn", "read in the next turn", 0,
                          kSlots, kSlotBytes);
  out.push_back(slots);
  std::array<std::uint32_t, SK_MEMINFO_VARS> system{};
  socklen_t size = sizeof system;
  if (::getsockopt(impl_->fd, SOL_SOCKET, SO_MEMINFO, system.data(), &size) != 0) return;
  // The system looks before it takes a datagram, not after: one may stand above.
  const auto row = [&](std::string_view name, std::string_view when_full, std::size_t used,
                       std::size_t bound) {
    Bounded buffer = bounded(Bounded::Kind::buffer, name, when_full, 0, 0);
    buffer.bytes = system[used];
    buffer.bytes_max = system[bound] + 2 * kSlotBytes;
    out.push_back(buffer);
  };
  row("receive buffer of the system", "drop new", SK_MEMINFO_RMEM_ALLOC, SK_MEMINFO_RCVBUF);
  row("send buffer of the system", "writing pauses", SK_MEMINFO_WMEM_ALLOC, SK_MEMINFO_SNDBUF);
}
int UdpSocket::native_handle() const { return impl_->fd; }
bool UdpSocket::cuts_trains() const { return impl_->gso; }

// ---- In -----------------------------------------------------------------------------------------

std::span<Received> UdpSocket::receive() {
  Impl& self = *impl_;
  for (mmsghdr& message : self.in_messages) {
    message.msg_hdr.msg_namelen = sizeof(NativeAddress);
    message.msg_hdr.msg_controllen = kControlBytes;
  }
  ++self.stats.receive_calls;
  const int count = ::recvmmsg(self.fd, self.in_messages.data(), kSlots, MSG_DONTWAIT, nullptr);
  self.emptied = count < static_cast<int>(kSlots);  // it ends early only when nothing is left
  if (count <= 0) {
    self.stood = 0;
    return {};
  }
  self.read_at = system_now().mono;
  self.note_wait(self.in_messages[0].msg_hdr);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const mmsghdr& message = self.in_messages[i];
    if (message.msg_len == 0 || (message.msg_hdr.msg_flags & MSG_TRUNC) != 0) continue;
    Received& out = self.received[kept++];
    out = {};
    out.from = from_native(self.in_envelopes[i].address);
    out.to = self.local;
    out.data = {self.memory.get() + i * kSlotBytes, message.msg_len};
    out.segment = message.msg_len;
    self.read_details(message.msg_hdr, out);
    self.stats.received_datagrams += (out.data.size() + out.segment - 1) / out.segment;
    self.stats.received_bytes += out.data.size();
  }
  if (self.in_size) self.note_stood(kept);
  return std::span(self.received).first(kept);
}

/// What was read until it was empty stood there, or came meanwhile.
void UdpSocket::Impl::note_stood(std::size_t kept) {
  for (const Received& one : std::span(received).first(kept)) stood += one.data.size();
  if (in_size->stood(stood)) set_in(in_size->bytes());
  if (emptied) stood = 0;
}

/// By the wall clock, as the system stamps them: a step of it counts once, wrongly.
void UdpSocket::Impl::note_wait(const msghdr& oldest) {
  if (oldest.msg_controllen == 0) return;
  auto* const header = const_cast<msghdr*>(&oldest);  // CMSG_NXTHDR is not const-correct
  for (cmsghdr* at = CMSG_FIRSTHDR(header); at != nullptr; at = CMSG_NXTHDR(header, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_TIMESTAMPNS) continue;
    const auto came = read_control<timespec>(*at);
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    stats.read_wait.record(std::chrono::seconds(now.tv_sec - came.tv_sec) +
                           std::chrono::nanoseconds(now.tv_nsec - came.tv_nsec));
  }
}

void UdpSocket::Impl::read_details(const msghdr& header, Received& out) const {
  auto* const mutable_header = const_cast<msghdr*>(&header);  // CMSG_NXTHDR is not const-correct
  for (cmsghdr* at = CMSG_FIRSTHDR(mutable_header); at != nullptr;
       at = CMSG_NXTHDR(mutable_header, at)) {
    if (at->cmsg_level == IPPROTO_UDP && at->cmsg_type == UDP_GRO) {
      const int segment = read_control<int>(*at);
      if (segment > 0) out.segment = static_cast<std::size_t>(segment);
    } else if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_PKTINFO) {
      set_v4(out.to, read_control<in_pktinfo>(*at).ipi_addr);
    } else if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_PKTINFO) {
      const auto info = read_control<in6_pktinfo>(*at);
      std::memcpy(out.to.ip.data(), &info.ipi6_addr, 16);
    } else if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_TOS) {
      out.ecn = static_cast<std::uint8_t>(read_control<std::uint8_t>(*at) & kEcnMask);
    } else if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_TCLASS) {
      out.ecn = static_cast<std::uint8_t>(read_control<int>(*at) & kEcnMask);
    }
  }
}

// ---- Out ----------------------------------------------------------------------------------------

/// `whole`: the kernel cuts the train; otherwise it is one datagram.
void UdpSocket::Impl::fill(const Train& train, bool whole, mmsghdr& message,
                           Envelope& envelope) const {
  msghdr& header = message.msg_hdr;
  header = {};
  header.msg_name = &envelope.address;
  header.msg_namelen = to_native(train.to, family, envelope.address);
  envelope.bytes = {const_cast<std::byte*>(train.data.data()), train.data.size()};
  header.msg_iov = &envelope.bytes;
  header.msg_iovlen = 1;

  ControlWriter control(header, envelope.control.data());
  if (!is_wildcard(train.from)) {
    if (family == AF_INET) {
      in_pktinfo source{};
      std::memcpy(&source.ipi_spec_dst, train.from.ip.data() + 12, 4);
      control.add(IPPROTO_IP, IP_PKTINFO, source);
    } else {
      in6_pktinfo source{};
      std::memcpy(&source.ipi6_addr, train.from.ip.data(), 16);
      control.add(IPPROTO_IPV6, IPV6_PKTINFO, source);
    }
  }
  if (train.ecn != 0) {
    const int mark = train.ecn & kEcnMask;
    if (family == AF_INET || train.to.is_v4()) {
      control.add(IPPROTO_IP, IP_TOS, mark);
    } else {
      control.add(IPPROTO_IPV6, IPV6_TCLASS, mark);
    }
  }
  if (whole && train.data.size() > train.segment) {
    control.add(IPPROTO_UDP, UDP_SEGMENT, static_cast<std::uint16_t>(train.segment));
  }
  control.done();
}

std::size_t UdpSocket::send(std::span<const Train> trains) {
  Impl& self = *impl_;
  std::size_t taken = 0;
  while (taken < trains.size()) {
    const Train& next = trains[taken];
    const bool cut_here = !self.gso && next.data.size() > next.segment;
    const std::size_t n = cut_here ? static_cast<std::size_t>(self.send_cut(next))
                                   : self.send_some(trains.subspan(taken));
    if (n == 0) {
      ++self.stats.send_blocked;
      break;
    }
    taken += n;
  }
  return taken;
}

/// One system call; returns how many trains are done with, 0 when the socket is full.
std::size_t UdpSocket::Impl::send_some(std::span<const Train> trains) {
  std::size_t count = 0;
  for (const Train& train : trains.first(std::min(trains.size(), kMessagesMax))) {
    if (!gso && train.data.size() > train.segment) break;
    fill(train, true, out_messages[count], out_envelopes[count]);
    ++count;
  }
  ++stats.send_calls;
  const int sent = ::sendmmsg(fd, out_messages.data(), static_cast<unsigned>(count), MSG_DONTWAIT);
  if (sent < 0) return drop_after_error(errno, trains.front()) ? 1 : 0;
  for (const Train& train : trains.first(static_cast<std::size_t>(sent))) {
    stats.sent_datagrams += (train.data.size() + train.segment - 1) / train.segment;
    stats.sent_bytes += train.data.size();
  }
  return static_cast<std::size_t>(sent);
}

/// The front train failed: true if it is done with, false if the socket is full.
bool UdpSocket::Impl::drop_after_error(int number, const Train& train) {
  if (number == EAGAIN) return false;
  const bool merged = train.data.size() > train.segment;
  if (merged && (number == EIO || number == EINVAL || number == EMSGSIZE)) {
    // EIO: the device cannot cut, and will not learn. The others are about this train only.
    if (number == EIO) gso = false;
    return send_cut(train);
  }
  // EMSGSIZE is how path MTU discovery hears no. All else (no route, no buffers, filtered) is loss
  // to QUIC, which finds out by itself.
  ++stats.send_errors;
  return true;
}

/// Cuts the train here. If the socket is full in the middle the rest is lost, as on a full queue.
bool UdpSocket::Impl::send_cut(const Train& train) {
  Bytes rest = train.data;
  bool any = false;
  while (!rest.empty()) {
    std::size_t count = 0;
    Bytes ahead = rest;
    while (!ahead.empty() && count < kMessagesMax) {
      Train one = train;
      one.data = ahead.first(std::min(train.segment, ahead.size()));
      ahead = ahead.subspan(one.data.size());
      fill(one, false, out_messages[count], out_envelopes[count]);
      ++count;
    }
    ++stats.send_calls;
    const int sent =
        ::sendmmsg(fd, out_messages.data(), static_cast<unsigned>(count), MSG_DONTWAIT);
    if (sent < 0) {
      const bool full = errno == EAGAIN;
      if (full && !any) return false;
      ++stats.send_errors;
      if (full) return true;
      rest = rest.subspan(std::min(train.segment, rest.size()));  // this one is lost
      any = true;
      continue;
    }
    any = true;
    for (int i = 0; i < sent; ++i) {
      const std::size_t size = std::min(train.segment, rest.size());
      ++stats.sent_datagrams;
      stats.sent_bytes += size;
      rest = rest.subspan(size);
    }
  }
  return true;
}

}  // namespace qudag::runtime
