#!/bin/sh
# Runs a sample in the image of bin/build.sh: bin/run.sh [MODE]
#
#   http            a script with PATHS (the default)
#   wsgi_example    a WSGI application
#   flask, pyramid, django
#   shell           Python, with the WSGI application loaded
#
# The sample listens on port 8080 of this machine; PORT is another one, ADDRESS another address than 127.0.0.1. Words
# behind the mode are arguments of fapws. CONTAINER_FLAGS are more flags for podman or docker, such as "--memory 64m".
# A directory in the place of a mode is mounted as /srv/app, and the words behind it are those of fapws:
#   bin/run.sh ~/site app.py
set -eu
image=${IMAGE:-fapws-samples}
engine=${CONTAINER_ENGINE:-$(command -v podman || command -v docker || true)}
[ -n "$engine" ] || { echo "run.sh: neither podman nor docker is installed" >&2; exit 1; }
mode=${1:-http}
[ $# = 0 ] || shift
volume=
case $mode in
http) set -- "$@" hello/hello.py ;;
wsgi_example) set -- "$@" wsgi/app.py ;;
flask | pyramid) set -- "$@" "$mode/app.py" ;;
django) set -- "$@" django/wsgi.py ;;
shell) set -- shell wsgi/app.py ;;
*)
    [ -d "$mode" ] || {
        echo "run.sh: $mode is neither a directory nor one of http, wsgi_example, flask, pyramid, django, shell" >&2
        exit 2
    }
    volume=$(cd "$mode" && pwd):/srv/app
    ;;
esac
if [ -z "${IMAGE-}" ]; then
    found=$("$engine" images -q "$image")
    [ -n "$found" ] || { echo "run.sh: there is no image $image yet: bin/build.sh builds it" >&2; exit 1; }
fi
flags="--rm -i ${CONTAINER_FLAGS-}"
[ ! -t 0 ] || flags="$flags -t"
case $flags in
*--network*) ;;
*) flags="$flags -p ${ADDRESS:-127.0.0.1}:${PORT:-8080}:8080" ;;
esac
# shellcheck disable=SC2086 # flags are words
exec "$engine" run $flags ${volume:+-v "$volume"} "$image" "$@"
