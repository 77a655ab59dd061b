# Sourced by build.sh: cross builds for another architecture.
# shellcheck shell=bash
#
# The compiler is Debian's cross compiler. Headers and libraries, including Python's, are from Debian's packages for the
# other architecture, unpacked into a sysroot under build/cross/ARCH.

readonly cross_folder=$root/build/cross cross_architectures="arm64, armhf and riscv64"
cross='' # the architecture to build for; empty for this machine's

# machine_architecture prints this machine's architecture as Debian calls it.
machine_architecture() {
    dpkg --print-architecture 2>/dev/null && return
    case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    armv7*) echo armhf ;;
    i?86) echo i386 ;;
    *) uname -m ;;
    esac
}

# refuse_other_machines ends a word that builds for this machine if the environment selects another architecture for Go.
# Otherwise the C compiler would report errors in Go's assembly.
refuse_other_machines() {
    [[ -z ${GOOS-}${GOARCH-} || $cross ]] ||
        die "fapws needs Linux, and this word builds for this machine: unset GOOS and GOARCH;" \
            "./build.sh cross (or deb, tarball) builds for $cross_architectures"
}

# choose_cross ARCH sets cross to ARCH, and the variables cross_* for this architecture. cross_elf has two bytes from
# the ELF header of its programs (elf(5)): EI_CLASS and the low byte of e_machine.
choose_cross() {
    [[ $1 != "$(machine_architecture)" ]] || die "this machine is $1 itself: ./build.sh build"
    case $1 in
    arm64) cross_triplet=aarch64-linux-gnu cross_go=arm64 cross_emulator=qemu-aarch64 cross_elf=(02 b7) ;;
    armhf) cross_triplet=arm-linux-gnueabihf cross_go=arm cross_emulator=qemu-arm cross_elf=(01 28) ;;
    riscv64) cross_triplet=riscv64-linux-gnu cross_go=riscv64 cross_emulator=qemu-riscv64 cross_elf=(02 f3) ;;
    '') die "cross needs an architecture: ./build.sh cross builds for $cross_architectures" ;;
    *) die "unknown architecture \"$1\": ./build.sh cross builds for $cross_architectures" ;;
    esac
    [[ -z $python_option ]] ||
        die "cross embeds Debian's Python for $1: leave out --python, or choose a suite of Debian, such as SUITE=trixie"
    cross=$1
    cross_suite=${SUITE:-$(debian_suite)} ||
        die "cross uses Debian's packages for $1, and this is not Debian: choose a suite, such as SUITE=trixie"
    cross_root=$cross_folder/$cross/$cross_suite
}

