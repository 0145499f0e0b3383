// The glue between ngtcp2's C callbacks and Connection: nothing is decided here.
#include "link/connection/connection.h"
#include "link/tls/packet_cipher.h"

#include <ngtcp2/ngtcp2_crypto.h>

namespace qudag::link {

struct Callbacks {
  static Connection& self(void* user_data) { return *static_cast<Connection*>(user_data); }
  static int result(bool ok) { return ok ? 0 : NGTCP2_ERR_CALLBACK_FAILURE; }

  static int client_initial(ngtcp2_conn*, void* user_data) {
    return self(user_data).on_client_initial();
  }

  static int recv_crypto_data(ngtcp2_conn*, ngtcp2_encryption_level, std::uint64_t,
                              const std::uint8_t* data, std::size_t size, void* user_data) {
    return self(user_data).on_crypto_data({reinterpret_cast<const std::byte*>(data), size});
  }

  static int handshake_completed(ngtcp2_conn*, void* user_data) {
    return result(self(user_data).on_handshake_completed());
  }

  static int handshake_confirmed(ngtcp2_conn*, void* user_data) {
    self(user_data).on_handshake_confirmed();
    return 0;
  }

  static int recv_stream_data(ngtcp2_conn*, std::uint32_t flags, std::int64_t, std::uint64_t,
                              const std::uint8_t* data, std::size_t size, void* user_data,
                              void* stream) {
    const Bytes bytes(reinterpret_cast<const std::byte*>(data), size);
    const bool fin = (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0;
    return result(self(user_data).on_stream_data(*static_cast<Stream*>(stream), bytes, fin));
  }

  static int forgives_loss(ngtcp2_conn*, ngtcp2_tstamp, void* user_data) {
    return self(user_data).forgives_loss() ? 1 : 0;
  }

  static int acked_stream_data(ngtcp2_conn*, std::int64_t, std::uint64_t, std::uint64_t size,
                               void* user_data, void* stream) {
    self(user_data).on_acked(*static_cast<Stream*>(stream), static_cast<std::size_t>(size));
    return 0;
  }

  static int stream_open(ngtcp2_conn*, std::int64_t index, void* user_data) {
    return result(self(user_data).on_stream_opened(index));
  }

  static int stream_close(ngtcp2_conn*, std::uint32_t flags, std::int64_t, std::uint64_t code,
                          void* user_data, void* stream) {
    const bool has_code = (flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET) != 0;
    self(user_data).on_stream_freed(*static_cast<Stream*>(stream), has_code ? code : 0);
    return 0;
  }

  static int stream_reset(ngtcp2_conn*, std::int64_t, std::uint64_t, std::uint64_t code,
                          void* user_data, void* stream) {
    self(user_data).on_stream_ended(*static_cast<Stream*>(stream), code);
    return 0;
  }

#if NGTCP2_VERSION_NUM >= 0x011800
  static int recv_stop_sending(ngtcp2_conn*, std::int64_t, std::uint64_t code, void* user_data,
                               void* stream) {
    self(user_data).on_stream_ended(*static_cast<Stream*>(stream), code);
    return 0;
  }
#endif

  static int extend_max_stream_data(ngtcp2_conn*, std::int64_t, std::uint64_t, void* user_data,
                                    void* opaque) {
    auto& stream = *static_cast<Stream*>(opaque);
    stream.blocked = false;
    if (!stream.gone && stream.queued_bytes() > 0) self(user_data).streams_.turns().add(stream);
    return 0;
  }

  static void rand(std::uint8_t* out, std::size_t size, const ngtcp2_rand_ctx* context) {
    static_cast<Rng*>(context->native_handle)->fill({reinterpret_cast<std::byte*>(out), size});
  }

  static int get_new_connection_id(ngtcp2_conn*, ngtcp2_cid* cid,
                                   ngtcp2_stateless_reset_token* token, std::size_t,
                                   void* user_data) {
    Connection& link = self(user_data);
    Shared& shared = link.shared_;
    *cid = make_cid(shared.rng, shared.options.shard, shared.options.shards);
    if (ngtcp2_crypto_generate_stateless_reset_token(token->data, native(shared.reset_secret),
                                                     Key256::size(), cid) != 0) {
      return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    return result(link.routes_.add(*cid));
  }

  static int recv_new_token(ngtcp2_conn*, const std::uint8_t* token, std::size_t size,
                            void* user_data) {
    self(user_data).on_new_token({reinterpret_cast<const std::byte*>(token), size});
    return 0;
  }

  static int remove_connection_id(ngtcp2_conn*, const ngtcp2_cid* cid, void* user_data) {
    self(user_data).routes_.remove(*cid);
    return 0;
  }

  static int dcid_status(ngtcp2_conn*, ngtcp2_connection_id_status_type type, std::uint64_t,
                         const ngtcp2_cid*, const ngtcp2_stateless_reset_token* token,
                         void* user_data) {
    if (token == nullptr) return 0;
    Connection& link = self(user_data);
    ResetToken key;
    std::memcpy(key.data(), token->data, key.size());
    if (type == NGTCP2_CONNECTION_ID_STATUS_TYPE_ACTIVATE) {
      link.shared_.reset_tokens.try_emplace(key, &link);
    } else if (const auto found = link.shared_.reset_tokens.find(key);
               found != link.shared_.reset_tokens.end() && found->second == &link) {
      link.shared_.reset_tokens.erase(found);
    }
    return 0;
  }

  static int path_challenge(ngtcp2_conn*, ngtcp2_path_challenge_data* data, void* user_data) {
    self(user_data).shared_.rng.fill({reinterpret_cast<std::byte*>(data->data), sizeof data->data});
    return 0;
  }

  static int select_preferred_addr(ngtcp2_conn*, ngtcp2_path* path,
                                   const ngtcp2_preferred_addr* told, void* user_data) {
    self(user_data).on_preferred_address(*path, *told);
    return 0;
  }

  static int path_validation(ngtcp2_conn* conn, std::uint32_t flags, const ngtcp2_path*,
                             const ngtcp2_path*, ngtcp2_path_validation_result result,
                             void* user_data) {
    const bool preferred = (flags & NGTCP2_PATH_VALIDATION_FLAG_PREFERRED_ADDR) != 0;
    if (preferred && ngtcp2_conn_is_server(conn) == 0) {
      self(user_data).on_preferred_validated(result == NGTCP2_PATH_VALIDATION_RESULT_SUCCESS);
    }
    return 0;
  }

  static ngtcp2_callbacks table() {
    ngtcp2_callbacks out{};
    out.client_initial = client_initial;
    out.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
    out.recv_crypto_data = recv_crypto_data;
    out.handshake_completed = handshake_completed;
    out.handshake_confirmed = handshake_confirmed;
    out.encrypt = packet_encrypt();
    out.decrypt = packet_decrypt();
    out.hp_mask = ngtcp2_crypto_hp_mask_cb;
    out.recv_stream_data = recv_stream_data;
    out.acked_stream_data_offset = acked_stream_data;
    out.stream_open = stream_open;
    out.stream_close = stream_close;
    out.recv_new_token = recv_new_token;
    out.recv_retry = ngtcp2_crypto_recv_retry_cb;
    out.rand = rand;
    out.select_preferred_addr = select_preferred_addr;
    out.path_validation = path_validation;
    out.remove_connection_id = remove_connection_id;
    out.update_key = ngtcp2_crypto_update_key_cb;
    out.stream_reset = stream_reset;
    out.extend_max_stream_data = extend_max_stream_data;
    out.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
    out.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
    out.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
    out.get_new_connection_id2 = get_new_connection_id;
    out.dcid_status2 = dcid_status;
    out.get_path_challenge_data2 = path_challenge;
#if NGTCP2_VERSION_NUM >= 0x011800
    out.recv_stop_sending = recv_stop_sending;
#endif
    return out;
  }
};

#ifdef NGTCP2_QUDAG_FORGIVE_LOSS
bool forgives_losses() { return true; }
void ask_about_losses(ngtcp2_conn* conn) {
  ngtcp2_conn_qudag_set_forgive_loss(conn, Callbacks::forgives_loss);
}
void grow_window(ngtcp2_conn* conn, std::uint64_t bytes) {
  ngtcp2_conn_qudag_grow_cwnd(conn, bytes);
}
#else
bool forgives_losses() { return false; }
void ask_about_losses(ngtcp2_conn*) {}
void grow_window(ngtcp2_conn*, std::uint64_t) {}
#endif

const ngtcp2_callbacks& connection_callbacks() {
  static const ngtcp2_callbacks table = Callbacks::table();
  return table;
}

}  // namespace qudag::link
