# Sourced by build.sh: systemd tries the package in a virtual machine.
# shellcheck shell=bash

# word_systemd makes the package, boots a fresh Debian of this release with its kernel and systemd in qemu, and tries the service
# there (.ci/systemd-test). Without /dev/kvm the machine is emulated, which takes some minutes.
word_systemd() {
    local suite folder failure kernel='' flags=(-m 1G -nographic -no-user-config -nodefaults -serial stdio -nic none)
    [[ $(machine_architecture) == amd64 ]] || die "systemd runs on amd64: the machine of qemu is an x86"
    need_own_debian systemd "qemu-system-x86_64=qemu-system-x86 mkfs.ext4=e2fsprogs"
    folder=$roots_folder/systemd-$suite
    # shellcheck disable=SC2119 # of this machine
    word_deb
    make_root "$suite" "$folder" --include=systemd-sysv,udev,dbus,linux-image-cloud-amd64,initramfs-tools,python3,curl,procps
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
    chroot "$folder" systemctl -q mask serial-getty@ttyS0.service # it would take the terminal
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
        -append "root=/dev/vda rw console=ttyS0 quiet $kernel" </dev/null | tee "$folder.log" | grep -a --line-buffered '^systemd-test' || true # what counts is the last line
    grep -aq '^systemd-test: installed, upgraded, removed: all good' "$folder.log" || {
        failure=$(grep -am 1 -o '^systemd-test: FAILED: [^[:cntrl:]]*' "$folder.log") || failure='the virtual machine has not come to its end'
        die "${failure#systemd-test: FAILED: }; all messages are in $folder.log"
    }
    rm -rf "$folder" "$folder.img"
}
