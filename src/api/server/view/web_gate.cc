#include "api/server/view/web_gate.h"

#include "api/server/view/loopback.h"
#include "api/server/view/web_files.h"
#include "base/secret.h"
#include "crypto/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

namespace qudag::api {
namespace {

using What = WebAnswer::What;

constexpr std::string_view kPages[] = {"/v1/status", "/v1/peers",   "/v1/circuits",  "/v1/queues",
                                       "/v1/pipes",  "/v1/gateway", "/v1/receivers", "/v1/contacts",
                                       "/v1/log",    "/v1/web",     "/metrics"};

constexpr WebAnswer refusal(unsigned status, std::string_view why) {
  return {What::refuse, status, "text/plain; charset=utf-8", why};
}

/// 256 bits as hex.
std::string secret_text() {
  crypto::SystemRng random;
  std::string out;
  for (int i = 0; i < 4; ++i) out += fmt::format("{:016x}", random.u64());
  return out;
}

/// In a time that depends on the length of `given` alone.
bool same(std::string_view given, std::string_view wanted) {
  return given.size() == wanted.size() &&
         equal_constant_time(std::as_bytes(std::span(given)), std::as_bytes(std::span(wanted)));
}

}  // namespace

WebGate::WebGate(bool control) : token_(secret_text()), control_(control) {}

std::string WebGate::url(std::string_view address) const {
  return fmt::format("http://{}/#token={}", address, token_);
}

WebAnswer WebGate::ask(const WebRequest& request) const {
  if (request.host.empty() || !is_host_of_loopback(request.host)) {
    return refusal(403, "The Host of a request must be of loopback.\n");
  }
  const std::string_view path = request.target.substr(0, request.target.find('?'));
  for (const WebFile& file : web_files()) {
    if (file.path != path) continue;
    if (request.method != "GET") return refusal(405, "This can only be read: GET.\n");
    return {What::file, 200, file.type, file.content};
  }
  if (!same(request.token, token_)) {
    return refusal(401, "Open the address that `qudag web` prints.\n");
  }
  return api(request, path);
}

WebAnswer WebGate::api(const WebRequest& request, std::string_view path) const {
  const bool messages = path == "/v1/messages";
  if (!messages && std::ranges::find(kPages, path) == std::end(kPages)) {
    return refusal(404, "There is no such page here.\n");
  }
  constexpr WebAnswer kPass{What::pass, 200, {}, {}};
  if (!messages) {
    return request.method == "GET" ? kPass : refusal(405, "This can only be read: GET.\n");
  }
  if (!control_) return refusal(403, "web.control is off: this page can only look.\n");
  if (request.method == "GET") return kPass;
  if (request.method != "POST") return refusal(405, "GET or POST.\n");
  const std::string own = fmt::format("http://{}", request.host);
  return request.origin == own ? kPass : refusal(403, "The request comes from another page.\n");
}

}  // namespace qudag::api
