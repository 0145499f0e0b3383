// Where the socket is when nobody says: never in a place that another user could have taken first.
#include "two_nodes.h"

#include "api/socket/place.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <map>

namespace qudag::api::test {
namespace {

namespace fs = std::filesystem;

class Place : public ::testing::Test {
 protected:
  Place() {
    fs::create_directory(run());
    fs::create_directory(home());
    surroundings_ = {.variable =
                         [this](const char* name) {
                           const auto found = variables_.find(name);
                           return found == variables_.end() ? std::string() : found->second;
                         },
                     .user = ::geteuid(),
                     .run = run(),
                     .home = home()};
  }
  fs::path run() const { return directory_.path() / "run"; }
  fs::path home() const { return directory_.path() / "home"; }
  fs::path runtime() const { return directory_.path() / "runtime"; }
  Result<fs::path> place() const { return default_socket(surroundings_); }
  /// Whoever is not root has no /run.
  void as_plain_user() { surroundings_.run = directory_.path() / "none"; }
  static unsigned mode_of(const fs::path& path) {
    struct stat found {};
    return ::lstat(path.c_str(), &found) == 0 ? found.st_mode & 0777u : 0u;
  }

  TemporaryDirectory directory_;
  std::map<std::string, std::string> variables_;
  Surroundings surroundings_;
};

TEST_F(Place, TheNamedSocketIsTaken) {
  variables_["QUDAG_SOCKET"] = "/somewhere/else";
  EXPECT_EQ(place(), fs::path("/somewhere/else"));
}

TEST_F(Place, TheRuntimeFolderIsFirstIfItIsTheUsersOwn) {
  as_plain_user();
  fs::create_directory(runtime());
  ::chmod(runtime().c_str(), 0700);
  variables_["XDG_RUNTIME_DIR"] = runtime();
  EXPECT_EQ(place(), runtime() / "qudag.sock");
  ::chmod(runtime().c_str(), 0770);
  EXPECT_EQ(place(), home() / ".local/state/qudag/qudag.sock") << "others may write there";
  ::chmod(runtime().c_str(), 0700);
  ++surroundings_.user;
  EXPECT_NE(place(), runtime() / "qudag.sock") << "of another user";
}

TEST_F(Place, RootHasAFolderInRun) {
  surroundings_.user = ::geteuid();
  if (surroundings_.user != 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(place(), run() / "qudag/qudag.sock");
  ASSERT_TRUE(make_default_folder(surroundings_));
  EXPECT_EQ(mode_of(run() / "qudag"), 0700u);
  EXPECT_EQ(place(), run() / "qudag/qudag.sock");
}

TEST_F(Place, AServiceUsesTheFolderThatItWasGiven) {
  fs::create_directory(run() / "qudag");
  ::chmod((run() / "qudag").c_str(), 0750);
  EXPECT_EQ(place(), run() / "qudag/qudag.sock");
}

TEST_F(Place, ElseTheUsersStateFolderIsMadePrivate) {
  as_plain_user();
  EXPECT_EQ(place(), home() / ".local/state/qudag/qudag.sock");
  EXPECT_FALSE(fs::exists(home() / ".local")) << "asking makes nothing";
  ASSERT_TRUE(make_default_folder(surroundings_));
  EXPECT_EQ(mode_of(home() / ".local/state/qudag"), 0700u);
  variables_["XDG_STATE_HOME"] = directory_.path() / "state";
  EXPECT_EQ(place(), directory_.path() / "state/qudag/qudag.sock");
  variables_["XDG_STATE_HOME"] = "state";  // invalid, says the standard
  variables_["HOME"] = directory_.path() / "elsewhere";
  EXPECT_EQ(place(), directory_.path() / "elsewhere/.local/state/qudag/qudag.sock");
}

TEST_F(Place, AnUnfitStateFolderIsRefusedWithTheReason) {
  as_plain_user();
  variables_["XDG_STATE_HOME"] = home();
  const auto refused_with = [&](std::string_view why) {
    const auto found = place();
    const Status made = make_default_folder(surroundings_);
    EXPECT_FALSE(found);
    EXPECT_FALSE(made);
    if (found || made) return false;
    EXPECT_EQ(found.error().code, Errc::permission_denied);
    return found.error().detail.find(why) != std::string::npos &&
           made.error().detail.find(why) != std::string::npos;
  };
  fs::create_directory_symlink("/tmp", home() / "qudag");
  EXPECT_TRUE(refused_with("is a link"));
  fs::remove(home() / "qudag");
  std::ofstream(home() / "qudag") << "x";
  EXPECT_TRUE(refused_with("is no folder"));
  fs::remove(home() / "qudag");
  fs::create_directory(home() / "qudag");
  ::chmod((home() / "qudag").c_str(), 0777);
  EXPECT_TRUE(refused_with("others may write to it"));
  ::chmod((home() / "qudag").c_str(), 0700);
  ++surroundings_.user;
  EXPECT_TRUE(refused_with("belongs to another user"));
}

TEST_F(Place, WithoutAnyFolderTheAnswerSaysWhatToDo) {
  as_plain_user();
  surroundings_.home.clear();
  const auto found = place();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::not_found);
  EXPECT_NE(found.error().detail.find("--socket"), std::string::npos);
}

}  // namespace
}  // namespace qudag::api::test
