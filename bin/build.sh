#!/bin/sh
# Builds the image "fapws-samples" of bin/run.sh: fapws, Flask, Pyramid, Django and samples/.
# BASE is another base image than Debian 13, IMAGE another name, CONTAINER_ENGINE podman, buildah or docker.
exec "$(dirname "$0")/../build.sh" container "$@"
