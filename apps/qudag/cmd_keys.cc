// qudag keygen and qudag id.
#include "commands.h"

#include "crypto/identity.h"
#include "node/key_file.h"

#include <boost/json.hpp>

namespace qudag::app {
namespace {

Exit print_id(const NodeId& id, const std::filesystem::path& file, bool json) {
  const std::string text = json ? boost::json::serialize(boost::json::object{
                                      {"id", id.to_string()}, {"file", file.string()}}) +
                                      "\n"
                                : id.to_string() + "\n";
  const Status printed = print(text);
  return printed ? Exit::ok : report(printed.error(), false);
}

}  // namespace

Exit keygen(const KeygenArgs& args) {
  const auto identity = crypto::Identity::generate();
  if (!identity) return report(identity.error(), args.json);
  if (const Status saved = node::save_identity(args.file, *identity); !saved) {
    return report(saved.error(), args.json);
  }
  return print_id(identity->id(), args.file, args.json);
}

Exit show_id(const IdArgs& args) {
  const auto identity = node::load_identity(args.file);
  if (!identity) return report(identity.error(), args.json);
  return print_id(identity->id(), args.file, args.json);
}

}  // namespace qudag::app
