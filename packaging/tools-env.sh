# Sourced by the scripts beside it, with `root` set: where tools and results are.
# shellcheck shell=bash
# shellcheck disable=SC2034

# shellcheck disable=SC2154
PACKAGING_TARGET=$root/target/packages
PACKAGING_PYTHON=$root/target/tools/packaging
export PATH=$PACKAGING_PYTHON/bin:$PATH:/usr/sbin:/sbin
export CARGO_ZIGBUILD_ZIG_PATH=$PACKAGING_PYTHON/ziglang/zig
export CARGO_ZIGBUILD_CACHE_DIR=$root/target/tools/zigbuild
export ZIG_GLOBAL_CACHE_DIR=$root/target/tools/zig
export ZIG_LOCAL_CACHE_DIR=$root/target/tools/zig

# The oldest glibc that the programs run with: that of Enterprise Linux 8.
PACKAGING_GLIBC=2.28

packaging_version() {
  sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml"
}
