//! The node's allocator. A crate of its own, because every call goes through code of the crate that names it: the binary is built for
//! the time that building takes (`Cargo.toml`), and each allocation would pass through unoptimised code.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
