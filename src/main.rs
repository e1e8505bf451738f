//! The `turnpike` command: arguments → command; nothing else.

use std::process::ExitCode;

/// About a quarter of a proxy's instructions are the allocator's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The allocator asks for huge pages, and a stream touches a few bytes of each of its 64 KiB
    // buffers: with them a process holds 2.5 times the memory.
    #[cfg(target_os = "linux")]
    let _old_kernel = nix::sys::prctl::set_thp_disable(true);
    turnpike::cli::run()
}
