#include "video/concepts/confirmation.h"

#include <set>

namespace sam3 {

std::vector<int64_t> Confirmation::unconfirmed(const std::vector<int64_t>& ids) const {
  std::vector<int64_t> out;
  for (const int64_t id : ids) {
    const auto known = status.find(id);
    if (known != status.end() && !known->second.confirmed) out.push_back(id);
  }
  return out;
}

void update_confirmation(Confirmation& confirmation, const std::vector<int64_t>& ids,
                         const std::vector<int64_t>& new_ids, const Association& association, int64_t threshold) {
  std::set<int64_t> matched(new_ids.begin(), new_ids.end());
  for (const auto& belongs : association.detection_to_masklets) matched.insert(belongs.begin(), belongs.end());
  std::map<int64_t, Confirmation::Status> next;
  for (const int64_t id : ids) {
    Confirmation::Status status;
    if (const auto known = confirmation.status.find(id); known != confirmation.status.end()) status = known->second;
    status.consecutive = matched.contains(id) ? status.consecutive + 1 : 0;
    status.confirmed = status.confirmed || status.consecutive >= threshold;
    next.emplace(id, status);
  }
  confirmation.status = std::move(next);
}

}  // namespace sam3
