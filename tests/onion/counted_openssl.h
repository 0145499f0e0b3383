// OpenSSL's allocations are counted with the others of this test binary.
#pragma once

namespace qudag::onion::test {

/// False if OpenSSL had allocated before the counter was in place.
bool openssl_is_counted();

}  // namespace qudag::onion::test
