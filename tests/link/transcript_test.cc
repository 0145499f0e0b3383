// What section 3 of docs/reference/protocol.md says of TLS and of transport parameters, seen in the
// bytes of a handshake: a second implementation meets exactly this.
#include "link/transcript.h"

#include "crypto/identity.h"
#include "vectors/vectors.h"

#include <openssl/evp.h>

namespace qudag::link::testing {
namespace {

using test::hex;

// RFC 8446, 4.
enum : std::uint8_t {
  kClientHello = 1,
  kServerHello = 2,
  kEncryptedExtensions = 8,
  kCertificate = 11,
  kCertificateRequest = 13,
  kCertificateVerify = 15,
  kFinished = 20,
};

/// SubjectPublicKeyInfo of ML-DSA-65 (RFC 9881, 4): what comes before the 1952 bytes of the key.
constexpr const char* kSpkiPrefix = "308207b2300b0609608648016503040312038207a100";

struct Handshake {
  explicit Handshake(EndpointOptions dialer_options = {}, EndpointOptions acceptor_options = {})
      : net(3),
        dialer(net.add(with_log(std::move(dialer_options)))),
        acceptor(net.add(std::move(acceptor_options))),
        transcript(net, dialer.address) {
    const auto dialed = dialer->dial(acceptor.id(), acceptor.address, dialer.address, net.now());
    EXPECT_TRUE(dialed);
    EXPECT_TRUE(net.run(10s, [&] { return !acceptor.events.ready.empty(); }));
  }

  EndpointOptions with_log(EndpointOptions options) {
    options.keylog = [this](std::string_view line) { lines.emplace_back(line); };
    return options;
  }

  std::vector<TlsMessage> of(Transcript::Side side) {
    for (const std::string& line : lines) transcript.log(line);
    return transcript.messages(side);
  }

