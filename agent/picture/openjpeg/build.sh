#!/usr/bin/env bash
# build.sh: compiles OpenJPEG to openjpeg.wasm, which sandbox.go embeds, from
# the source package of Debian 12 with the compiler of Debian 12:
#
#   apt install clang-14 lld-14 wasi-libc libclang-rt-14-dev-wasm32 curl xz-utils patch
#
# The same sources and the same compiler give the same bytes; openjpeg.wasm.sha256
# says which. build.sh --check builds elsewhere and compares, and changes
# nothing. OPENJPEG_SOURCES names a folder that holds the two archives already:
# a revision that was superseded is no longer on the mirrors, but is kept at
# snapshot.debian.org.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD

version=2.5.0
revision=2+deb12u3
mirrors=(
  http://deb.debian.org/debian/pool/main/o/openjpeg2
  http://security.debian.org/debian-security/pool/updates/main/o/openjpeg2
)
# As in openjpeg2_2.5.0-2+deb12u3.dsc, which the maintainers sign.
orig=openjpeg2_$version.orig.tar.xz
orig_sum=007e19d772c8b6b22e35379630b06ff3549e49ba719d96453607a36ad7b4de73
debian=openjpeg2_$version-$revision.debian.tar.xz
debian_sum=36dedb0ca4c1659c173feac97c19b31985656f4cd112b1a4d54d54bc4133ad37

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

get() { # file, sum
  if [ -n "${OPENJPEG_SOURCES:-}" ]; then
    cp "$OPENJPEG_SOURCES/$1" "$work/$1"
  else
    local mirror
    for mirror in "${mirrors[@]}"; do
      if curl -fsSL --retry 3 -o "$work/$1" "$mirror/${1//+/%2B}"; then break; fi
    done
  fi
  echo "$2  $work/$1" | sha256sum --check --quiet
}
get "$orig" "$orig_sum"
get "$debian" "$debian_sum"

tar -xf "$work/$orig" -C "$work"
src=$work/openjpeg-$version
tar -xf "$work/$debian" -C "$src"
while read -r patch; do
  case $patch in '' | '#'*) continue ;; esac
  patch --silent -d "$src" -p1 <"$src/debian/patches/$patch"
done <"$src/debian/patches/series"

# What cmake would find out, in so far as the library asks.
mkdir "$work/config"
cat >"$work/config/opj_config.h" <<'H'
#define OPJ_HAVE_STDINT_H 1
#define OPJ_VERSION_MAJOR 2
#define OPJ_VERSION_MINOR 5
#define OPJ_VERSION_BUILD 0
H
cat >"$work/config/opj_config_private.h" <<'H'
#define OPJ_HAVE_INTTYPES_H 1
#define OPJ_PACKAGE_VERSION "2.5.0"
#define OPJ_HAVE_FSEEKO 1
#define OPJ_HAVE_MALLOC_H 1
#define OPJ_HAVE_POSIX_MEMALIGN 1
#define _POSIX_C_SOURCE 200112L
/* The library dumps its state for developers; a sandbox has nowhere to. */
#include <stdio.h>
#define fprintf(...) ((void)0)
H

# Assertions stay in: one that does not hold ends the instance (picture.c).
# Paths would get into the module by __FILE__, so the sources are named relative
# to their folder. The stack lies first, so that its overflow is a trap and not
# an overwritten variable; 64 MiB is all the memory that the module can ask for.
cp "$here/picture.c" "$src/src/lib/openjp2/"
cd "$src/src/lib/openjp2"
clang-14 --target=wasm32-wasi -mexec-model=reactor \
  -nostdlibinc -isystem /usr/include/wasm32-wasi -L/usr/lib/wasm32-wasi \
  -std=c11 -D_GNU_SOURCE -O2 -fno-ident -ffunction-sections -fdata-sections -fvisibility=hidden -I. -I"$work/config" -w \
  -fuse-ld=/usr/bin/wasm-ld-14 -Wl,-z,stack-size=1048576 -Wl,--stack-first -Wl,--max-memory=67108864 -Wl,--gc-sections -Wl,--strip-all \
  -o "$work/openjpeg.wasm" \
  picture.c thread.c bio.c cio.c dwt.c event.c ht_dec.c image.c invert.c j2k.c jp2.c mct.c mqc.c openjpeg.c pi.c t1.c t2.c tcd.c tgt.c \
  function_list.c opj_malloc.c sparse_array.c -lm
cd "$here"

if [ "${1:-}" = --check ]; then
  sha256sum "$work/openjpeg.wasm" | sed 's/ .*//' | diff - <(sed 's/ .*//' openjpeg.wasm.sha256)
  sha256sum --check --quiet openjpeg.wasm.sha256
  echo "openjpeg.wasm is what the sources give"
  exit
fi
cp "$work/openjpeg.wasm" openjpeg.wasm
sha256sum openjpeg.wasm >openjpeg.wasm.sha256
cp "$src/LICENSE" LICENSE
cat openjpeg.wasm.sha256
