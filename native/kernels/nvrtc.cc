#include "kernels/nvrtc.h"

#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "kernels/symbols.h"

namespace sam3::kernels {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNames[] = {"libnvrtc.so.13", "libnvrtc.so.12"};

// The folder of LibTorch's CUDA half; empty where it is not in the process.
fs::path torch_folder() {
  fs::path folder;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* found) {
        const fs::path library = info->dlpi_name;
        if (library.filename() != "libtorch_cuda.so") return 0;
        *static_cast<fs::path*>(found) = library.parent_path();
        return 1;
      },
      &folder);
  return folder;
}

// The archives of LibTorch put a hash into the name: libnvrtc-1a2b3c.so.12.
std::vector<std::string> compilers_in(const fs::path& folder) {
  std::vector<std::string> found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    const std::string name = entry.path().filename();
    const bool is_compiler = name.starts_with("libnvrtc") && name.find(".so") != std::string::npos &&
                             name.find("builtins") == std::string::npos && name.find("alt") == std::string::npos;
    if (is_compiler) found.push_back(entry.path());
  }
  std::sort(found.rbegin(), found.rend());
  return found;
}

}  // namespace

bool Nvrtc::open(const std::string& name, bool only_where_it_is_open) {
  // Stays open for good.
  void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | (only_where_it_is_open ? RTLD_NOLOAD : 0));
  path_ = name;
  return library && find_symbol(library, "nvrtcCreateProgram", create_) &&
         find_symbol(library, "nvrtcCompileProgram", compile_) &&
         find_symbol(library, "nvrtcDestroyProgram", destroy_) &&
         find_symbol(library, "nvrtcGetProgramLogSize", log_size_) &&
         find_symbol(library, "nvrtcGetProgramLog", log_) && find_symbol(library, "nvrtcGetCUBINSize", cubin_size_) &&
         find_symbol(library, "nvrtcGetCUBIN", cubin_) && find_symbol(library, "nvrtcGetPTXSize", ptx_size_) &&
         find_symbol(library, "nvrtcGetPTX", ptx_);
}

std::optional<Nvrtc> Nvrtc::find(std::string& why) {
  Nvrtc nvrtc;
  if (const char* named = std::getenv("SAM3_NVRTC")) {
    if (nvrtc.open(named, false)) return nvrtc;
    why = std::string("SAM3_NVRTC=") + named + " is no NVRTC";
    return std::nullopt;
  }
  for (const char* name : kNames)
    if (nvrtc.open(name, true)) return nvrtc;
  if (const fs::path torch = torch_folder(); !torch.empty()) {
    const fs::path packages = torch.parent_path().parent_path() / "nvidia";
    for (const fs::path& folder : {torch, packages / "cu13" / "lib", packages / "cuda_nvrtc" / "lib"})
      for (const std::string& path : compilers_in(folder))
        if (nvrtc.open(path, false)) return nvrtc;
  }
  for (const char* name : kNames)
    if (nvrtc.open(name, false)) return nvrtc;
  why = "NVRTC (libnvrtc.so.12 or .13) was not found";
  return std::nullopt;
}

Nvrtc::Result Nvrtc::compile(const char* source, const std::string& architecture,
                             const std::vector<std::string>& more) const {
  std::vector<std::string> options{"--gpu-architecture=" + architecture, "--std=c++17"};
  options.insert(options.end(), more.begin(), more.end());
  std::vector<const char*> texts;
  for (const std::string& option : options) texts.push_back(option.c_str());
  Result result;
  Handle program = nullptr;
  if (const int code = create_(&program, source, "kernels.cu", 0, nullptr, nullptr)) {
    result.log = "NVRTC does not start: error " + std::to_string(code);
    return result;
  }
  const bool compiled = compile_(program, static_cast<int>(texts.size()), texts.data()) == 0;
  size_t bytes = 0;
  const auto text = [&](auto size, auto read) {
    std::string value;
    if (size(program, &bytes) != 0 || bytes == 0) return value;
    value.resize(bytes);
    if (read(program, value.data()) != 0) value.clear();
    return value;
  };
  result.log = text(log_size_, log_);
  while (!result.log.empty() && (result.log.back() == '\0' || result.log.back() == '\n')) result.log.pop_back();
  if (compiled) result.code = architecture.starts_with("sm_") ? text(cubin_size_, cubin_) : text(ptx_size_, ptx_);
  destroy_(&program);
  return result;
}

}  // namespace sam3::kernels