  std::vector<std::string> lines;
  Net net;
  Peer& dialer;
  Peer& acceptor;
  Transcript transcript;
};

std::vector<std::uint8_t> types_of(const std::vector<TlsMessage>& messages) {
  std::vector<std::uint8_t> out;
  for (const TlsMessage& message : messages) out.push_back(message.type);
  return out;
}

std::map<unsigned, Bytes> client_extensions(const TlsMessage& hello) {
  Cursor in(hello.body);
  in.take(2 + 32), in.vector(1), in.vector(2), in.vector(1);
  return extensions_of(in.vector(2));
}

/// Whether the bytes are an encapsulation key of ML-KEM-768: every coefficient is below q
/// (FIPS 203, 7.2). Other bytes are not, but for a chance of 2^-250.
bool is_mlkem_key(Bytes bytes) {
  for (std::size_t at = 0; at + 3 <= 1152; at += 3) {
    const auto b = [&](std::size_t i) { return std::to_integer<unsigned>(bytes[at + i]); };
    if ((b(0) | (b(1) & 15u) << 8) >= 3329 || (b(1) >> 4 | b(2) << 4) >= 3329) return false;
  }
  return true;
}

TEST(Transcript, FlightsOfBothSides) {
  Handshake handshake;
  EXPECT_EQ(types_of(handshake.of(Transcript::kDialer)),
            (std::vector<std::uint8_t>{kClientHello, kCertificate, kCertificateVerify, kFinished}));
  EXPECT_EQ(types_of(handshake.of(Transcript::kAcceptor)),
            (std::vector<std::uint8_t>{kServerHello, kEncryptedExtensions, kCertificateRequest,
                                       kCertificate, kCertificateVerify, kFinished}));
}

TEST(Transcript, WhatADialerOffers) {
  Handshake handshake;
  const TlsMessage hello = handshake.of(Transcript::kDialer).at(0);
  Cursor in(hello.body);
  EXPECT_EQ(in.number(2), 0x0303u);
  in.take(32);
  EXPECT_TRUE(in.vector(1).empty()) << "no session id (RFC 9001, 8.4)";
  EXPECT_EQ(hex(in.vector(2)), "13021303");
  EXPECT_EQ(hex(in.vector(1)), "00");

  auto extensions = client_extensions(hello);
  EXPECT_EQ(hex(extensions[10]), "000211ec") << "supported_groups";
  EXPECT_EQ(hex(extensions[13]), "00020905") << "signature_algorithms";
  EXPECT_EQ(hex(extensions[16]),
            "0008"
            "07"
            "71756461672f31")
      << "ALPN";
  EXPECT_EQ(hex(extensions[19]), "0102") << "client_certificate_type";
  EXPECT_EQ(hex(extensions[20]), "0102") << "server_certificate_type";
  EXPECT_EQ(hex(extensions[43]), "020304") << "supported_versions";
  for (const unsigned never : {0u, 35u, 41u, 42u}) {
    EXPECT_FALSE(extensions.contains(never)) << "server name, tickets, resumption, early data";
  }
  // key_share: one, ML-KEM's part first.
  Cursor shares(extensions[51]);
  Cursor share(shares.vector(2));
  EXPECT_EQ(share.number(2), 0x11ecu);
  const Bytes key = share.vector(2);
  EXPECT_TRUE(share.done());
  ASSERT_EQ(key.size(), 1184u + 32u);
  EXPECT_TRUE(is_mlkem_key(key));
  EXPECT_FALSE(is_mlkem_key(key.subspan(32))) << "X25519 comes last";
  std::vector<unsigned> numbers;
  for (const auto& [number, body] : extensions) numbers.push_back(number);
  EXPECT_EQ(numbers, (std::vector<unsigned>{10, 13, 16, 19, 20, 43, 45, 51, 57}));
}

TEST(Transcript, WhatAnAcceptorChooses) {
  Handshake handshake;
  const auto messages = handshake.of(Transcript::kAcceptor);
  Cursor hello(messages.at(0).body);
  hello.take(2 + 32), hello.vector(1);
  EXPECT_EQ(hello.number(2), 0x1302u);
  hello.take(1);
  auto chosen = extensions_of(hello.vector(2));
  EXPECT_EQ(hex(chosen[43]), "0304");
  Cursor share(chosen[51]);
  EXPECT_EQ(share.number(2), 0x11ecu);
  EXPECT_EQ(share.vector(2).size(), 1088u + 32u);
  EXPECT_EQ(chosen.size(), 2u);

  Cursor encrypted(messages.at(1).body);
  auto extensions = extensions_of(encrypted.vector(2));
  EXPECT_EQ(hex(extensions[16]),
            "0008"
            "07"
            "71756461672f31");
  EXPECT_EQ(hex(extensions[19]), "02") << "client_certificate_type";
  EXPECT_EQ(hex(extensions[20]), "02") << "server_certificate_type";
  EXPECT_TRUE(extensions.contains(57));

  Cursor request(messages.at(2).body);
  EXPECT_TRUE(request.vector(1).empty()) << "context";
  auto asked = extensions_of(request.vector(2));
  EXPECT_EQ(hex(asked[13]), "00020905");
}

/// The key of a Certificate message: one entry, a SubjectPublicKeyInfo, no extensions.
Bytes raw_key(const TlsMessage& certificate) {
  Cursor in(certificate.body);
  EXPECT_TRUE(in.vector(1).empty()) << "context";
  Cursor list(in.vector(3));
  EXPECT_TRUE(in.done());
  const Bytes info = list.vector(3);
  EXPECT_TRUE(list.vector(2).empty()) << "extensions";
  EXPECT_TRUE(list.done()) << "one entry";
  EXPECT_EQ(info.size(), 1974u);
  EXPECT_EQ(hex(info.first(22)), kSpkiPrefix);
  return info.subspan(22);
}

NodeId id_of(Bytes key) {
  return crypto::id_of(std::span<const std::byte, crypto::kIdentityPublicSize>(key));
}

/// What a CertificateVerify signs (RFC 8446, 4.4.3), of a transcript of SHA-384.
std::vector<std::byte> signed_text(const std::string& label, std::vector<TlsMessage> until) {
  std::vector<std::byte> out(64, std::byte{0x20});
  for (const char c : label) out.push_back(static_cast<std::byte>(c));
  out.push_back(std::byte{0});
  std::vector<std::byte> all;
  for (const TlsMessage& message : until) {
    all.insert(all.end(), message.whole.begin(), message.whole.end());
  }
  std::array<unsigned char, 48> digest;
  EVP_Digest(all.data(), all.size(), digest.data(), nullptr, EVP_sha384(), nullptr);
  for (const unsigned char byte : digest) out.push_back(std::byte{byte});
  return out;
}

bool is_signed(const TlsMessage& verify, Bytes key, std::string_view context, Bytes text) {
  Cursor in(verify.body);
  EXPECT_EQ(in.number(2), 0x0905u);
  const Bytes signature = in.vector(2);
  EXPECT_EQ(signature.size(), crypto::kSignatureSize);
  return crypto::verify(std::span<const std::byte, crypto::kIdentityPublicSize>(key), context, text,
                        std::span<const std::byte, crypto::kSignatureSize>(signature));
}

TEST(Transcript, RawKeysAndSignaturesWithAnEmptyContext) {
  for (const bool known : {false, true}) {
    Handshake handshake({.known = known});
    const auto theirs = handshake.of(Transcript::kAcceptor);
    const auto ours = handshake.of(Transcript::kDialer);
    const Bytes acceptor_key = raw_key(theirs.at(3));
    EXPECT_EQ(id_of(acceptor_key), handshake.acceptor.id());
    const auto text = signed_text("TLS 1.3, server CertificateVerify",
                                  {ours[0], theirs[0], theirs[1], theirs[2], theirs[3]});
    EXPECT_TRUE(is_signed(theirs.at(4), acceptor_key, "", text));
    EXPECT_FALSE(is_signed(theirs.at(4), acceptor_key, "qudag/1 message", text));

    const Bytes dialer_key = raw_key(ours.at(1));
    EXPECT_EQ(id_of(dialer_key) == handshake.dialer.id(), known);
    const auto answer = signed_text(
        "TLS 1.3, client CertificateVerify",
        {ours[0], theirs[0], theirs[1], theirs[2], theirs[3], theirs[4], theirs[5], ours[1]});
    EXPECT_TRUE(is_signed(ours.at(2), dialer_key, "", answer));
  }
}

// ---- Transport parameters (RFC 9000, 18.2) ------------------------------------------------------

std::map<std::uint64_t, Bytes> parameters_of(Bytes list) {
  std::map<std::uint64_t, Bytes> out;
  for (Cursor in(list); !in.done();) {
    const std::uint64_t number = in.varint();
    EXPECT_TRUE(out.emplace(number, in.take(in.varint())).second) << "twice: " << number;
  }
  return out;
}

std::vector<std::uint64_t> numbers_of(const std::map<std::uint64_t, Bytes>& parameters) {
  std::vector<std::uint64_t> out;
  for (const auto& [number, value] : parameters) out.push_back(number);
  return out;
}

std::uint64_t value(const std::map<std::uint64_t, Bytes>& parameters, std::uint64_t number) {
  const auto found = parameters.find(number);
  EXPECT_NE(found, parameters.end()) << number;
  return found == parameters.end() ? 0 : Cursor(found->second).varint();
}

TEST(Transcript, TransportParametersOfBothSides) {
  const EndpointOptions options{.streams_per_link_max = 77,
                                .stream_window_bytes = 256 * 1024,
                                .link_window_bytes = 4 << 20,
                                .idle_timeout = 30s};
  Handshake handshake(options, options);
  auto dialer = parameters_of(client_extensions(handshake.of(Transcript::kDialer).at(0))[57]);
  Cursor encrypted(handshake.of(Transcript::kAcceptor).at(1).body);
  auto acceptor = parameters_of(extensions_of(encrypted.vector(2))[57]);

  for (const auto& [parameters, control] : {std::pair(dialer, 0u), std::pair(acceptor, 1u)}) {
    EXPECT_EQ(value(parameters, 0x01), 30'000u) << "max_idle_timeout, milliseconds";
    EXPECT_EQ(value(parameters, 0x04), 4u << 20) << "initial_max_data";
    EXPECT_EQ(value(parameters, 0x05), 256u << 10) << "initial_max_stream_data_bidi_local";
    EXPECT_EQ(value(parameters, 0x06), 256u << 10) << "initial_max_stream_data_bidi_remote";
    EXPECT_EQ(value(parameters, 0x08), 77u + control) << "initial_max_streams_bidi";
    EXPECT_EQ(value(parameters, 0x0e), 5u) << "active_connection_id_limit";
    for (const std::uint64_t absent : {0x07, 0x09, 0x0c, 0x20}) {
      EXPECT_FALSE(parameters.contains(absent)) << "0, or no migration, or datagrams: " << absent;
    }
  }
  EXPECT_EQ(numbers_of(dialer),
            (std::vector<std::uint64_t>{0x01, 0x04, 0x05, 0x06, 0x08, 0x0e, 0x0f, 0x11}));
  EXPECT_EQ(numbers_of(acceptor), (std::vector<std::uint64_t>{0x00, 0x01, 0x02, 0x04, 0x05, 0x06,
                                                              0x08, 0x0e, 0x0f, 0x11}));
  EXPECT_EQ(hex(dialer[0x11]), "0000000100000001") << "version_information (RFC 9368)";
  EXPECT_EQ(hex(acceptor[0x11]), "0000000100000001");
  EXPECT_EQ(dialer[0x0f].size(), 12u) << "initial_source_connection_id";
  EXPECT_EQ(acceptor[0x00].size(), 18u) << "original_destination_connection_id";
  EXPECT_EQ(acceptor[0x02].size(), 16u) << "stateless_reset_token";
}

}  // namespace
}  // namespace qudag::link::testing
