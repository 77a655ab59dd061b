# Sourced by build.sh: container builds the image of bin/run.sh.

# word_container builds the image IMAGE on the image BASE. With --test it tries an image instead.
word_container() {
    case ${1-} in
    '') build_image ;;
    --test) test_container ;;
    *) die "unknown argument: $1" ;;
    esac
}

# build_image [FLAGS] builds it.
build_image() {
    local engine name flags=(--file "$root/contrib/container/Containerfile" --tag "${IMAGE:-fapws-samples}"
        --build-arg "SOURCE_VERSION=$(version_text)" "$@")
    engine=${CONTAINER_ENGINE:-$(type -P podman || type -P buildah || type -P docker)} ||
        die "container needs podman, buildah or docker; on Debian and Ubuntu: sudo apt-get install --no-install-recommends podman"
    [[ $engine == *docker ]] || flags+=(--ignorefile "$root/contrib/container/Containerfile.dockerignore")
    for name in BASE GOPROXY GOSUMDB GONOSUMDB http_proxy https_proxy no_proxy; do
        [[ -z ${!name-} ]] || flags+=(--build-arg "$name=${!name}")
    done
    mkdir -p "$root/build"
    patiently "building the image; the first time takes some minutes" logged "$root/build/container.log" "$engine" build "${flags[@]}" "$root" || {
        tail -n 5 "$root/build/container.log" >&2
        die "building the image failed; all messages are in build/container.log"
    }
    say "built the image ${IMAGE:-fapws-samples}"
}

# test_container builds the image on a Debian of debootstrap, without a registry, and tries each mode of bin/run.sh.
test_container() {
    local suite mode failed=() folder=$roots_folder/container
    export IMAGE=localhost/fapws-test BASE=localhost/fapws-test-base CONTAINER_ENGINE=podman \
        CONTAINERS_CONF=$root/build/containers.conf CONTAINER_FLAGS="--network host --name fapws-test"
    suite=$(debian_suite) || die "container --test makes a system of this machine's Debian, and this is not Debian"
    need_debootstrap "container --test" "buildah=buildah podman=podman runc=runc curl=curl"
    # Settings that also work in a container, and with control groups of both versions side by side.
    printf '%s\n' '[containers]' 'default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]' \
        '[engine]' 'runtime = "runc"' 'cgroup_manager = "cgroupfs"' >"$CONTAINERS_CONF"
    if ! podman image exists "$BASE"; then
        make_root "$suite" "$folder"
        tar -C "$folder" -cf "$folder.tar" .
        patiently "importing $suite" logged "$folder.log" podman import "$folder.tar" "$BASE" || die "podman import failed: $folder.log"
        rm -rf "$folder" "$folder.tar"
    fi
    CONTAINER_ENGINE=buildah build_image --network host --isolation chroot
    for mode in http wsgi_example flask pyramid django; do
        stage "mode $mode" try_mode "$mode"
    done
    stage "mode shell" grep -qx True <("$root/bin/run.sh" shell <<<'print(callable(app))')
    stage "limits of a control group" try_limits
    stage "nothing to write to, any user" try_restricted
    summary
}

# serve_mode MODE [FLAGS] serves a mode of bin/run.sh in the background, and sets url, log and runner.
serve_mode() {
    log=$root/build/container-$1.log
    : >"$log"
    "$root/bin/run.sh" "$1" --bind 127.0.0.1:0 "${@:2}" >"$log" 2>&1 </dev/null &
    runner=$!
    url=$(await_url "$runner" "$log")
}

# try_mode MODE asks for a page of a mode, sends it many requests, looks at the identity of the server, and stops it.
try_mode() {
    local url log runner path=''
    [[ $1 != http ]] || path=hello
    serve_mode "$1"
    curl -fsSL -o /dev/null "$url$path"
    "$root/bin/request.sh" "$url$path" -n 200 -c 4
    podman exec fapws-test /usr/bin/python3 -c '
import os
assert os.getuid() == 990, os.getuid()
assert os.readlink("/proc/1/exe") == "/usr/bin/fapws", os.readlink("/proc/1/exe")'
    podman kill --signal "$([[ $1 == http ]] && echo INT || echo TERM)" fapws-test >/dev/null
    wait "$runner" || { cat "$log" >&2; die "mode $1 ended with another code than 0"; }
}

# try_limits looks whether a limit of processors is that of the number of workers.
try_limits() {
    local url log runner
    CONTAINER_FLAGS+=" --cpus 1 --memory 128m" serve_mode http --workers 0
    podman stop fapws-test >/dev/null
    wait "$runner"
    grep -q ', 1 worker,' "$log" || { cat "$log" >&2; return 1; }
}

# try_restricted serves in a container of which nothing can be written, as a user without a name and without capabilities.
try_restricted() {
    local url log runner
    CONTAINER_FLAGS+=" --read-only --read-only-tmpfs=false --user 123456:0 --cap-drop all --security-opt no-new-privileges" \
        serve_mode http --workers 2
    curl -fsS -o /dev/null "${url}hello"
    podman stop -t 20 fapws-test >/dev/null
    wait "$runner" # it fails if the server had to be killed
}
