#pragma once
#include <cstdint>
#include <map>
#include <vector>

#include "video/concepts/association.h"

namespace sam3 {

// Masklets that were detected on enough consecutive frames. Kept only where masklet_confirmation_enable is set.
struct Confirmation {
  struct Status {
    bool confirmed = false;
    int64_t consecutive = 0;  // frames with a detection up to now
  };
  std::map<int64_t, Status> status;  // by id, for the masklets that are tracked

  std::vector<int64_t> unconfirmed(const std::vector<int64_t>& ids) const;
};

// Takes in one frame: `ids` are tracked after it, `new_ids` were found on it.
// Source: Meta's update_masklet_confirmation_status.
void update_confirmation(Confirmation& confirmation, const std::vector<int64_t>& ids,
                         const std::vector<int64_t>& new_ids, const Association& association, int64_t threshold);

}  // namespace sam3
