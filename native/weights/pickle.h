#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sam3 {

// What is wrong with a pickle, and where.
class PickleError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A restricted reader of the pickles that torch.save writes (protocols 2 to 5). Nothing is ever imported or called: of
// all classes and functions a pickle can name, only those of a dict of tensors have a meaning here
// (torch._utils._rebuild_tensor_v2, _rebuild_parameter, collections.OrderedDict, torch.*Storage); any other object
// becomes Kind::opaque. So optimizer states, configurations and custom classes beside the weights do no harm and can be
// skipped. An opaque object that is given members is a dict of them, whatever its class: a subclass of dict, or a whole
// module, whose tensors lie in its `_modules` and `_parameters`.
//
// LibTorch's own Unpickler does not serve: it stops at the first class it does not know, loses a state_dict that
// carries _metadata (every one that Module.state_dict() makes), and knows protocol 2 only.
class Pickle {
 public:
  enum class Kind { none, boolean, integer, real, text, list, tuple, dict, global, storage, tensor, opaque };

  struct Node {
    Kind kind = Kind::opaque;
    int64_t integer = 0;             // boolean, integer; storage: elements; tensor: offset in elements
    std::string_view text;           // text; global: "module name"; storage: key. Lies in `names_` or the input
    std::string_view dtype;          // storage: the class, as "FloatStorage"
    std::vector<const Node*> items;  // list, tuple
    std::vector<std::pair<const Node*, const Node*>> members;  // dict, in order; a later equal key wins
    const Node* storage = nullptr;                             // tensor
    std::vector<int64_t> sizes, strides;                       // tensor, in elements

    // The value of the last member whose key is this text; null where there is none.
    const Node* find(std::string_view key) const;
  };

  // `bytes` must outlive the Pickle. Throws PickleError.
  explicit Pickle(std::span<const std::byte> bytes);
  const Node& root() const { return *root_; }
  // True where the pickle names a class or function whose name ends like this.
  bool names_class(std::string_view end) const;

 private:
  friend class PickleMachine;
  // One owner for all nodes: a pickle may nest as deep as it likes, and refer to itself, without a deep recursion or a
  // leak.
  std::deque<Node> nodes_;
  std::deque<std::string> names_;
  const Node* root_ = nullptr;
};

}  // namespace sam3
