#include "gateway/contact_book.h"

#include "base/posix.h"
#include "store/file.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace qudag::gateway {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

struct Line {
  std::string_view name, text;  // empty: nothing but a remark
};

Line split(std::string_view line) {
  line = trimmed(line);
  if (line.empty() || line.front() == '#') return {};
  const auto end = std::ranges::find_if(line, is_space);
  const auto at = static_cast<std::size_t>(end - line.begin());
  return {line.substr(0, at), trimmed(line.substr(at))};
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string line_of(std::string_view name, std::string_view text) {
  return fmt::format("{} {}", name, text);
}

Status check_name(std::string_view name) {
  if (config::is_service_name(name)) return {};
  return fail(Errc::malformed, "the name of a contact is 1 to 24 of a-z, 0-9 and '-'");
}

}  // namespace

ContactBook::ContactBook(Node& node, Contacts configured, std::filesystem::path file, Later later)
    : node_(node),
      configured_(std::move(configured)),
      file_(std::move(file)),
      later_(std::move(later)) {
  publish();
  node_.on_card([this](const Card& card) {
    later_([newer = Invitation::of(card)](ContactBook& book) { book.renew(newer); });
  });
}

ContactBook::~ContactBook() { node_.on_card({}); }

Result<ContactBook::Contact> ContactBook::parse(std::string_view name, std::string_view text) {
  if (const Status fits = check_name(name); !fits) return std::unexpected(fits.error());
  if (const auto id = NodeId::parse(text)) return Contact{std::string(name), *id, std::nullopt};
  auto invitation = Invitation::parse(text);
  if (!invitation) return std::unexpected(invitation.error());
  const NodeId id = invitation->receiver;
  return Contact{std::string(name), id, std::move(*invitation)};
}

Result<std::vector<ContactBook::Row>> parse_contacts(std::string_view text) {
  std::vector<ContactBook::Row> out;
  std::size_t number = 0;
  for (const std::string& line : lines_of(text)) {
    ++number;
    const auto wrong = [&](std::string_view why) {
      return fail(Errc::config_invalid, fmt::format("line {}: {}", number, why));
    };
    const Line parts = split(line);
    if (parts.name.empty()) continue;
    if (const Status fits = check_name(parts.name); !fits) return wrong(fits.error().detail);
    const auto id = NodeId::parse(parts.text);
    const auto invitation = Invitation::parse(parts.text);
    if (!id && !invitation) return wrong(invitation.error().detail);
    if (std::ranges::find(out, parts.name, &ContactBook::Row::name) != out.end()) {
      return wrong(fmt::format("'{}' is there twice", parts.name));
    }
    if (out.size() >= ContactBook::kContactsMax) return wrong("there are over 1,024 contacts");
    out.push_back({.name = std::string(parts.name),
                   .id = id ? *id : invitation->receiver,
                   .receiver = invitation.has_value()});
  }
  return out;
}

