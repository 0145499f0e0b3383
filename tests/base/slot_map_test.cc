#include "base/slot_map.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace qudag {
namespace {

TEST(SlotMap, FindsWhatWasInsertedUntilItIsErased) {
  SlotMap<std::string> map(10);
  const SlotHandle a = map.insert("a");
  const SlotHandle b = map.insert("b");
  ASSERT_TRUE(a);
  EXPECT_EQ(*map.find(a), "a");
  EXPECT_EQ(*map.find(b), "b");
  EXPECT_TRUE(map.erase(a));
  EXPECT_FALSE(map.erase(a));
  EXPECT_EQ(map.find(a), nullptr);
  EXPECT_EQ(map.size(), 1u);
}

TEST(SlotMap, OldHandleDoesNotFindTheNextTenant) {
  SlotMap<int> map(1);
  const SlotHandle first = map.insert(1);
  map.erase(first);
  const SlotHandle second = map.insert(2);
  EXPECT_EQ(first.slot(), second.slot());
  EXPECT_EQ(map.find(first), nullptr);
  EXPECT_EQ(*map.find(second), 2);
}

TEST(SlotMap, InventedHandlesFindNothing) {
  SlotMap<int> map(100);
  EXPECT_EQ(map.find({}), nullptr);
  map.insert(1);
  EXPECT_EQ(map.find({}), nullptr);
  EXPECT_EQ(map.find(SlotHandle(0, 0)), nullptr);
  EXPECT_EQ(map.find(SlotHandle(0, 2)), nullptr);
  EXPECT_EQ(map.find(SlotHandle(1, 1)), nullptr);  // in the chunk, never handed out
  EXPECT_EQ(map.find(SlotHandle(UINT64_MAX)), nullptr);
}

TEST(SlotMap, CapacityIsABound) {
  SlotMap<std::unique_ptr<int>> map(65);
  std::vector<SlotHandle> handles;
  for (int i = 0; i < 65; ++i) handles.push_back(map.insert(std::make_unique<int>(i)));
  auto kept = std::make_unique<int>(99);
  EXPECT_FALSE(map.insert(std::move(kept)));
  EXPECT_NE(kept, nullptr);  // NOLINT: a refused insert takes nothing
  map.erase(handles[7]);
  EXPECT_TRUE(map.insert(std::move(kept)));
}

TEST(SlotMap, ObjectsDoNotMove) {
  SlotMap<int> map(1000);
  const SlotHandle first = map.insert(5);
  const int* place = map.find(first);
  for (int i = 0; i < 999; ++i) map.insert(i);
  EXPECT_EQ(map.find(first), place);
}

TEST(SlotMap, EraseInsideForEach) {
  SlotMap<int> map(10);
  for (int i = 0; i < 10; ++i) map.insert(i);
  map.for_each([&](SlotHandle h, int& v) {
    if (v % 2 == 0) map.erase(h);
  });
  std::vector<int> left;
  map.for_each([&](SlotHandle, int& v) { left.push_back(v); });
  EXPECT_EQ(left, (std::vector<int>{1, 3, 5, 7, 9}));
  map.clear();
  EXPECT_TRUE(map.empty());
}

TEST(SlotMap, ObjectThatErasesItselfInItsDestructorIsHarmless) {
  struct Self {
    SlotMap<std::unique_ptr<Self>>* map = nullptr;
    SlotHandle handle;
    bool* found = nullptr;
    ~Self() { *found = map->erase(handle); }
  };
  SlotMap<std::unique_ptr<Self>> map(2);
  bool found = true;
  auto object = std::make_unique<Self>();
  Self* raw = object.get();
  raw->map = &map;
  raw->found = &found;
  raw->handle = map.insert(std::move(object));
  EXPECT_TRUE(map.erase(raw->handle));
  EXPECT_FALSE(found);
  EXPECT_EQ(map.size(), 0u);
}

TEST(SlotMap, AgreesWithAModel) {
  std::mt19937_64 random(7);  // seed: fixed
  SlotMap<std::uint64_t> map(200);
  std::map<SlotHandle, std::uint64_t> model;
  std::vector<SlotHandle> ever;
  for (int step = 0; step < 50'000; ++step) {
    if (random() % 2 == 0) {
      const std::uint64_t value = random();
      const SlotHandle h = map.insert(value);
      ASSERT_EQ(static_cast<bool>(h), model.size() < 200);
      if (h) {
        ASSERT_TRUE(model.emplace(h, value).second) << "a handle came twice";
        ever.push_back(h);
      }
    } else if (!ever.empty()) {
      const SlotHandle h = ever[random() % ever.size()];
      const auto it = model.find(h);
      const auto* found = map.find(h);
      ASSERT_EQ(found != nullptr, it != model.end());
      ASSERT_EQ(found == nullptr ? 0 : *found, it == model.end() ? 0 : it->second);
      ASSERT_EQ(map.erase(h), model.erase(h) == 1);
    }
    ASSERT_EQ(map.size(), model.size());
  }
}

}  // namespace
}  // namespace qudag
