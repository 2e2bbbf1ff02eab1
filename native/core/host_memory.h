#pragma once

namespace sam3 {

// Lets the C library keep freed blocks of up to some hundred MB for the next step of the network instead of giving
// each back to the system at once, which would take its pages anew (and zeroed) a thousand times per image.
void keep_freed_host_memory();

// Gives what was kept back to the system.
void release_host_memory();

}  // namespace sam3
