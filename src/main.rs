//! The `turnpike` command: arguments → command; nothing else.

use std::process::ExitCode;

/// About a quarter of a proxy's instructions are the allocator's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    turnpike::cli::run()
}
