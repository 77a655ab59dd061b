# Sourced by build.sh: container builds the image that bin/run.sh runs.
# shellcheck shell=bash

container_engine() {
    local engine
    for engine in ${CONTAINER_ENGINE:-podman buildah docker}; do
        command -v "$engine" && return
    done
    die "container needs podman, buildah or docker; on Debian and Ubuntu:" \
        "sudo apt-get install --no-install-recommends podman"
}

# build_image [FLAGS] builds IMAGE, which has the samples.
build_image() {
    local engine name image=${IMAGE:-fapws-samples} word=build
    local flags=(--file "$root/contrib/container/Containerfile" --tag "$image" --target samples
        --build-arg "SOURCE_VERSION=$(version_text)" "$@")
    engine=$(container_engine)
    [[ $engine != */buildah ]] || word=bud
    [[ $engine == */docker ]] || flags+=(--ignorefile "$root/contrib/container/Containerfile.dockerignore")
    [[ -z ${BASE-} ]] || flags+=(--build-arg "BASE=$BASE")
    for name in GOPROXY GOSUMDB GONOSUMDB http_proxy https_proxy no_proxy; do
        [[ -z ${!name-} ]] || flags+=(--build-arg "$name=${!name}")
    done
    mkdir -p "$root/build"
    patiently "building the image $image; the first time takes some minutes" logged "$root/build/container.log" \
        "$engine" "$word" "${flags[@]}" "$root" || {
        tail -n 5 "$root/build/container.log" >&2
        die "building the image failed; all messages are in build/container.log"
    }
    say "built the image $image"
}

# word_container [--test] builds the image of bin/run.sh, IMAGE, on the image BASE.
# shellcheck disable=SC2120
word_container() {
    case ${1-} in
    '') build_image ;;
    --test) test_container ;;
    *) die "unknown argument: $1" ;;
    esac
}

# test_container builds the image on a Debian system from debootstrap, without a registry, and tests each mode of
# bin/run.sh.
test_container() {
    local suite base=localhost/fapws-test-base mode folder
    need_own_debian "container --test" "buildah=buildah podman=podman runc=runc curl=curl"
    folder=$roots_folder/container-$suite
    if ! buildah inspect "$base" >/dev/null 2>&1; then
        make_root "$suite" "$folder"
        tar -C "$folder" -cf "$folder.tar" .
        patiently "importing $suite" logged "$folder.log" podman import "$folder.tar" "$base" ||
            die "podman import failed: $folder.log"
        rm -rf "$folder" "$folder.tar"
    fi
    # These settings let podman run within a container, and with control groups of both versions side by side.
    printf '%s\n' '[containers]' 'default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]' \
        '[engine]' 'runtime = "runc"' 'cgroup_manager = "cgroupfs"' \
        >"$root/build/containers.conf"
    export CONTAINERS_CONF=$root/build/containers.conf IMAGE=localhost/fapws-test BASE=$base CONTAINER_ENGINE=podman \
        CONTAINER_FLAGS="--network host --name fapws-test"
    CONTAINER_ENGINE=buildah build_image --network host --isolation chroot
    for mode in http wsgi_example flask pyramid django; do
        stage "mode $mode" try_mode "$mode"
    done
    stage "mode shell" try_shell
    stage "limits of a control group" try_limits
    stage "nothing to write to, any user" try_restricted
    summary
}

# serve_mode MODE [FLAGS] serves a mode of bin/run.sh in the background, and sets url, log and server.
serve_mode() {
    log=$root/build/container-$1.log
    start_server "$log" "$root/bin/run.sh" "$1" --bind 127.0.0.1:0 "${@:2}"
    url=$(address_of "$log" http)/
}

# try_mode MODE requests a page of a mode, sends many requests, checks the identity of the server, and stops the server.
try_mode() {
    local url log server path='' signal=TERM status=0
    [[ $1 != http ]] || path=hello signal=INT
    serve_mode "$1"
    curl -fsSL -o /dev/null "$url$path"
    "$root/bin/request.sh" "$url$path" -n 200 -c 4
    podman exec fapws-test /usr/bin/python3 -c '
import os
assert os.getuid() == 990, os.getuid()
assert os.readlink("/proc/1/exe") == "/usr/bin/fapws", os.readlink("/proc/1/exe")'
    podman kill --signal "$signal" fapws-test >/dev/null
    wait "$server" || status=$?
    [[ $status == 0 ]] || die "mode $1 ended with code $status: $(<"$log")"
}

try_shell() { [[ $("$root/bin/run.sh" shell <<<'print(callable(app))') == True ]]; }

# try_limits checks that a limit of processors limits the number of workers.
try_limits() {
    local url log server
    CONTAINER_FLAGS+=" --cpus 1 --memory 128m" serve_mode http --workers 0
    podman stop fapws-test >/dev/null
    wait "$server"
    grep -q ', 1 worker,' "$log" || die "not one worker: $(<"$log")"
}

# try_restricted serves in a read-only container, as a user without a name and without capabilities.
try_restricted() {
    local url log server
    CONTAINER_FLAGS+=" --read-only --read-only-tmpfs=false --user 123456:0 --cap-drop all \
--security-opt no-new-privileges" \
        serve_mode http --workers 2
    curl -fsS -o /dev/null "${url}hello"
    podman stop -t 20 fapws-test >/dev/null
    wait "$server" # it fails if the server had to be killed
}
