#include "weights/torch_zip.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "core/error.h"
#include "weights/pickle.h"
#include "weights/tensor_view.h"

namespace sam3 {
namespace {

struct StorageClass {
  std::string_view name;
  at::ScalarType dtype;
};
constexpr std::array<StorageClass, 10> kStorages{{{"FloatStorage", at::kFloat},
                                                  {"BFloat16Storage", at::kBFloat16},
                                                  {"HalfStorage", at::kHalf},
                                                  {"DoubleStorage", at::kDouble},
                                                  {"LongStorage", at::kLong},
                                                  {"IntStorage", at::kInt},
                                                  {"ShortStorage", at::kShort},
                                                  {"CharStorage", at::kChar},
                                                  {"ByteStorage", at::kByte},
                                                  {"BoolStorage", at::kBool}}};

// Empty for the classes that no weight of the network has, complex ones above all.
std::optional<at::ScalarType> dtype_of(const Pickle::Node& storage) {
  for (const auto& known : kStorages)
    if (known.name == storage.dtype) return known.dtype;
  return std::nullopt;
}

[[noreturn]] void corrupt(const std::string& path, const std::string& cause) {
  throw Error(ERR_WEIGHTS_CORRUPT, path + " is damaged: " + cause + ".", "Download the file again.");
}

[[noreturn]] void foreign(const std::string& path, const std::string& cause) {
  throw Error(ERR_MODEL_FORMAT, path + " is no SAM 3 checkpoint: " + cause + ".",
              "Give Meta's sam3.pt, a model.safetensors, a checkpoint of a trainer, or one made by "
              "scripts/export.");
}

// Deeper than any checkpoint: a hostile file must not make names without end.
constexpr size_t kMaxDepth = 32, kMaxName = 1'000;

struct Named {
  std::string name;
  const Pickle::Node* node;
  size_t depth;
};

// The tensors below `root` by their way from it, in the order of the file. Each container is visited once: a pickle may
// refer to itself.
std::vector<Named> tensors_below(const Pickle::Node& root) {
  std::vector<Named> found, open{{"", &root, 0}};
  std::unordered_set<const Pickle::Node*> met{&root};
  while (!open.empty()) {
    const Named at = std::move(open.back());
    open.pop_back();
    if (at.node->kind == Pickle::Kind::tensor) {
      found.push_back(at);
      continue;
    }
    if (at.depth == kMaxDepth) continue;
    std::vector<Named> inner;
    const auto visit = [&](std::string_view key, const Pickle::Node* node) {
      const bool container = !node->members.empty() || !node->items.empty();
      if (node->kind != Pickle::Kind::tensor && (!container || !met.insert(node).second)) return;
      if (at.name.size() + key.size() < kMaxName)
        inner.push_back({at.name.empty() ? std::string(key) : at.name + "." + std::string(key), node, at.depth + 1});
    };
    for (const auto& [key, value] : at.node->members) {
      if (key->kind == Pickle::Kind::text) visit(key->text, value);
      if (key->kind == Pickle::Kind::integer) visit(std::to_string(key->integer), value);
    }
    for (size_t i = 0; i < at.node->items.size(); i++) visit(std::to_string(i), at.node->items[i]);
    open.insert(open.end(), std::make_move_iterator(inner.rbegin()), std::make_move_iterator(inner.rend()));
  }
  return found;
}

// Elements from the first to the last, both counted; nothing where that overflows or a size or stride is negative.
std::optional<int64_t> reach_of(const Pickle::Node& tensor) {
  if (checked_numel(tensor.sizes) < 0) return std::nullopt;
  if (checked_numel(tensor.sizes) == 0) return 0;
  int64_t reach = 1;
  for (size_t i = 0; i < tensor.sizes.size(); i++) {
    int64_t step = 0;
    if (tensor.strides[i] < 0 || __builtin_mul_overflow(tensor.sizes[i] - 1, tensor.strides[i], &step) ||
        __builtin_add_overflow(reach, step, &reach))
      return std::nullopt;
  }
  return reach;
}

}  // namespace

TorchZip::TorchZip(const std::string& path) : file_(path) {
  const ZipArchive archive(file_.bytes(), path);
  if (!archive.has("data.pkl")) foreign(path, "the archive has no data.pkl, so torch.save did not write it");
  if (archive.has("byteorder")) {
    const auto order = archive.data("byteorder");
    if (std::string_view(reinterpret_cast<const char*>(order.data()), order.size()) != "little")
      foreign(path, "its numbers are not little-endian");
  }
  std::optional<Pickle> pickle;
  try {
    pickle.emplace(archive.data("data.pkl"));
  } catch (const PickleError& error) {
    corrupt(path, error.what());
  }

  const auto& root = pickle->root();
  using Kind = Pickle::Kind;
  if (root.kind != Kind::dict && root.kind != Kind::list && root.kind != Kind::tuple)
    foreign(path, "it does not hold a dict of tensors but another Python object");
  for (const Named& tensor : tensors_below(root)) place(tensor.name, *tensor.node, archive);
  // Of tensors in pieces, some may be whole: what is missing then would not say why.
  if (pickle->names_class(" DTensor") || pickle->names_class(" ShardedTensor"))
    throw Error(ERR_MODEL_FORMAT, path + " holds one process's pieces of tensors, as a distributed run has them.",
                "Save the whole ones, with get_model_state_dict(model, "
                "options=StateDictOptions(full_state_dict=True)).");
  if (entries_.empty()) foreign(path, "it holds no tensor");
}

void TorchZip::place(const std::string& name, const Pickle::Node& tensor, const ZipArchive& archive) {
  const Pickle::Node& storage = *tensor.storage;
  const auto dtype = dtype_of(storage);
  if (!dtype) return;
  const int64_t item = static_cast<int64_t>(c10::elementSize(*dtype));
  const auto record = archive.data("data/" + std::string(storage.text));
  const auto reach = reach_of(tensor);
  const int64_t elements = std::min<int64_t>(storage.integer, static_cast<int64_t>(record.size()) / item);
  if (!reach || tensor.integer < 0 || elements < *reach || tensor.integer > elements - *reach)
    corrupt(path(),
            "the tensor " + name + " reaches outside its record of " + std::to_string(record.size()) + " bytes");
  const auto* first = record.data() + tensor.integer * item;
  tensors_[name] = {static_cast<size_t>(first - file_.bytes().data()), static_cast<size_t>(*reach * item),
                    tensor.strides};
  entries_[name] = {tensor.sizes, *dtype};
}

at::Tensor TorchZip::read(const std::string& name) const {
  const auto place = tensors_.find(name);
  if (place == tensors_.end()) throw Error(ERR_INTERNAL, path() + " has no tensor " + name);
  const WeightInfo& info = entries_.at(name);
  return view_of(file_.bytes().data() + place->second.offset, info.shape, place->second.strides, info.dtype);
}

void TorchZip::release(const std::string& name) const {
  const auto place = tensors_.find(name);
  if (place != tensors_.end()) file_.release(place->second.offset, place->second.bytes);
}

}  // namespace sam3
