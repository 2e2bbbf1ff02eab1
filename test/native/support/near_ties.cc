#include "support/near_ties.h"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <cmath>
#include <sstream>

namespace sam3::test {

bool is_exact(const at::Tensor& logits) {
  return (logits * 2048).frac().ne(0).any().item<bool>();
}

std::string tie_of_masks(const at::Tensor& masks, int64_t size, double limit) {
  if (masks.numel() == 0) return "";
  const at::Tensor resized = at::upsample_bilinear2d(masks.to(at::kFloat).unsqueeze(1), {size, size}, false).flatten();
  const int64_t nearest = resized.abs().argmin().item<int64_t>();
  const float logit = resized[nearest].item<float>();
  if (!(std::abs(logit) < limit)) return "";
  std::ostringstream out;
  out << "mask " << nearest / (size * size) << ": pixel (" << nearest % size << ", " << nearest / size % size << ") of "
      << size << " x " << size << " has the logit " << logit;
  return out.str();
}

std::string tie_of_scores(const std::string& what, const at::Tensor& scores, const std::vector<double>& limits) {
  const at::Tensor flat = scores.flatten();
  for (int64_t i = 0; i < flat.size(0); i++)
    for (const double limit : limits)
      if (std::abs(flat[i].item<double>() - limit) < kNearTie) {
        std::ostringstream out;
        out << what << " " << flat[i].item<double>() << " is at the limit " << limit;
        return out.str();
      }
  return "";
}

void Differences::expect_near(const at::Tensor& ours, const at::Tensor& recorded, double tolerance,
                              const std::string& what) {
  if (ours.sizes() != recorded.sizes()) return expect(false, what + " has another shape");
  const double apart = ours.numel() ? (ours.cpu() - recorded).abs().max().item<double>() : 0;
  expect(apart <= tolerance, what + " differs by " + std::to_string(apart));
}

void RunComparison::meet(const std::string& tie) {
  if (tie.empty() || !tie_.empty()) return;
  tie_ = tie;
  MESSAGE(run_ << ": near tie, " << tie_);
}

void RunComparison::check(const Differences& differences) {
  check(differences.found().empty(), differences.found());
}

void RunComparison::check(bool right, const std::string& what) {
  if (ended_) return;
  if (right || tie_.empty()) {
    CHECK_MESSAGE(right, run_ << ": " << what);
    return;
  }
  ended_ = true;
  MESSAGE(run_ << ": compared up to there, since it differs: " << what);
}

}  // namespace sam3::test
