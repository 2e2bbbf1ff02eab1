#pragma once
#include <optional>
#include <string>
#include <vector>

namespace sam3::kernels {

// NVIDIA's run-time compiler, a library that comes with a LibTorch for CUDA and is opened by name: the engine is built
// without CUDA and needs nothing of it.
class Nvrtc {
 public:
  // SAM3_NVRTC, where it is set; else the one that is in the process, that lies beside LibTorch's CUDA half or where
  // pip puts it, or that the system has. Without one `why` says so.
  static std::optional<Nvrtc> find(std::string& why);

  struct Result {
    std::string code;  // machine code for sm_NN, PTX for compute_NN; empty where it failed
    std::string log;   // what the compiler said
  };
  // Compiles `source` for an architecture such as "sm_90", with more options such as "-DNAME".
  Result compile(const char* source, const std::string& architecture, const std::vector<std::string>& more) const;

  const std::string& path() const { return path_; }

 private:
  // As <nvrtc.h> has them; 0 is success.
  using Handle = struct Program*;
  int (*create_)(Handle*, const char*, const char*, int, const char* const*, const char* const*) = nullptr;
  int (*compile_)(Handle, int, const char* const*) = nullptr;
  int (*destroy_)(Handle*) = nullptr;
  int (*log_size_)(Handle, size_t*) = nullptr, (*log_)(Handle, char*) = nullptr;
  int (*cubin_size_)(Handle, size_t*) = nullptr, (*cubin_)(Handle, char*) = nullptr;
  int (*ptx_size_)(Handle, size_t*) = nullptr, (*ptx_)(Handle, char*) = nullptr;
  std::string path_;

  bool open(const std::string& name, bool only_where_it_is_open);
};

}  // namespace sam3::kernels
