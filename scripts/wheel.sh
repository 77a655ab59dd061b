# Sourced by build.sh: wheel.
#
# A wheel has the server as a library (package process), which is linked with no Python: it finds one in its process.

# word_wheel [ARCH | --all] makes wheels in build/dist, and prints their names. With --test [FOLDER...] it tests one.
word_wheel() {
    local cross='' candidate
    [[ ${1-} != --test ]] || { test_wheel "${@:2}"; return; }
    (($# <= 1)) || die "unknown argument: $2"
    [[ $(type -P readelf) ]] || want readelf binutils
    fix_circumstances
    mkdir -p "$dist_folder"
    if [[ ${1-} == --all ]]; then
        while read -r candidate; do
            (python_option=$candidate make_wheel) || die "no wheel for $candidate"
        done < <(list_pythons)
        return
    fi
    [[ ${1:-$(machine_architecture)} == "$(machine_architecture)" ]] || choose_cross "$1"
    make_wheel
}

# make_wheel makes the wheel for the chosen Python, or for Debian's of cross, and prints its name.
make_wheel() {
    local library number glibc=$root/cmd/fapws/process/glibc.h
    if [[ $cross ]]; then
        LIBPYTHON=none use_cross
        say "Python $py_version of Debian $cross_suite for $cross"
    else
        LIBPYTHON=none use_python
        say "Python $py_version ($python)"
    fi
    library=$root/build/wheel/${cross:+$cross-}$py_version/libfapws.so
    # Go's build cache does not look at an included file: a macro makes the flags differ.
    CGO_CFLAGS+=" -include \"$glibc\" -DFAPWS_GLIBC=$(cksum <"$glibc" | cut -d' ' -f1)"
    build_to "$library" -buildmode=c-shared -tags library
    write_sbom "$library" "${library%.so}.cdx.json"
    number=${py_minor#3.}
    "$python" "$root/scripts/wheel.py" "$library" "$dist_folder" "$(version_text)" "cp3${number%t}-cp3$number"
}

# install_wheel installs the wheel as users do, and sets FAPWS_BIN to the command that it has there.
install_wheel() {
    local wheel venv=$root/build/wheel/venv
    prepare_tests
    "$python" -c 'import ensurepip' 2>/dev/null || want "virtual environments" "python$py_minor-venv"
    install_wanted
    wheel=$(word_wheel) || die "no wheel"
    rm -rf "$venv"
    "$python" -m venv --system-site-packages "$venv"
    "$venv/bin/python" -m pip install -q --no-index "$dist_folder/$wheel"
    export FAPWS_BIN=$venv/bin/fapws
}

# test_wheel [FOLDER...] tests the installed wheel from outside. FOLDER is one of the acceptance tests; without any,
# all are run. Tests of frameworks need those of the system.
test_wheel() {
    local folders=("${@:-...}")
    install_wheel
    test_go "${folders[@]/#/./cmd/fapws/acceptance/}"
}

# test_wheel_short tests what differs between a wheel and an executable: how processes start, and what they inherit.
test_wheel_short() {
    install_wheel
    test_go -run '^Test(Chroot|ForkPerRequest|Identity|IdleStop|Preloaded|ProgramIsRemoved|Upgrade|UserMayNotEnter|VirtualEnv)$' \
        ./cmd/fapws/acceptance/process ./cmd/fapws/acceptance/python
}
