#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace sam3::test {

// Near ties: places where a recorded run hangs on the sign of a number that is nearer to zero than rounding. The
// reference, with another number of threads, decides otherwise there and from then on may give other results.
constexpr double kNearTie = 5e-6;
// The same for a logit of ours, which is about as far from the reference's as that is from zero in a near tie.
constexpr double kOurNearTie = 2 * kNearTie;

// In words, or empty where there is none: of masks [N,h,w] (logits) that are made binary at `size` x `size` pixels to
// become memory, the pixel with the smallest logit; and the first score that is at one of the limits.
std::string tie_of_masks(const at::Tensor& masks, int64_t size, double limit = kOurNearTie);
// Whether recorded logits are the reference's own: those of the project's own goldens are rounded to save space.
bool is_exact(const at::Tensor& logits);
std::string tie_of_scores(const std::string& what, const at::Tensor& scores, const std::vector<double>& limits);

// What is wrong with a step of a run that is compared with its recording.
class Differences {
 public:
  explicit Differences(std::string step) : step_(std::move(step)) {}
  void expect(bool right, const std::string& what) {
    if (!right) found_ += "\n  " + step_ + ": " + what;
  }
  // Of the same shape, and nowhere further apart.
  void expect_near(const at::Tensor& ours, const at::Tensor& recorded, double tolerance, const std::string& what);
  const std::string& found() const { return found_; }

 private:
  std::string step_, found_;
};

// The comparison of a run with its recording. Everything up to a near tie must agree; behind it ours may be another
// run, and the comparison ends with the first step that differs. Ties are named in the test's output.
class RunComparison {
 public:
  explicit RunComparison(std::string run) : run_(std::move(run)) {}
  // What is compared from now on depends on this tie, if it is one.
  void meet(const std::string& tie);
  void check(const Differences& differences);
  // A result that is missing or too many.
  void check(bool right, const std::string& what);
  bool ended() const { return ended_; }

 private:
  std::string run_, tie_;
  bool ended_ = false;
};

}  // namespace sam3::test