Status ContactBook::load() {
  const std::lock_guard lock(mutex_);
  if (file_.empty()) return {};
  const auto directory = file_.has_parent_path() ? file_.parent_path() : std::filesystem::path(".");
  const Fd at(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (at.get() < 0) return {};  // nor is there a file; writing says what is wrong
  const auto raw =
      store::read_own_file(at.get(), directory, file_.filename().string(), kFileBytesMax);
  if (!raw) return raw.error() == Errc::not_found ? Status() : std::unexpected(raw.error());
  const std::string_view text(reinterpret_cast<const char*>(raw->data()), raw->size());
  if (const auto rows = parse_contacts(text); !rows) {
    return fail(Errc::config_invalid, file_.string() + ": " + rows.error().detail);
  }
  lines_ = lines_of(text);
  for (const std::string& line : lines_) {
    const Line parts = split(line);
    if (parts.name.empty()) continue;
    auto contact = parse(parts.name, parts.text);
    QUDAG_ASSERT(contact);
    if (const Status taken = take(*contact); !taken) return taken;
    contacts_.push_back(std::move(*contact));
  }
  publish();
  return {};
}

Status ContactBook::take(const Contact& contact) {
  return contact.invitation ? node_.add_invitation(*contact.invitation) : Status();
}

bool ContactBook::holds(std::string_view name) const {
  return std::ranges::find(contacts_, name, &Contact::name) != contacts_.end();
}

Status ContactBook::add(std::string_view name, std::string_view text) {
  auto contact = parse(name, text);
  if (!contact) return std::unexpected(contact.error());
  const std::lock_guard lock(mutex_);
  if (holds(name) || configured_.contains(name)) {
    return fail(
        Errc::already_exists,
        fmt::format("there is a contact '{}'; remove it first, or take another name", name));
  }
  if (contacts_.size() >= kContactsMax) {
    return fail(Errc::refused_queue_full, "there are 1,024 contacts");
  }
  std::vector<std::string> lines = lines_;
  lines.push_back(line_of(
      name, contact->invitation ? contact->invitation->to_string() : contact->id.to_string()));
  if (const Status written = write(lines); !written) return written;
  if (const Status taken = take(*contact); !taken) return taken;
  lines_ = std::move(lines);
  contacts_.push_back(std::move(*contact));
  publish();
  return {};
}

Status ContactBook::remove(std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (configured_.contains(name)) {
    return fail(Errc::invalid_argument, "this name is in the configuration; take it out there");
  }
  const auto at = std::ranges::find(contacts_, name, &Contact::name);
  if (at == contacts_.end()) {
    return fail(Errc::not_found, fmt::format("there is no contact '{}'", name.substr(0, 64)));
  }
  std::vector<std::string> lines = lines_;
  std::erase_if(lines, [&](const std::string& line) { return split(line).name == name; });
  if (const Status written = write(lines); !written) return written;
  lines_ = std::move(lines);
  const NodeId id = at->id;
  contacts_.erase(at);
  if (std::ranges::find(contacts_, id, &Contact::id) == contacts_.end()) node_.remove_card(id);
  publish();
  return {};
}

void ContactBook::renew(const Invitation& newer) {
  const std::lock_guard lock(mutex_);
  bool changed = false;
  for (Contact& contact : contacts_) {
    if (contact.id != newer.receiver || !contact.invitation) continue;
    contact.invitation = newer;
    for (std::string& line : lines_) {
      if (split(line).name == contact.name) {
        line = line_of(contact.name, contact.invitation->to_string());
        changed = true;
      }
    }
  }
  if (changed) static_cast<void>(write(lines_));
}

void ContactBook::publish() {
  auto names = std::make_shared<Contacts>(configured_);
  for (const Contact& contact : contacts_) names->emplace(contact.name, contact.id);
  names_ = std::move(names);
}

std::shared_ptr<const Contacts> ContactBook::names() const {
  const std::lock_guard lock(mutex_);
  return names_;
}

std::vector<ContactBook::Row> ContactBook::rows() const {
  std::vector<Row> out;
  for (const auto& [name, id] : configured_) {
    out.push_back({.name = name, .id = id, .configured = true});
  }
  const std::lock_guard lock(mutex_);
  for (const Contact& contact : contacts_) {
    out.push_back(
        {.name = contact.name, .id = contact.id, .receiver = contact.invitation.has_value()});
  }
  std::ranges::sort(out, {}, &Row::name);
  return out;
}

Status ContactBook::write(const std::vector<std::string>& lines) const {
  if (file_.empty()) return {};
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  if (text.size() > kFileBytesMax) return fail(Errc::too_large, "the file of contacts is 1 MiB");
  const auto directory = file_.has_parent_path() ? file_.parent_path() : std::filesystem::path(".");
  const Fd at(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (at.get() < 0) return system_failure(directory.string());
  return store::replace_file(at.get(), directory, file_.filename().string(), as_bytes(text));
}

}  // namespace qudag::gateway
