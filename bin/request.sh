#!/bin/sh
# Sends many requests to the server of bin/run.sh, and shows how fast it answers: bin/request.sh [URL] [FLAGS]
# FLAGS are those of "fapws bench", such as -c 64 -n 10000. Without fapws on this machine, that of the image is used.
set -eu
url=http://127.0.0.1:${PORT:-8080}/
case ${1:--} in
-*) ;; # flags only
*) url=$1 && shift ;;
esac
here=$(dirname "$0")/..
if [ -x "$here/build/fapws" ]; then
    exec "$here/build/fapws" bench "$@" "$url"
elif command -v fapws >/dev/null; then
    exec fapws bench "$@" "$url"
fi
engine=${CONTAINER_ENGINE:-$(command -v podman || command -v docker || true)}
[ -n "$engine" ] || { echo "request.sh: neither fapws nor a container engine is installed" >&2; exit 1; }
exec "$engine" run --rm --network host "${IMAGE:-fapws-samples}" bench "$@" "$url"
