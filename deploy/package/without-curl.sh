#!/usr/bin/env bash
# Makes FOLDER/libcurl.a, which lets a program with the Swift runtime inside link without libcurl.
#
#   deploy/package/without-curl.sh FOLDER        then: swift build --static-swift-stdlib -Xlinker -LFOLDER
#
# FlyingFox, the dashboard's HTTP server, has a proxy handler with Foundation's HTTP client, and that client needs libcurl.
# Lockstep makes no HTTP requests, so nothing calls it; but the linker cannot see that, and the package would depend on
# libcurl and all that it depends on. Each function of this archive ends the process with a line that says so.
set -euo pipefail
folder=$1
runtime=$(swiftc -print-target-info -static-stdlib | sed -n 's/.*"runtimeResourcePath" *: *"\(.*\)".*/\1/p')
client=$runtime/linux/lib_CFURLSessionInterface.a
[ -e "$client" ] || { echo "package: there is no $client: install Swift with its static libraries" >&2; exit 1; }
mkdir -p "$folder"
{
    echo '#include <stdio.h>'
    echo '#include <stdlib.h>'
    # shellcheck disable=SC2028
    echo 'static void end(void) { fputs("lockstep: linked without an HTTP client\n", stderr); abort(); }'
    nm -u "$client" 2> /dev/null | sed -n 's/^ *U \(curl_[a-z_]*\)$/void \1(void) { end(); }/p' | sort -u
} > "$folder/curl.c"
grep -q curl_easy_init "$folder/curl.c" || { echo "package: $client names no function of libcurl" >&2; exit 1; }
clang -O1 -c "$folder/curl.c" -o "$folder/curl.o"
rm -f "$folder/libcurl.a"
ar -rcs "$folder/libcurl.a" "$folder/curl.o"
