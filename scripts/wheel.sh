# Sourced by build.sh: wheel.
# shellcheck shell=bash
#
# A wheel has the server as a library (package process), which is linked with no Python: it finds one in its process.

# word_wheel [ARCH | --all] [--into FOLDER] [--test [FOLDER...]]
word_wheel() {
    local into=$dist_folder all='' arch='' cross='' candidate
    while (($#)); do
        case $1 in
        --all) all=1 ;;
        --test)
            shift
            test_wheel "$@"
            return
            ;;
        --into)
            (($# > 1)) || die "--into needs a folder"
            into=$2 && shift
            ;;
        -*) die "unknown argument of wheel: $1" ;;
        *) arch=$1 ;;
        esac
        shift
    done
    command -v readelf >/dev/null || want readelf binutils
    fix_circumstances
    mkdir -p "$into"
    if [[ -z $all ]]; then
        [[ -z $arch || $arch == "$(machine_architecture)" ]] || choose_cross "$arch"
        make_wheel
        return
    fi
    [[ -z $arch ]] || die "wheel --all is for the Pythons of this machine: leave out $arch"
    [[ -z $python_option ]] || die "wheel --all takes every Python that it finds: leave out --python"
    while read -r candidate; do
        (python_option=$candidate make_wheel) || die "no wheel for $candidate"
    done < <(list_pythons)
}

# make_wheel makes the wheel for the chosen Python, or for Debian's of cross, and prints its name.
make_wheel() {
    local library glibc=$root/cmd/fapws/process/glibc.h
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
    "$python" "$root/scripts/wheel.py" "$library" "$into" "$(version_text)" "$(wheel_tag)"
}

# wheel_tag prints the tag of the Python and of its binary interface.
wheel_tag() {
    local number=${py_minor#3.}
    printf 'cp3%s-cp3%s\n' "${number%t}" "$number"
}

# install_wheel installs the wheel as users do, and sets venv to the virtual environment that has it.
install_wheel() {
    local dist wheels
    venv=$root/build/wheel/venv
    use_python
    need_test_tools
    "$python" -c 'import ensurepip' 2>/dev/null || want "virtual environments" "python$py_minor-venv"
    install_wanted
    dist=$(mktemp -d)
    (word_wheel --into "$dist") || die "no wheel"
    wheels=("$dist"/*.whl)
    rm -rf "$venv"
    "$python" -m venv --system-site-packages "$venv"
    "$venv/bin/python" -m pip install -q --no-index "${wheels[@]}"
    rm -rf "$dist"
}

# test_wheel [FOLDER...] tests the installed wheel from outside. FOLDER is one of the acceptance tests; without any,
# all are run. Tests of frameworks need those of the system.
test_wheel() {
    local venv folders=("$@")
    ((${#folders[@]})) || folders=(...)
    install_wheel
    FAPWS_BIN=$venv/bin/fapws test_go "${folders[@]/#/./cmd/fapws/acceptance/}"
}

# test_wheel_short tests what differs between a wheel and an executable: how processes start, and what they inherit.
test_wheel_short() {
    local venv
    install_wheel
    FAPWS_BIN=$venv/bin/fapws test_go -run '^Test(Chroot|ForkPerRequest|Identity|IdleStop|Preloaded|ProgramIsRemoved|Upgrade|UserMayNotEnter|VirtualEnv)$' \
        ./cmd/fapws/acceptance/process ./cmd/fapws/acceptance/python
}
