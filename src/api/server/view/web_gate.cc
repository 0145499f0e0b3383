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

// Not a redirect: a browser sends a Strict cookie only with what this page itself asks for.
constexpr std::string_view kEnter =
    "<!doctype html><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"0;url=/\">"
    "<title>QuDAG</title><a href=\"/\">QuDAG</a>\n";

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

WebGate::WebGate(std::uint16_t port, bool control)
    : name_(fmt::format("qudag_{}", port)),
      token_(secret_text()),
      secret_(secret_text()),
      control_(control) {}

std::string WebGate::url(std::string_view address) const {
  return fmt::format("http://{}/?token={}", address, token_);
}

std::string WebGate::cookie() const {
  return fmt::format("{}={}; HttpOnly; SameSite=Strict; Path=/", name_, secret_);
}

bool WebGate::is_known(std::string_view cookies) const {
  while (!cookies.empty()) {
    std::string_view one = cookies.substr(0, cookies.find(';'));
    cookies.remove_prefix(std::min(cookies.size(), one.size() + 1));
    while (one.starts_with(' ')) one.remove_prefix(1);
    if (!one.starts_with(name_) || one.size() <= name_.size() || one[name_.size()] != '=') continue;
    if (same(one.substr(name_.size() + 1), secret_)) return true;
  }
  return false;
}

WebAnswer WebGate::ask(const WebRequest& request) const {
  if (request.host.empty() || !is_host_of_loopback(request.host)) {
    return refusal(403, "The Host of a request must be of loopback.\n");
  }
  const std::size_t question = request.target.find('?');
  const std::string_view path = request.target.substr(0, question);
  constexpr std::string_view kToken = "token=";
  if (path == "/" && question != std::string_view::npos) {
    const std::string_view query = request.target.substr(question + 1);
    const bool right = query.starts_with(kToken) && same(query.substr(kToken.size()), token_);
    if (!right || request.method != "GET") return refusal(401, "This token is not of this node.\n");
    return {What::enter, 200, "text/html; charset=utf-8", kEnter};
  }
  if (!is_known(request.cookie)) {
    return refusal(401, "Open the address that `qudag web` prints.\n");
  }
  return page(request, path);
}

WebAnswer WebGate::page(const WebRequest& request, std::string_view path) const {
  for (const WebFile& file : web_files()) {
    if (file.path != path) continue;
    if (request.method != "GET") return refusal(405, "This can only be read: GET.\n");
    return {What::file, 200, file.type, file.content};
  }
  const bool messages = path == "/v1/messages";
  if (!messages && std::ranges::find(kPages, path) == std::end(kPages)) {
    return refusal(404, "There is no such page here.\n");
  }
  // <img src> and forms of other pages on this machine come with the cookie, and without this.
  if (!request.has_mark) return refusal(403, "The header X-Qudag is missing.\n");
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
