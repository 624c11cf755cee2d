//! The node's allocator. A crate of its own, because every call goes through code of the crate that names it: the binary is built for size and
//! for the time that building takes (`Cargo.toml`), and each allocation would pass through that.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
