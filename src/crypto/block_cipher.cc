#include "crypto/block_cipher.h"

#include "crypto/openssl.h"

namespace qudag::crypto {
namespace {

using openssl::must;

CipherContext context(const Key256& key, int encrypts) {
  static const EVP_CIPHER* const ecb =
      openssl::must_have(EVP_CIPHER_fetch(nullptr, "AES-256-ECB", nullptr));
  CipherContext ctx(openssl::must_have(EVP_CIPHER_CTX_new()));
  must(EVP_CipherInit_ex2(ctx.get(), ecb, u8(key.span()), nullptr, encrypts, nullptr));
  must(EVP_CIPHER_CTX_set_padding(ctx.get(), 0));
  return ctx;
}

BlockCipher::Block one(EVP_CIPHER_CTX* ctx, const BlockCipher::Block& block) {
  BlockCipher::Block out;
  int written = 0;
  must(EVP_CipherUpdate(ctx, u8(MutableBytes(out)), &written, u8(Bytes(block)),
                        static_cast<int>(block.size())));
  QUDAG_ASSERT(static_cast<std::size_t>(written) == out.size());
  return out;
}

}  // namespace

BlockCipher::BlockCipher(const Key256& key)
    : encrypt_(context(key, 1)), decrypt_(context(key, 0)) {}

BlockCipher::Block BlockCipher::encrypt(const Block& block) const {
  return one(encrypt_.get(), block);
}
BlockCipher::Block BlockCipher::decrypt(const Block& block) const {
  return one(decrypt_.get(), block);
}

}  // namespace qudag::crypto
