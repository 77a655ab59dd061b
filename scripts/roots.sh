# Sourced by build.sh. roots runs the first commands of README.md on fresh systems. systemd tests the Debian package in
# a virtual machine.
#
# `test` runs neither of these words, because roots downloads half a gigabyte and compiles twice for each suite.
# .ci/build-test tests the decisions of roots without a network.
# shellcheck shell=bash

readonly roots_folder=$root/build/roots

# word_roots [--test] [--as root|user] [SUITE...] creates fresh systems, for each suite one for root and one for a plain
# user, and serves samples/hello there from a clean clone. --test also runs all checks there. For --wheel [SUITE...],
# see try_wheels.
word_roots() {
    local suite user suites=(bookworm trixie sid) users=(root user) word=serve_in
    while [[ ${1-} == -* ]]; do
        case $1 in
        --test) word=test_in ;;
        --wheel) word=try_wheels suites=(bullseye bookworm trixie) ;;
        --as)
            [[ ${2-} == root || ${2-} == user ]] || die "roots --as needs root or user"
            users=("$2")
            shift
            ;;
        *) die "unknown argument: $1" ;;
        esac
        shift
    done
    (($# == 0)) || suites=("$@")
    [[ ${suites[*]} =~ ^[a-z\ ]+$ ]] || die "roots needs names of Debian, or noble: ./build.sh roots bookworm"
    need_debootstrap roots "git=git curl=curl"
    if [[ $word == try_wheels ]]; then
        try_wheels "${suites[@]}"
    else
        for suite in "${suites[@]}"; do
            for user in "${users[@]}"; do
                stage "$suite, $user" in_fresh_root "$suite" "$user" "$word"
            done
        done
    fi
    summary
}

# try_wheels SUITE... makes a wheel for each Python on this machine, and installs the wheels as users do: in each of
# these Pythons, and in fresh systems that have Python and pip, but no compiler.
try_wheels() {
    local dist=$roots_folder/wheels suite candidate
    rm -rf "$dist"
    word_wheel --all --into "$dist"
    while read -r candidate; do
        stage "$candidate" "$candidate" "$root/.ci/wheel-test.py" "$dist"
    done < <(list_pythons)
    for suite in "$@"; do
        stage "wheel in $suite" try_wheel_in "$suite" "$dist"
    done
}

# try_wheel_in SUITE WHEELS creates a fresh system, and installs the wheel for the Python of this system as a plain
# user.
try_wheel_in() {
    local folder=$roots_folder/wheel-$1
    make_root "$1" "$folder" --include=python3,python3-venv
    chroot "$folder" useradd -m user
    cp -r "$2" "$folder/wheels"
    cp "$root/.ci/wheel-test.py" "$folder"
    in_root "$folder" user python3 /wheel-test.py /wheels
    rm -rf "$folder"
}

# in_fresh_root SUITE USER COMMAND... creates a fresh system in a directory FOLDER, clones the source into the home
# directory of USER, and calls COMMAND FOLDER USER.
in_fresh_root() {
    local folder=$roots_folder/$1-$2 home=/home/user
    make_root "$1" "$folder"
    chroot "$folder" useradd -m user
    [[ $2 == user ]] || home=/root
    clone_source "$folder$home/fapws" # the owner of its files changes
    chroot "$folder" chown -R "$2:" "$home/fapws"
    "${@:3}" "$folder" "$2"
    rm -rf "$folder"
}

# need_debootstrap WORD [PROGRAMS] installs the packages that make_root needs, and the packages of PROGRAMS (see
# want_programs).
need_debootstrap() {
    [[ $EUID -eq 0 ]] || die "$1 needs root, for debootstrap and chroot"
    want_programs "for $1" "debootstrap=debootstrap ${2-}"
    install_wanted
}

# need_own_debian WORD [PROGRAMS] sets suite to the suite of this machine, and calls need_debootstrap.
need_own_debian() {
    suite=$(debian_suite) || die "$1 makes a system of this machine's Debian, and this is not Debian"
    need_debootstrap "$@"
}

# make_root SUITE FOLDER [FLAGS] creates a system in FOLDER, and removes its old contents. SUITE is a suite of Debian,
# or noble (Ubuntu 24.04).
make_root() {
    local flags=(--variant=minbase "${@:3}") from=("$(debian_mirror)")
    if [[ $1 == noble ]]; then
        [[ -e /usr/share/keyrings/ubuntu-archive-keyring.gpg ]] ||
            die "the keys of Ubuntu are missing: install them with:" \
                "sudo apt-get install ubuntu-keyring (Debian 13 or later, Ubuntu)"
        # The debootstrap of Debian 12 does not know noble, but it knows the Ubuntu "gutsy", which is installed with the
        # same steps.
        flags+=("--components=main,universe") from=("${UBUNTU_MIRROR:-http://archive.ubuntu.com/ubuntu}" gutsy)
    fi
    rm -rf "$2"
    mkdir -p "$2"
    : >"$roots_folder/go.mod" # Go in these systems is no part of this module
    patiently "debootstrap $1" logged "$2.log" debootstrap "${flags[@]}" "$1" "$2" "${from[@]}" ||
        die "debootstrap failed: $2.log"
    printf '127.0.0.1 localhost\n' >"$2/etc/hosts" # as installers do
    copy_host_settings "$2"
}

# copy_host_settings FOLDER copies the settings that the new system needs for the network: apt's proxy and checks, and
# this machine's additional certificate authorities.
copy_host_settings() {
    apt-config dump | grep -E '^Acquire::(http|https|Check)' >"$1/etc/apt/apt.conf.d/90host" || true
    [[ ! -d /usr/local/share/ca-certificates ]] || cp -r /usr/local/share/ca-certificates "$1/usr/local/share"
}

# in_root FOLDER USER COMMAND... runs COMMAND in the system in FOLDER. When COMMAND ends, its processes and mounts end
# as well.
in_root() {
    # shellcheck disable=SC2016 # variables of the inner shell
    unshare --mount --pid --fork --kill-child bash -euc '
        folder=$1 user=$2 home=/home/user
        shift 2
        [[ $user == user ]] || home=/root
        mount --rbind "$folder" "$folder"
        mount -t proc proc "$folder/proc"
        mount -t sysfs -o ro sysfs "$folder/sys"
        mount -t tmpfs tmpfs "$folder/dev/shm"
        mount -t devpts -o newinstance,ptmxmode=0666 devpts "$folder/dev/pts"
        settings=(HOME="$home" LANG=C.UTF-8 FAPWS_BIND=127.0.0.1:0
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
        for name in GOPROXY GOSUMDB GONOSUMDB http_proxy https_proxy no_proxy; do
            [[ -z ${!name-} ]] || settings+=("$name=${!name}")
        done
        # Use pivot_root, because some tests create a namespace, which is not possible in a chroot.
        cd "$folder"
        pivot_root . .
        umount -l .
        # This shell stays process 1, because the kernel ends all processes of the namespace when process 1 ends.
        # Without a handler, process 1 would ignore INT and TERM. --kill-child would have no effect on a process that
        # has become another user.
        trap "exit 1" INT TERM
        env -i "${settings[@]}" chroot --userspec="$user:$user" / "$@" &
        wait $!' - "$@" </dev/null
}

# build_in FOLDER USER WORD... runs build.sh in the clone in the system.
build_in() {
    # shellcheck disable=SC2016 # variables of the inner shell
    in_root "$1" "$2" bash -c 'cd ~/fapws && exec ./build.sh "$@"' - "${@:3}"
}

# apt_in FOLDER COMMAND... updates the package lists in the system, and runs apt-get COMMAND as root.
apt_in() {
    # shellcheck disable=SC2016 # variables of the inner shell
    patiently "apt-get $2" logged "$1.log" in_root "$1" root sh -ec '
        export DEBIAN_FRONTEND=noninteractive
        apt-get -qq update
        apt-get -qq -y --no-install-recommends "$@"' - "${@:2}" || die "apt-get failed: $1.log"
}

# serve_in FOLDER USER runs the first command of README.md in the system, and sends a request to the server.
serve_in() (
    install_as_told "$@" run samples/hello/hello.py
    start_server "$1.log" build_in "$@" run samples/hello/hello.py
    # unshare blocks SIGTERM, so unshare is killed, and the server ends with it, however this function ends.
    # shellcheck disable=SC2064 # of this server
    trap "pkill -KILL -P $server || true" EXIT
    curl -fsS "$(address_of "$1.log" http)/hello" | grep -q '^Hello world' || die "it does not answer"
    say "$2: it answers"
)

# test_in FOLDER USER serves the sample, and runs all checks.
test_in() {
    serve_in "$@"
    install_as_told "$@" test
    build_in "$@" test
}

# install_as_told FOLDER USER WORD... runs build.sh WORD as a plain user, who may not install packages. build.sh then
# prints the command that installs them, and root runs this command.
install_as_told() {
    local told
    [[ $2 != root ]] || return 0
    told=$(build_in "$@" 2>&1) || true
    printf '%s\n' "$told"
    told=$(sed -n 's/.*install them with: sudo apt-get \(install .*\)/\1/p' <<<"$told")
    [[ -n $told ]] || die "a plain user of a fresh system was not told what to install"
    # shellcheck disable=SC2086 # a command
    apt_in "$1" $told
}

# word_systemd makes the Debian package, and boots a fresh Debian of this machine's suite in qemu, with its own kernel
# and systemd. In this virtual machine, .ci/systemd-test tests the service. Without /dev/kvm, the machine is emulated,
# which takes some minutes.
word_systemd() {
    local suite folder kernel='' flags=(-m 1G -nographic -no-user-config -nodefaults -serial stdio -nic none)
    [[ $(machine_architecture) == amd64 ]] || die "systemd runs on amd64: the machine of qemu is an x86"
    need_own_debian systemd "qemu-system-x86_64=qemu-system-x86 mkfs.ext4=e2fsprogs"
    folder=$roots_folder/systemd-$suite
    # shellcheck disable=SC2119 # of this machine
    word_deb
    make_root "$suite" "$folder" \
        --include=systemd-sysv,udev,dbus,linux-image-cloud-amd64,initramfs-tools,python3,curl,procps
    apt_in "$folder" satisfy "$(dpkg-deb -f "$made_file" Depends)"
    two_versions "$made_file" "$folder"
    cp "$root/.ci/systemd-test" "$folder/systemd-test"
    echo systemd-test >"$folder/etc/hostname"
    printf '/dev/vda / ext4 defaults 0 1\n' >"$folder/etc/fstab"
    cat >"$folder/etc/systemd/system/systemd-test.service" <<'UNIT'
[Unit]
After=network.target

[Service]
ExecStart=/systemd-test /old.deb /new.deb
StandardOutput=tty
StandardError=inherit
TTYPath=/dev/ttyS0

[Install]
WantedBy=multi-user.target
UNIT
    chroot "$folder" systemctl -q enable systemd-test.service
    chroot "$folder" systemctl -q mask serial-getty@ttyS0.service # it would use the terminal
    rm -f "$folder.img"
    truncate -s 3G "$folder.img"
    logged "$folder.log" mkfs.ext4 -q -d "$folder" "$folder.img" || die "mkfs.ext4 failed: $folder.log"
    if [[ -w /dev/kvm ]] && grep -qwE 'vmx|svm' /proc/cpuinfo; then
        flags+=(-enable-kvm -cpu host)
    else
        say "without hardware virtualization (/dev/kvm) the machine is emulated, which takes some minutes"
        kernel=no_timer_check # where other programs keep the processors busy, its timer seems broken
    fi
    timeout 3600 qemu-system-x86_64 "${flags[@]}" -smp 2 -drive "file=$folder.img,if=virtio,format=raw" \
        -kernel "$(echo "$folder"/boot/vmlinuz-*)" -initrd "$(echo "$folder"/boot/initrd.img-*)" \
        -append "root=/dev/vda rw console=ttyS0 quiet $kernel" </dev/null | tee "$folder.log" |
        grep -a --line-buffered '^systemd-test' || true # what counts is the last line
    grep -aq '^systemd-test: installed, upgraded, removed: all good' "$folder.log" ||
        die "the service failed, or the virtual machine ended early; all messages are in $folder.log"
    rm -rf "$folder" "$folder.img"
}
