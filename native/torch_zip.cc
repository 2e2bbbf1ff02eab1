#include "torch_zip.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "error.h"
#include "pickle.h"
#include "tensor_view.h"

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
  throw Error("ERR_WEIGHTS_CORRUPT", path + " is damaged: " + cause + ". Download the file again.");
}

[[noreturn]] void foreign(const std::string& path, const std::string& cause) {
  throw Error("ERR_MODEL_FORMAT",
              path + " is no SAM 3 checkpoint: " + cause +
                  ". Give Meta's sam3.pt, a model.safetensors, or a checkpoint made by scripts/export.");
}

const Pickle::Node& weights_of(const Pickle::Node& root, const std::string& path) {
  const Pickle::Node* dict = &root;
  if (const auto* model = root.find("model"); model && model->kind == Pickle::Kind::dict) dict = model;
  if (dict->kind != Pickle::Kind::dict) foreign(path, "it does not hold a dict of tensors but another Python object");
  return *dict;
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

  for (const auto& [key, value] : weights_of(pickle->root(), path).members) {
    if (key->kind != Pickle::Kind::text || value->kind != Pickle::Kind::tensor) continue;
    const Pickle::Node& storage = *value->storage;
    const auto dtype = dtype_of(storage);
    if (!dtype) continue;
    const std::string name(key->text);
    const int64_t item = static_cast<int64_t>(c10::elementSize(*dtype));
    const auto record = archive.data("data/" + std::string(storage.text));
    const auto reach = reach_of(*value);
    const int64_t elements = std::min<int64_t>(storage.integer, static_cast<int64_t>(record.size()) / item);
    if (!reach || value->integer < 0 || elements < *reach || value->integer > elements - *reach)
      corrupt(path,
              "the tensor " + name + " reaches outside its record of " + std::to_string(record.size()) + " bytes");
    const auto* first = record.data() + value->integer * item;
    tensors_[name] = {static_cast<size_t>(first - file_.bytes().data()), static_cast<size_t>(*reach * item),
                      value->strides};
    entries_[name] = {value->sizes, *dtype};
  }
  if (entries_.empty()) foreign(path, "its dict holds no tensor");
}

at::Tensor TorchZip::read(const std::string& name) const {
  const auto place = tensors_.find(name);
  if (place == tensors_.end()) throw Error("ERR_INTERNAL", path() + " has no tensor " + name);
  const WeightInfo& info = entries_.at(name);
  return view_of(file_.bytes().data() + place->second.offset, info.shape, place->second.strides, info.dtype);
}

void TorchZip::release(const std::string& name) const {
  const auto place = tensors_.find(name);
  if (place != tensors_.end()) file_.release(place->second.offset, place->second.bytes);
}

}  // namespace sam3
