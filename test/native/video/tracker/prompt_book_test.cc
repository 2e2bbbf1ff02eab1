// Masks that several objects are given on one frame.
#include <ATen/Functions.h>
#include <ATen/ops/rand.h>
#include <doctest/doctest.h>

#include <map>
#include <vector>

#include "video/tracker/prompt_book.h"

using namespace sam3;

TEST_CASE("prompts: each mask takes its pixels from those that were given before it, in one call or in several") {
  at::manual_seed(5);
  for (int64_t round = 0; round < 20; round++) {
    PromptBook book;
    std::map<int64_t, at::Tensor> expected;
    for (const std::vector<int64_t>& ids : {std::vector<int64_t>{7, 2, 5}, {3}, {2, 8, 7}}) {
      const auto count = static_cast<int64_t>(ids.size());
      const at::Tensor given = at::rand({count, 6, 9}) > 0.6;
      book.set_masks(4, ids, given, at::zeros({count, 8}), std::vector<float>(ids.size(), 1.0f));
      for (int64_t k = 0; k < count; k++) {
        for (auto& [id, mask] : expected) mask = mask.logical_and(given[k].logical_not());
        expected[ids[static_cast<size_t>(k)]] = given[k];
      }
    }
    REQUIRE(book.ids() == std::vector<int64_t>{7, 2, 5, 3, 8});
    for (const auto& [id, mask] : expected) {
      CAPTURE(id);
      CHECK(at::equal(book.pending(book.index_of(id), 4)->given, mask));
    }
  }
}
