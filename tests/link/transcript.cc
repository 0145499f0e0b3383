#include "link/transcript.h"

#include "vectors/vectors.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

namespace qudag::link::testing {
namespace {

constexpr std::size_t kTagBytes = 16;
constexpr std::size_t kSampleBytes = 16;

using Vector = std::vector<std::byte>;

const unsigned char* native(Bytes bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

Vector hmac(const EVP_MD* md, Bytes key, Bytes data) {
  Vector out(static_cast<std::size_t>(EVP_MD_get_size(md)));
  HMAC(md, key.data(), static_cast<int>(key.size()), native(data), data.size(),
       reinterpret_cast<unsigned char*>(out.data()), nullptr);
  return out;
}

/// HKDF-Expand-Label (RFC 8446, 7.1) without context; no more than one block of output.
Vector expand_label(const EVP_MD* md, Bytes secret, const std::string& label, std::size_t size) {
  const std::string full = "tls13 " + label;
  Vector info{std::byte{0}, static_cast<std::byte>(size), static_cast<std::byte>(full.size())};
  for (const char c : full) info.push_back(static_cast<std::byte>(c));
  info.push_back(std::byte{0});
  info.push_back(std::byte{1});  // the counter of HKDF-Expand
  Vector out = hmac(md, secret, info);
  EXPECT_GE(out.size(), size);
  out.resize(size);
  return out;
}

std::array<std::byte, kSampleBytes> mask_of(const EVP_CIPHER* cipher, Bytes key, Bytes sample) {
  std::array<std::byte, kSampleBytes> out{};
  EVP_CIPHER_CTX* const ctx = EVP_CIPHER_CTX_new();
  int n = 0;
  EVP_EncryptInit_ex(ctx, cipher, nullptr, native(key), nullptr);
  EVP_EncryptUpdate(ctx, reinterpret_cast<unsigned char*>(out.data()), &n, native(sample),
                    static_cast<int>(sample.size()));
  EVP_CIPHER_CTX_free(ctx);
  return out;
}

/// AES-GCM; nothing if the tag is wrong.
std::optional<Vector> open(const EVP_CIPHER* cipher, Bytes key, Bytes nonce, Bytes header,
                           Bytes sealed) {
  Vector out(sealed.size() - kTagBytes);
  Vector tag(sealed.end() - kTagBytes, sealed.end());
  EVP_CIPHER_CTX* const ctx = EVP_CIPHER_CTX_new();
  int n = 0;
  EVP_DecryptInit_ex(ctx, cipher, nullptr, native(key), native(nonce));
  EVP_DecryptUpdate(ctx, nullptr, &n, native(header), static_cast<int>(header.size()));
  EVP_DecryptUpdate(ctx, reinterpret_cast<unsigned char*>(out.data()), &n, native(sealed),
                    static_cast<int>(out.size()));
  EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data());
  std::array<unsigned char, 16> rest;
  const bool good = EVP_DecryptFinal_ex(ctx, rest.data(), &n) == 1;
  EVP_CIPHER_CTX_free(ctx);
  return good ? std::optional(out) : std::nullopt;
}

}  // namespace

Bytes Cursor::take(std::size_t size) {
  EXPECT_LE(size, rest_.size()) << "short";
  size = std::min(size, rest_.size());
  const Bytes out = rest_.first(size);
  rest_ = rest_.subspan(size);
  return out;
}

std::uint64_t Cursor::number(std::size_t bytes) {
  std::uint64_t out = 0;
  for (const std::byte b : take(bytes)) out = out << 8 | std::to_integer<std::uint64_t>(b);
  return out;
}

std::uint64_t Cursor::varint() {
  if (rest_.empty()) return number(1);
  const auto bits = std::to_integer<unsigned>(rest_[0]) >> 6;
  const std::size_t bytes = std::size_t{1} << bits;
  return number(bytes) & ~(std::uint64_t{3} << (8 * bytes - 2));
}

struct Transcript::Keys {
  const EVP_MD* md;
  const EVP_CIPHER* aead;
  const EVP_CIPHER* header;
  std::size_t key_bytes;
  Vector secret;
};

Transcript::Transcript(Net& net, SocketAddress dialer) : dialer_(dialer) {
  net.tap = [this](const SocketAddress& from, const SocketAddress&, Bytes datagram) {
    datagrams_.emplace_back(from == dialer_ ? kDialer : kAcceptor,
                            Vector(datagram.begin(), datagram.end()));
  };
}

/// "LABEL client_random secret" (the NSS key log format).
void Transcript::log(std::string_view line) {
  while (!line.empty() && line.back() == '\n') line.remove_suffix(1);
  const std::string label(line.substr(0, line.find(' ')));
  secrets_[label] = test::unhex(line.substr(line.rfind(' ') + 1));
}

Transcript::Keys Transcript::keys_of(Side side, Level level) const {
  if (level == kInitial) {  // RFC 9001, 5.2
    const auto salt = test::unhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a");
    const Vector initial = hmac(EVP_sha256(), salt, first_id_);
    const std::string label = side == kDialer ? "client in" : "server in";
    return {EVP_sha256(), EVP_aes_128_gcm(), EVP_aes_128_ecb(), 16,
            expand_label(EVP_sha256(), initial, label, 32)};
  }
  const auto found = secrets_.find(side == kDialer ? "CLIENT_HANDSHAKE_TRAFFIC_SECRET"
                                                   : "SERVER_HANDSHAKE_TRAFFIC_SECRET");
  EXPECT_NE(found, secrets_.end());
  return {EVP_sha384(), EVP_aes_256_gcm(), EVP_aes_256_ecb(), 32, found->second};
}

void Transcript::read_datagram(Side side, Bytes datagram) {
  while (!datagram.empty() && (std::to_integer<unsigned>(datagram[0]) & 0x80u) != 0) {
    Cursor in(datagram);
    const auto type = in.number(1) >> 4 & 3u;  // 0 Initial, 2 Handshake
    EXPECT_EQ(in.number(4), 1u) << "QUIC version 1";
    const Bytes to = in.vector(1);
    in.vector(1);
    if (type == 0) {
      if (side == kDialer && first_id_.empty()) first_id_.assign(to.begin(), to.end());
      in.take(in.varint());  // token
    }
    const std::size_t length = in.varint();
    const std::size_t number_at = datagram.size() - in.left();
    if (type != 0 && type != 2) return;
    read_packet(side, type == 0 ? kInitial : kHandshake, datagram.first(number_at + length),
                number_at);
    datagram = datagram.subspan(number_at + length);
  }
}

void Transcript::read_packet(Side side, Level level, Bytes packet, std::size_t number_at) {
  const Keys keys = keys_of(side, level);
  const Vector key = expand_label(keys.md, keys.secret, "quic key", keys.key_bytes);
  const Vector hp = expand_label(keys.md, keys.secret, "quic hp", keys.key_bytes);
  Vector nonce = expand_label(keys.md, keys.secret, "quic iv", 12);

  Vector header(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(number_at + 4));
  const auto mask = mask_of(keys.header, hp, packet.subspan(number_at + 4, kSampleBytes));
  header[0] ^= mask[0] & std::byte{0x0f};
  const std::size_t number_bytes = (std::to_integer<std::size_t>(header[0]) & 3u) + 1;
  header.resize(number_at + number_bytes);
  for (std::size_t i = 0; i < number_bytes; ++i) {
    header[number_at + i] ^= mask[1 + i];
    nonce[12 - number_bytes + i] ^= header[number_at + i];
  }
  const auto text = open(keys.aead, key, nonce, header, packet.subspan(header.size()));
  ASSERT_TRUE(text);
  Cursor in(*text);
  while (!in.done()) {
    const std::uint64_t frame = in.varint();
    if (frame <= 1) continue;        // PADDING, PING
    if (frame == 2 || frame == 3) {  // ACK
      in.varint(), in.varint();
      for (std::uint64_t ranges = 2 * in.varint() + 1; ranges > 0; --ranges) in.varint();
      for (int i = 0; frame == 3 && i < 3; ++i) in.varint();
      continue;
    }
    if (frame != 6) return;  // CONNECTION_CLOSE
    const std::uint64_t offset = in.varint();
    const Bytes data = in.take(in.varint());
    crypto_[side][level][offset] = Vector(data.begin(), data.end());
  }
}

std::vector<TlsMessage> Transcript::messages(Side side) {
  if (!read_) {
    read_ = true;
    for (const auto& [from, datagram] : datagrams_) read_datagram(from, datagram);
    for (const Side one : {kDialer, kAcceptor}) {
      for (const auto& level : crypto_[one]) {
        std::uint64_t end = 0;
        for (const auto& [offset, data] : level) {  // pieces may come twice
          if (offset + data.size() <= end) continue;
          EXPECT_LE(offset, end) << "a hole";
          flat_[one].insert(flat_[one].end(),
                            data.begin() + static_cast<std::ptrdiff_t>(end - offset), data.end());
          end = offset + data.size();
        }
      }
    }
  }
  std::vector<TlsMessage> out;
  Bytes rest(flat_[side]);
  while (rest.size() >= 4) {
    Cursor in(rest);
    TlsMessage message{static_cast<std::uint8_t>(in.number(1)), in.vector(3), {}};
    message.whole = rest.first(4 + message.body.size());
    rest = rest.subspan(message.whole.size());
    out.push_back(message);
  }
  return out;
}

std::map<unsigned, Bytes> extensions_of(Bytes list) {
  std::map<unsigned, Bytes> out;
  for (Cursor in(list); !in.done();) {
    const auto number = static_cast<unsigned>(in.number(2));
    EXPECT_TRUE(out.emplace(number, in.vector(2)).second) << "twice: " << number;
  }
  return out;
}

}  // namespace qudag::link::testing
