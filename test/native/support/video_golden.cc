#include "support/video_golden.h"

#include <algorithm>
#include <functional>
#include <map>
#include <stdexcept>

#include "support/support.h"

namespace sam3::test {

std::string numbered(int64_t i) {
  const std::string digits = std::to_string(i);
  return std::string(3 - digits.size(), '0') + digits;
}

namespace {

double number(const Json& value) {
  try {
    return value.as_double("number");
  } catch (const JsonError&) {
    return static_cast<double>(value.as_int("number"));
  }
}

}  // namespace

std::vector<int64_t> ints(const Json& array) {
  std::vector<int64_t> out;
  for (const Json& value : array.as_array("integers")) out.push_back(value.as_int("integer"));
  return out;
}

std::vector<float> floats(const Json& array) {
  std::vector<float> out;
  for (const Json& value : array.as_array("numbers")) out.push_back(static_cast<float>(number(value)));
  return out;
}

float real(const Json& value) {
  return static_cast<float>(number(value));
}

bool is_text(const Json& value) {
  try {
    value.as_string("text");
    return true;
  } catch (const JsonError&) {
    return false;
  }
}

std::string text_of(const std::vector<int64_t>& values) {
  std::string out;
  for (const int64_t value : values) out += (out.empty() ? "" : " ") + std::to_string(value);
  return "[" + out + "]";
}

MaskBits bits_from_strings(const Json& strings, int64_t height, int64_t width) {
  const auto& list = strings.as_array("masks");
  MaskBits out(static_cast<int64_t>(list.size()), height, width);
  for (size_t i = 0; i < list.size(); i++) {
    const std::string& pixels = list[i].as_string("mask");
    for (int64_t at = 0; at < height * width; at++)
      if (pixels[at] == '1') out.fill(static_cast<int64_t>(i), at / width, at % width, at % width + 1, true);
  }
  return out;
}

MaskBits bits_from_packed(const at::Tensor& packed, int64_t height, int64_t width) {
  MaskBits out(packed.size(0), height, width);
  const auto bytes = packed.contiguous();
  for (int64_t i = 0; i < packed.size(0); i++) {
    const uint8_t* row = bytes.const_data_ptr<uint8_t>() + i * packed.size(1);
    for (int64_t at = 0; at < height * width; at++)
      if (row[at / 8] >> (7 - at % 8) & 1) out.fill(i, at / width, at % width, at % width + 1, true);
  }
  return out;
}

MaskBits bits_of(const MaskRuns& mask, int64_t height, int64_t width) {
  MaskBits out(1, height, width);
  int64_t at = 0;
  for (size_t i = 0; i < mask.runs.size(); i++)
    for (const int64_t end = at + mask.runs[i]; at < end; at++)
      if (i % 2 == 1) out.fill(0, at % height, at / height, at / height + 1, true);
  if (at != height * width) throw std::runtime_error("the runs do not cover the mask");
  return out;
}

bool same_mask(const MaskBits& a, int64_t i, const MaskBits& b, int64_t j) {
  if (a.height() != b.height() || a.width() != b.width()) return false;
  for (int64_t y = 0; y < a.height(); y++)
    if (!std::equal(a.row(i, y), a.row(i, y) + a.words_per_row(), b.row(j, y))) return false;
  return true;
}

void apply(ConceptOptions& o, const Json& overrides, const std::set<std::string>& others) {
  const auto decimal = [](float& to) { return [&to](const Json& v) { to = real(v); }; };
  const auto whole = [](int64_t& to) { return [&to](const Json& v) { to = v.as_int("option"); }; };
  const auto flag = [](bool& to) { return [&to](const Json& v) { to = v.as_bool("option"); }; };
  const std::map<std::string, std::function<void(const Json&)>> known = {
      {"score_threshold_detection", decimal(o.score_threshold_detection)},
      {"det_nms_thresh", decimal(o.det_nms_thresh)},
      {"assoc_iou_thresh", decimal(o.assoc_iou_thresh)},
      {"trk_assoc_iou_thresh", decimal(o.trk_assoc_iou_thresh)},
      {"o2o_matching_masklets_enable", flag(o.o2o_matching_masklets_enable)},
      {"new_det_thresh", decimal(o.new_det_thresh)},
      {"suppress_det_close_to_boundary", flag(o.suppress_det_close_to_boundary)},
      {"max_num_objects", whole(o.max_num_objects)},
      {"hotstart_delay", whole(o.hotstart_delay)},
      {"hotstart_unmatch_thresh", whole(o.hotstart_unmatch_thresh)},
      {"hotstart_dup_thresh", whole(o.hotstart_dup_thresh)},
      {"suppress_unmatched_only_within_hotstart", flag(o.suppress_unmatched_only_within_hotstart)},
      {"init_trk_keep_alive", whole(o.init_trk_keep_alive)},
      {"max_trk_keep_alive", whole(o.max_trk_keep_alive)},
      {"min_trk_keep_alive", whole(o.min_trk_keep_alive)},
      {"decrease_trk_keep_alive_for_empty_masklets", flag(o.decrease_trk_keep_alive_for_empty_masklets)},
      {"suppress_overlapping_based_on_recent_occlusion_threshold",
       decimal(o.suppress_overlapping_based_on_recent_occlusion_threshold)},
      {"fill_hole_area", whole(o.fill_hole_area)},
      {"recondition_every_nth_frame", whole(o.recondition_every_nth_frame)},
      {"reconstruction_bbox_iou_thresh", decimal(o.reconstruction_bbox_iou_thresh)},
      {"reconstruction_bbox_det_score", decimal(o.reconstruction_bbox_det_score)},
      {"masklet_confirmation_enable", flag(o.masklet_confirmation_enable)},
      {"masklet_confirmation_consecutive_det_thresh", whole(o.masklet_confirmation_consecutive_det_thresh)},
  };
  for (const auto& [name, value] : overrides.as_object("options")) {
    if (others.contains(name)) continue;
    const auto option = known.find(name);
    if (option == known.end()) throw std::runtime_error("no such option: " + name);
    option->second(value);
  }
}

}  // namespace sam3::test