# use_cross makes this shell ready for `go build` for the architecture of choose_cross.
use_cross() {
    python=${PYTHON:-/usr/bin/python3} # reads Python's settings; runs nothing of the sysroot
    [[ -x $python ]] || want Python python3
    [[ $(type -P apt-get dpkg-deb | wc -l) == 2 ]] ||
        die "cross uses Debian's packages for $cross: apt-get and dpkg-deb are required"
    command -v "$cross_triplet-gcc" >/dev/null || want "a C compiler for $cross" "gcc-$cross_triplet"
    command -v pkg-config >/dev/null || want pkg-config pkg-config
    [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || want "Debian's keys" debian-archive-keyring
    want_go
    install_wanted
    need_go
    [[ -e $cross_root ]] || make_sysroot libpython3-dev libc6-dev
    write_cross_compiler
    ask_sysroot
    GOARCH=$cross_go
    [[ $cross != armhf ]] || GOARM=7 # what Debian's armhf is built for
    # shellcheck disable=SC2089 # Go divides it into words
    CC="'$cross_root.cc'"
    # shellcheck disable=SC2090
    export GOOS=linux GOARCH GOARM CC
    link_with_python
    python=/usr/bin/python3 # of the machine on which fapws will run
}

# make_sysroot PACKAGE... unpacks packages of the architecture in cross, and their dependencies, into $cross_root.
make_sysroot() {
    local new=$cross_root.new deb pc link
    fetch_packages "$@"
    rm -rf "$new"
    mkdir -p "$new/usr/lib"
    ln -s usr/lib "$new/lib" # as in every Debian system; older packages still contain /lib
    for deb in "$cross_root".apt/cache/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$new" --keep-directory-symlink --no-same-owner
        # The word deb searches this list for the package of a file.
        dpkg-deb --fsys-tarfile "$deb" | tar -t | sed "s|^\.|$(dpkg-deb -f "$deb" Package): |" >>"$new/packages"
    done
    # Links to absolute paths would lead to this machine's files.
    find "$new" -type l -lname '/*' -print0 | while IFS= read -r -d '' link; do
        ln -snrf "$new$(readlink "$link")" "$link"
    done
    for pc in "$new/usr/lib/$cross_triplet"/pkgconfig/python*.pc; do
        # shellcheck disable=SC2016 # a variable of pkg-config
        [[ -L $pc || ! -e $pc ]] || sed -i 's|^prefix=.*|prefix=${pcfiledir}/../../..|' "$pc"
    done
    rm -rf "$cross_root.apt"
    mv "$new" "$cross_root"
}

# fetch_packages PACKAGE... downloads packages of the architecture in cross, with their dependencies, into
# $cross_root.apt.
fetch_packages() {
    local folder=$cross_root.apt log=$cross_root.log mirror cause
    local signed='deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
    local apt=(apt_apart "$folder" -y -o "APT::Architecture=$cross" -o "APT::Architectures=$cross"
        -o "Dir::State::status=$folder/status")
    rm -rf "$folder"
    mkdir -p "$folder"
    : >"$folder/status"
    mirror=$(debian_mirror)
    printf '%s\n' "$signed $mirror $cross_suite main" >"$folder/sources.list"
    # Security updates are required, because the executable contains static libraries.
    [[ $cross_suite =~ ^(sid|unstable|testing)$ ]] ||
        printf '%s\n' "$signed $(debian_mirror Debian-Security) $cross_suite-security main" >>"$folder/sources.list"
    # If apt-get cannot fetch a list, it may only warn. If the list of the suite itself is missing, the next step fails.
    patiently "fetching the package lists of Debian $cross_suite, $cross" logged "$log" "${apt[@]}" update || true
    cause=$(grep -m3 '^[EW]:' "$log") && say "warning: $cause"
    patiently "fetching packages for $cross" logged "$log" \
        "${apt[@]}" --no-install-recommends --download-only install "$@" && return
    rm -rf "$folder"
    grep -h '^[EW]:' "$log" | head -3 >&2 || true
    die "cannot fetch Debian $cross_suite for $cross: is the suite right, and is $mirror reachable?" \
        "All messages are in ${log#"$root/"}"
}

# write_cross_compiler writes a compiler that uses only the sysroot. Debian's cross compiler would prefer the libc of
# this machine's suite.
write_cross_compiler() {
    local gcc=$cross_triplet-gcc library=$cross_root/usr/lib/$cross_triplet text
    printf -v text '%q ' "$gcc" "--sysroot=$cross_root" -nostdinc -isystem "$("$gcc" -print-file-name=include)" \
        -isystem "$cross_root/usr/include/$cross_triplet" -isystem "$cross_root/usr/include" "-B$library" "-L$library"
    printf '#!/bin/bash\nexec %s"$@"\n' "$text" >"$cross_root.cc"
    chmod +x "$cross_root.cc"
}

# ask_sysroot sets py_* from files of the sysroot's Python, because that Python may not run on this machine.
ask_sysroot() {
    local files=("$cross_root"/usr/lib/python3*/_sysconfigdata__"$cross_triplet".py)
    [[ -e ${files[0]} ]] || die "Debian $cross_suite has no Python for $cross in $cross_root"
    read_python_settings "$python" -I -c '
import re, runpy, sys
root, settings = sys.argv[1:]
values = runpy.run_path(settings)["build_time_vars"]
def get(name):
    value = values.get(name)
    return root + value if str(value).startswith("/usr/") else value
with open(get("INCLUDEPY") + "/patchlevel.h") as f:
    version = re.search(r"define\s+PY_VERSION\s+\"([0-9.]+)", f.read()).group(1)
minor = values["VERSION"]
'"$print_python_settings" "$cross_root" "${files[0]}"
    py_root=$cross_root
}

# The acceptance tests that an emulated server runs: paths, WSGI, ASGI, WebSockets, channels, reload, files.
readonly cross_tests="^Test(PathsSelect|PathsCatchAll|EnvironDescribes|EnvironHasOnly|Validator|ReturnValuesBecome|\
Iterables|WriteSends|FileWrapper|HTTPErrorIs|AsyncHandlersMay|ASGIEvents|ASGIResponses|ASGIReceiveReturns|ASGIScopeHas|\
ASGILifespanThatStarts|ASGIPathsend|ASGIWebSocketReceives|WebSocketsPass|WebSocketForSynchronousCode|BroadcastReaches|\
ChannelsGetEvents|ChannelCallbacksReportJoins|\
ReloadLoadsAChangedFile|StopFinishesActive|PipelinedRequests|ResponseDoesNotDependOnHow|HEADHasTheFields|\
StaticFilesHave|StaticBig)"

# test_cross [TESTS] runs build/cross/ARCH/fapws in an emulator: first a short test, then the acceptance tests whose
# names match TESTS.
test_cross() {
    export FAPWS_BIN=$cross_folder/$cross/fapws QEMU_LD_PREFIX=$cross_root
    stage "smoke, $cross" emulated .ci/smoke-test "$FAPWS_BIN"
    # The test programs run on this machine without the emulator, so they are compiled for this machine. Only
    # directories that contain some of the tests are compiled.
    unset GOOS GOARCH GOARM CC py_version
    cross='' use_python
    need_frameworks
    install_wanted
    # An emulated server is several times slower, so only one package is tested at a time, with longer limits
    # (fapwstest/patience.go).
    export FAPWS_TEST_SLOWNESS=5
    stage "acceptance tests, $cross" emulated go test -count=1 -timeout "$test_limit" -p 1 -parallel 4 \
        -run "${1:-$cross_tests}" ./cmd/fapws/acceptance/{python,live,process,http,sites}
    summary
}

# emulated COMMAND... runs COMMAND in a namespace in which /usr/lib also has the files of the sysroot's /usr/lib, such
# as Python's modules. QEMU_LD_PREFIX is not enough, because it does not apply to statx(2), which 32-bit programs call.
# If the kernel does not start programs for $cross with the emulator, the namespace gets its own binfmt_misc. To call
# the emulator is not enough, because fapws starts itself again as a supervisor.
emulated() {
    local magic=''
    if ! "$FAPWS_BIN" --version >/dev/null 2>&1; then
        magic="\\x7fELF\\x${cross_elf[0]}\\x01\\x01"
        magic+="\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\x${cross_elf[1]}\\x00"
        magic+=':\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
        magic=":fapws:M::$magic:$(command -v "$cross_emulator"):FP"
    fi
    # shellcheck disable=SC2016 # variables of the inner shell
    unshare --user --map-root-user --mount bash -euc '
        mount -t overlay overlay -o "lowerdir=/usr/lib:$1/usr/lib" /usr/lib
        if [[ $2 ]]; then
            mount -t binfmt_misc none /proc/sys/fs/binfmt_misc 2>/dev/null ||
                { echo "build.sh: a binfmt_misc of a namespace needs Linux 6.7; install qemu-user-static" >&2; exit 1; }
            printf "%s\n" "$2" >/proc/sys/fs/binfmt_misc/register
        fi
        shift 2
        exec "$@"' - "$cross_root" "$magic" "$@"
}

# build_cross builds for the architecture of choose_cross, and sets built to the path of the executable.
build_cross() {
    use_cross
    say "Python $py_version of Debian $cross_suite for $cross, $py_linked"
    built=$cross_folder/$cross/fapws
    build_to "$built"
    say "built ${built#"$root/"}"
}

# word_cross ARCH [--test [TESTS]]
word_cross() {
    local built
    (($# <= 1)) || [[ $2 == --test ]] || die "unknown argument: $2"
    choose_cross "${1-}"
    [[ ${2-} != --test ]] || want_programs "for cross --test" "$cross_emulator=qemu-user curl=curl"
    build_cross
    [[ ${2-} != --test ]] || test_cross "${@:3}"
}
