#!/bin/sh
# Links a static program for aarch64 Linux as gcc's driver would: start files, what rustc gives, end files.
set -eu
exec ld.lld -L"$REALM_AARCH64_LIBC" -L"$REALM_AARCH64_LIBGCC" \
    "$REALM_AARCH64_LIBC/crt1.o" "$REALM_AARCH64_LIBC/crti.o" "$REALM_AARCH64_LIBGCC/crtbeginT.o" \
    "$@" "$REALM_AARCH64_LIBGCC/crtend.o" "$REALM_AARCH64_LIBC/crtn.o"
