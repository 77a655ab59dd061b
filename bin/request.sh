#!/bin/sh
# Sends many requests to the server of bin/run.sh, and shows how fast it answers: bin/request.sh [URL [N]] [FLAGS]
# N is the number of requests. FLAGS are those of "./build.sh request", such as -c 64 or --close.
set -eu
url=http://127.0.0.1:${PORT:-8080}/
case ${1:--} in
-*) ;; # flags only
*)
    url=$1 && shift
    case ${1-} in
    [1-9]*) set -- -n "$@" ;;
    esac
    ;;
esac
exec "$(dirname "$0")/../build.sh" request "$@" "$url"
