#!/bin/sh
# The page about Fapws4 says: sh make.sh build
exec "$(dirname "$0")/build.sh" "$@"
