// Whom this node's owner knows by names of his own: receivers that invited him, and nodes. One
// file, a line for each, which a person can read and write:
//
//   # a remark
//   alice qudag1:aebag...          an invitation
//   bob   kd4kxa...                the 52-character id of a node
//
// Names of the configuration ([names]) are here too, and are not changed. The file is of this user
// alone (0600), and is replaced whole at each change. When a receiver turns out to be at other
// keepers than its invitation says, the line is written anew with the newer one.
//
// Threads: any; the file is read and written in the call, under a lock. What a shard's thread tells
// is written by `later`.
#pragma once

#include "config/gateway_options.h"

#include <qudag/node.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qudag::gateway {

using config::Contacts;

class ContactBook {
 public:
  static constexpr std::size_t kContactsMax = kCardsMax;
  static constexpr std::size_t kFileBytesMax = std::size_t{1} << 20;

  struct Row {
    std::string name;
    NodeId id;
    bool receiver = false;    ///< it has invited
    bool configured = false;  ///< of the configuration
    bool operator==(const Row&) const = default;
  };

  /// Runs that soon on a thread that may block, while the book is there.
  using Later = std::function<void(std::function<void(ContactBook&)>)>;
  /// `file`: empty: contacts last as long as this. Invitations go to the node.
  ContactBook(Node& node, Contacts configured, std::filesystem::path file, Later later);
  ~ContactBook();

  /// Reads the file, if it is there. config_invalid with its line; errors of reading.
  Status load();

  /// `text`: an invitation or an id. malformed, already_exists, refused_queue_full; errors of
  /// writing: then nothing has changed.
  Status add(std::string_view name, std::string_view text);
  /// not_found; invalid_argument: it is one of the configuration.
  Status remove(std::string_view name);
  std::vector<Row> rows() const;
  /// Names and ids, as they are now. Owners: this, requests under way.
  std::shared_ptr<const Contacts> names() const;

 private:
  struct Contact {
    std::string name;
    NodeId id;
    std::optional<Invitation> invitation;
  };
  static Result<Contact> parse(std::string_view name, std::string_view text);
  Status take(const Contact& contact);
  bool holds(std::string_view name) const;
  void publish();
  Status write(const std::vector<std::string>& lines) const;
  void renew(const Invitation& newer);

  Node& node_;
  const Contacts configured_;
  const std::filesystem::path file_;
  const Later later_;
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;  // of the file, remarks too
  std::vector<Contact> contacts_;   // of them
  std::shared_ptr<const Contacts> names_;
};

/// Anything as such a file: the names in it, or the line that is wrong.
Result<std::vector<ContactBook::Row>> parse_contacts(std::string_view text);

}  // namespace qudag::gateway
