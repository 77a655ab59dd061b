# Sourced by build.sh: tarball, deb, release and wheel.
#
# The tarball and the Debian package contain the files that install copies. All times are SOURCE_DATE_EPOCH, so the same
# source and the same installed packages give the same bytes in every directory.
# shellcheck shell=bash

readonly dist_folder=$root/build/dist

# fix_circumstances makes builds reproducible: it sets the umask, and SOURCE_DATE_EPOCH if the user has not set it.
fix_circumstances() {
    umask 022
    export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(ask_git log -1 --format=%ct || stat -c %Y "$root/CHANGELOG.md")}
    [[ $SOURCE_DATE_EPOCH =~ ^[0-9]{1,10}$ ]] || die "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH: expected seconds since 1970"
    ! is_modified || say "warning: the source has uncommitted changes; the version ends with .dirty"
}

# build_for ARCH builds for ARCH, by default this machine's architecture, and sets arch, and built to the path of the
# executable.
build_for() {
    arch=${1:-$(machine_architecture)} built=$root/build/fapws
    mkdir -p "$dist_folder"
    # report missing programs before the compilation
    [[ $arch == "$(machine_architecture)" ]] || (choose_cross "$arch" && use_cross) || exit
    word_build # also makes the executable that prints the man page
    [[ $arch != "$(machine_architecture)" ]] || return 0
    choose_cross "$arch"
    build_cross
}

# stage_docs FOLDER copies the documentation and the sample console to FOLDER. The copy of SECURITY.md also names the
# project's form for reports.
stage_docs() {
    install -d "$1/docs"
    install -m 644 "$root"/{README,CHANGELOG,SECURITY}.md "$1"
    install -m 644 "$root"/docs/*.md "$1/docs"
    install_files "$root/samples" "$1/examples" console
    local home
    home=$(home_url)
    [[ -z $home ]] ||
        printf '\nThis copy is from %s; its form for reports is %s.\n' \
            "$home" "$home/security/advisories/new" >>"$1/SECURITY.md"
}

# set_times FOLDER sets the times of FOLDER and of all files in it to SOURCE_DATE_EPOCH.
set_times() { find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +; }

# libpython_text prints a sentence about the libpython that the executable needs.
libpython_text() {
    if [[ $py_linked == static ]]; then
        echo "Python $py_version is linked into the executable; its standard library is that of Python $py_minor."
    else
        echo "The executable wants the shared library of Python $py_minor, libpython$py_minor.so.1.0."
    fi
}

# word_tarball [ARCH] makes an archive that users unpack into ~/.local or another prefix.
# shellcheck disable=SC2120
word_tarball() {
    local arch built cross='' name folder
    (($# <= 1)) || die "unknown argument: $2"
    fix_circumstances
    build_for "${1-}"
    name=fapws-$(version_text)-linux-$arch-python$py_minor
    folder=$root/build/stage/$name
    fill_tree "$folder" '' "/lib/python$py_minor/site-packages" "$built"
    install -D -m 644 "$root/LICENSE" "$folder/share/doc/fapws/LICENSE"
    libpython_text >"$folder/share/doc/fapws/libpython"
    stage_docs "$folder/share/doc/fapws"
    set_times "$folder"
    tar -C "$folder" --sort=name --owner=0 --group=0 --numeric-owner --format=gnu -cf - bin lib share |
        gzip -9n >"$folder.tar.gz"
    mv "$folder.tar.gz" "$dist_folder" # renamed, so that the file is complete
    say "$(libpython_text)"
    say_made "$name.tar.gz" 'mkdir -p ~/.local && tar -xzf %s -C ~/.local'
}

# say_made FILE COMMAND prints how to install a file of build/dist, and sets made_file to its path. In COMMAND, %s
# stands for the path.
say_made() {
    local place=build/dist/$1 how="to install it"
    made_file=$dist_folder/$1
    [[ -z $cross ]] || place=$1 how="copy it to the machine, and type there"
    say "made build/dist/$1; $how: ${2/"%s"/"$place"}"
}

# deb_version converts version_text so that Debian sorts a commit before its release, and a newer Python after an older
# one.
deb_version() {
    local text
    text=$(version_text)
    if [[ $text == *+* ]]; then
        text=${text%%+*}~git$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d.%H%M%S).${text#*+}
    fi
    printf '%s+py%s\n' "$text" "$py_minor"
}

# word_deb [ARCH] makes a package for Debian and Ubuntu. --test then tests the package in a fresh system of this
# machine's suite, because the package needs the Python of this suite.
# shellcheck disable=SC2120
word_deb() {
    local arch='' built cross='' folder version file suite=''
    [[ ${1---test} == --test ]] || { arch=$1; shift; }
    (($# == 0)) || [[ $1 == --test ]] || die "unknown argument: $1"
    (($# <= 1)) || die "unknown argument: $2"
    if (($#)); then
        [[ ${arch:=$(machine_architecture)} == "$(machine_architecture)" ]] ||
            die "deb --test installs the package on this machine, which is $(machine_architecture):" \
                "try $arch with ./build.sh cross $arch --test"
        suite=$(debian_suite || os_release UBUNTU_CODENAME)
        [[ -n $suite ]] ||
            die "deb --test tries the package in a fresh system like this one, and this is neither Debian nor Ubuntu"
        need_debootstrap "deb --test" "lintian=lintian" # before it compiles
    fi
    command -v dpkg-deb >/dev/null || die "dpkg-deb is missing: packages are made on Debian and Ubuntu"
    want_programs "for packages" readelf=binutils
    install_wanted
    fix_circumstances
    local -x LIBPYTHON=${LIBPYTHON:-shared} # so security updates of Python reach the package
    build_for "$arch"
    version=$(deb_version)
    folder=$root/build/stage/deb-$arch
    fill_tree "$folder" /usr /usr/lib/fapws "$built"
    fill_units "$folder" /usr
    gzip -9n "$folder/usr/share/man/man1/fapws.1"
    ln -s fapws.1.gz "$folder/usr/share/man/man1/fapws4.1.gz"
    install -D -m 644 "$root/contrib/debian/lintian-overrides" "$folder/usr/share/lintian/overrides/fapws"
    [[ $py_linked != static ]] ||
        cat "$root/contrib/debian/lintian-overrides.static" >>"$folder/usr/share/lintian/overrides/fapws"
    install -d -m 755 "$folder/usr/share/doc/fapws" "$folder/DEBIAN"
    install -m 644 "$root/LICENSE" "$folder/usr/share/doc/fapws/copyright"
    printf 'fapws (%s) unstable; urgency=medium\n\n  * Changes are in CHANGELOG.md.\n\n -- %s  %s\n' \
        "$version" "$(maintainer)" "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")" |
        gzip -9n >"$folder/usr/share/doc/fapws/changelog.gz"
    stage_docs "$folder/usr/share/doc/fapws"
    # compress these files, as Debian's packages do
    find "$folder/usr/share/doc/fapws" -name '*.md' ! -path '*/examples/*' -size +4k -exec gzip -9n {} +
    for file in postinst prerm postrm; do
        install -m 755 "$root/contrib/debian/$file" "$folder/DEBIAN/$file"
    done
    echo /etc/fapws/fapws.toml >"$folder/DEBIAN/conffiles"
    (cd "$folder" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$folder/DEBIAN/md5sums"
    write_control "$folder" "$version" "$arch"
    chmod 644 "$folder"/DEBIAN/{control,conffiles,md5sums}
    set_times "$folder"
    file=fapws_${version}_$arch.deb
    dpkg-deb --root-owner-group -Zxz -b "$folder" "$folder.deb" >/dev/null
    mv "$folder.deb" "$dist_folder/$file"
    say "$(libpython_text)"
    say_made "$file" 'sudo apt-get install ./%s'
    [[ -z $suite ]] || test_deb "$dist_folder/$file" "$suite"
}

# test_deb FILE SUITE checks the package with lintian. In a fresh system, it installs the package, upgrades it under
# load, and removes it.
test_deb() {
    local folder=$roots_folder/deb-$2
    lintian --allow-root --fail-on error,warning "$1" ||
        die "lintian objects to the package: change it, or name the reason in contrib/debian/lintian-overrides"
    make_root "$2" "$folder" --include=python3,adduser
    two_versions "$1" "$folder"
    cp "$root/.ci/package-test" "$folder/package-test"
    in_root "$folder" root /package-test /old.deb /new.deb
    rm -rf "$folder"
}

# two_versions FILE FOLDER copies FILE to old.deb in FOLDER, and makes new.deb, which differs only by a newer version
# number.
two_versions() {
    cp "$1" "$2/old.deb"
    dpkg-deb -R "$1" "$2/new"
    sed -i 's/^Version: .*/&.1/' "$2/new/DEBIAN/control"
    dpkg-deb --root-owner-group -b "$2/new" "$2/new.deb" >/dev/null
    rm -r "$2/new"
}

# maintainer prints name and address of the maintainer, from the same variables as Debian's tools.
maintainer() { printf '%s <%s>\n' "${DEBFULLNAME:-the fapws authors}" "${DEBEMAIL:-fapws@localhost}"; }

# write_control FOLDER VERSION ARCH writes DEBIAN/control. The installed size is computed like that of dpkg-gencontrol.
write_control() {
    local text sentence size home
    home=$(home_url)
    text=$(<"$root/contrib/debian/control.in")
    sentence=$(libpython_text | fold -s -w 77 | sed 's/ *$//; 2,$s/^/ /')
    size=$(find "$1" -mindepth 1 -name DEBIAN -prune -o -type f -printf '%s\n' -o -printf '1\n' |
        awk '{ size += int(($1 + 1023) / 1024) } END { print size }')
    text=${text//@VERSION@/"$2"}
    text=${text//@ARCHITECTURE@/"$3"}
    [[ -z $home ]] || text=${text/$'\nSection:'/$'\nHomepage: '"$home"$'\nSection:'}
    text=${text//@MAINTAINER@/"$(maintainer)"}
    text=${text//@SIZE@/"$size"}
    text=${text//@DEPENDS@/"$(dependencies "$1/usr/bin/fapws")"}
    text=${text//@LIBPYTHON@/"$sentence"}
    printf '%s\n' "$text" >"$1/DEBIAN/control"
}

# dependencies FILE prints the packages that contain the shared libraries of FILE, and Python's standard library.
dependencies() {
    local needed package glibc list=(python3 adduser)
    glibc=$(readelf -V -W "$1" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)
    while read -r needed; do
        package=$(package_of "$needed") || die "no package found that has $needed"
        case $package in
        libc6) package+=" (>= ${glibc#GLIBC_})" ;;
        libpython*) package+=" (>= $py_version)" ;;
        esac
        list+=("$package")
    done < <(readelf -d -W "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p' &&
        echo "python$py_minor/wsgiref/__init__.py")
    printf '%s\n' "${list[@]}" | LC_ALL=C sort -u | paste -sd, | sed 's/,/, /g'
}

# package_of FILE prints the package with a file whose path ends in /FILE.
package_of() {
    if [[ $cross ]]; then
        grep "/$1\$" "$cross_root/packages"
    else
        dpkg-query --search "*/$1" 2>/dev/null | grep -vE 'dpkg-query|^diversion|-cross:'
    fi | sed -n '1s/:.*//p'
}

# word_release makes all files of a release: the Debian package, the tarball, lists of the components of their
# executables (SBOM), and checksums.
word_release() {
    refuse_other_tag
    ! is_modified || die "the source has uncommitted changes: a release is made of a commit"
    rm -rf "$dist_folder"
    if [[ $(type -P dpkg-deb) ]]; then
        # shellcheck disable=SC2119 # of this machine
        word_deb
        write_sbom "$root/build/fapws" "${made_file%.deb}.cdx.json"
    fi
    # shellcheck disable=SC2119
    word_tarball
    write_sbom "$root/build/fapws" "${made_file%.tar.gz}.cdx.json"
    (cd "$dist_folder" && sha256sum -- * >../SHA256SUMS && mv ../SHA256SUMS .)
    say "made build/dist: $(cd "$dist_folder" && printf '%s ' *)"
}

# refuse_other_tag exits with an error if the commit has a tag, but not that of the changelog's version. Otherwise the
# names of the files would contain the commit.
refuse_other_tag() {
    local version tags
    version=$(changelog_version)
    tags=$(ask_git tag --points-at HEAD --list 'v[0-9]*' | paste -sd ' ') || true
    [[ -n $tags ]] || return 0
    [[ " $tags " == *" v$version "* ]] ||
        die "the commit is tagged $tags, but the newest version in CHANGELOG.md is $version: change one of them"
    ! grep -m 1 '^## ' "$root/CHANGELOG.md" | grep -qi unreleased ||
        die "the commit is tagged $tags, but CHANGELOG.md calls it unreleased: write the date there"
}

# write_sbom FILE SBOM writes the components of the executable or library FILE to the file SBOM.
write_sbom() {
    go version -m -json "$1" |
        "$python" -I "$root/scripts/sbom.py" "$(version_text)" "$py_version" "$py_linked" "$SOURCE_DATE_EPOCH" >"$2"
}

# --- wheel ------------------------------------------------------------------
#
# A wheel contains the server as a library (package process). The library is not linked with libpython, because its
# process already contains Python.

musl='' # not empty if the wheel is for musl

# word_wheel [ARCH | musl | --all] [--into FOLDER] [--test [FOLDER...]]
word_wheel() {
    local into=$dist_folder all='' arch='' cross='' musl='' candidate
    while (($#)); do
        case $1 in
        --all) all=1 ;;
        --test)
            if [[ $musl ]]; then test_musl_wheel; else test_wheel "${@:2}"; fi
            return
            ;;
        --into)
            (($# > 1)) || die "--into needs a folder"
            into=$2 && shift
            ;;
        -*) die "unknown argument of wheel: $1" ;;
        musl) musl=1 ;;
        *) arch=$1 ;;
        esac
        shift
    done
    want_programs "for packages" readelf=binutils
    [[ ! $musl ]] || want_programs "for musl" "$musl_programs"
    [[ ! $musl || -z $arch ]] || die "wheel makes wheels for musl on the same architecture only: leave out $arch"
    fix_circumstances
    mkdir -p "$into"
    if [[ $all ]]; then
        [[ -z $arch$python_option ]] ||
            die "wheel --all takes every Python that this machine has: leave out $arch$python_option"
        while read -r candidate; do
            (python_option=$candidate make_wheel) || die "no wheel for $candidate"
        done < <(list_pythons)
    else
        [[ -z $arch || $arch == "$(machine_architecture)" ]] || choose_cross "$arch"
        make_wheel
    fi
}

# make_wheel makes the wheel for the chosen Python or, if cross is set, for Debian's Python of this architecture.
make_wheel() {
    local library tag also_wanted=want_hatch
    build_library
    make_hatch
    (cd "$root" && FAPWS_WHEEL_LIBRARY=$library FAPWS_WHEEL_TAG=$tag "$hatch" -m hatchling build -t wheel -d "$into")
}

# build_library builds the library of a wheel for the Python of make_wheel. It sets library to the path of the library,
# and tag to the wheel's tag without the platform.
build_library() {
    local number glibc=$root/cmd/fapws/process/glibc.h LIBPYTHON=none library_linker
    if [[ $cross ]]; then
        use_cross
        say "Python $py_version of Debian $cross_suite for $cross"
    else
        use_python
        say "Python $py_version ($python)${musl:+ for musl}"
    fi
    library=$root/build/wheel/${cross:+$cross-}${musl:+musl-}$py_version/libfapws.so
    mkdir -p "${library%/*}"
    if [[ $musl ]]; then
        use_musl_compiler
        CGO_LDFLAGS+=" $musl_stack"
    else
        # Go's build cache does not notice a change of an included file, so a macro changes the flags.
        CGO_CFLAGS+=" -include \"$glibc\" -DFAPWS_GLIBC=$(cksum <"$glibc" | cut -d' ' -f1)"
    fi
    write_library_linker "${library%.so}.cc"
    build_to "$library" -buildmode=c-shared -tags library
    write_sbom "$library" "${library%.so}.cdx.json"
    number=${py_minor#3.} # the tag has the Python, and its binary interface
    tag=cp3${number%t}-cp3$number
}

# write_library_linker FILE writes the compiler with which Go links a library, and sets library_linker to it. It puts
# the constructor that starts Go's runtime into a section of its own, from which preload.c calls it.
write_library_linker() {
    local compiler
    eval "compiler=(${CC:-gcc})"
    # shellcheck disable=SC2016 # the text is a script, whose variables it sets itself
    {
        printf '%s\n' '#!/bin/sh' 'for file; do' '    case $file in' '    */go.o)'
        printf '        %q --rename-section .init_array=fapws_go "$file" || exit\n' \
            "$("${compiler[@]}" -print-prog-name=objcopy)"
        printf '%s\n' '        ;;' '    esac' 'done'
        printf 'exec'
        printf ' %q' "${compiler[@]}"
        printf ' "$@"\n'
    } >"$1"
    chmod +x "$1"
    library_linker=$1
}

# library_of PYTHON builds the library for a frontend such as pip, and prints the path of the library and the tag of the
# wheel.
library_of() {
    local python_option=$1 library tag
    fix_circumstances
    build_library
    printf '%s\n%s\n' "$library" "$tag"
}

# find_hatch sets hatch to the Python of the virtual environment for hatchling, which makes wheels and the source for
# pip. It fails if hatchling is not installed there.
find_hatch() {
    hatch=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2] + sys.abiflags)' 2>/dev/null) || return
    hatch=$root/build/hatch/$hatch/bin/python3
    "$hatch" -c 'import hatchling' 2>/dev/null
}

# want_hatch records the missing package that make_hatch needs.
want_hatch() { find_hatch || want_venv "$python"; }

# make_hatch calls find_hatch, and installs hatchling if it is missing.
make_hatch() {
    local venv
    find_hatch && return
    want_venv "$python"
    install_wanted
    venv=${hatch%/bin/python3}
    rm -rf "$venv"
    "$python" -m venv "$venv"
    patiently "fetching hatchling" "$hatch" -m pip install -q --disable-pip-version-check 'hatchling>=1.27' >&2 ||
        die "pip could not install hatchling"
}

# word_sdist [FOLDER] makes the source for pip.
word_sdist() {
    local also_wanted=want_hatch
    use_python
    fix_circumstances
    make_hatch
    (cd "$root" && "$hatch" -m hatchling build -t sdist -d "${1:-$dist_folder}")
}

# make_test_wheel makes the wheel that install_wheel installs. It is a subshell, because its environment is for a library.
make_test_wheel() (
    rm -rf "$root/build/wheel/dist"
    word_wheel --into "$root/build/wheel/dist"
)

# install_wheel installs the wheel as users do. The virtual environment contains the system's packages, because the
# tests need the frameworks.
install_wheel() {
    local venv=$root/build/wheel/venv
    rm -rf "$venv"
    "$python" -m venv --system-site-packages "$venv"
    "$venv/bin/python" -m pip install -q --no-index "$root"/build/wheel/dist/*.whl
    export FAPWS_BIN=$venv/bin/fapws
}

# test_musl_wheel makes the wheel for musl, and tries it in a root that has only musl and Python.
test_musl_wheel() {
    local dist=$root/build/wheel/dist ssl='' library tag also_wanted=want_hatch
    use_python
    [[ $py_minor == "${musl_version%.*}" ]] ||
        die "wheel musl --test compiles Python $musl_version for musl: choose a Python ${musl_version%.*} by --python"
    want_programs "for a root with musl" busybox=busybox-static
    need_musl_python "$musl_folder/python"
    make_hatch
    rm -rf "$dist"
    (unset CC && word_wheel musl --into "$dist") # its environment is for a library
    "$root/.ci/wheel-alone-test" "$dist"/*.whl "$musl_folder/python/bin/python3" \
        "$musl_folder/python/lib/python$py_minor" "${hatch%/bin/python3}/lib/python$py_minor/site-packages/pip"
}

# test_wheel [FOLDER...] runs the acceptance tests in these folders, or all acceptance tests, with the wheel.
test_wheel() {
    need_test_tools
    make_test_wheel
    install_wheel
    (($#)) || set -- ...
    test_go "${@/#/./cmd/fapws/acceptance/}"
}

# test_wheel_short tests only the differences between a wheel, which compile_for_stages has made, and an executable: how
# processes start, and what they inherit.
test_wheel_short() {
    install_wheel
    test_wheel_tools
    test_go -run '^Test(ChrootLoads|DebuggersFind|ForkServesEach|ScriptHasTheSameIdentity|'\
'IdleStopEnds|InterruptEnds|Preloaded|ProgramIsRemoved|UpgradeRuns|UserMayNotEnter|VirtualEnv)' \
        ./cmd/fapws/acceptance/process ./cmd/fapws/acceptance/python
}

# test_wheel_files tests which files hatchling writes into a wheel and into the source for pip.
test_wheel_files() {
    make_hatch
    "$hatch" "$root/.ci/wheel-files-test.py" --quiet
}

# test_wheel_tools checks the wheel and the source for pip with the tools of users and package indexes. The function is
# a subshell, so its variables are local.
test_wheel_tools() (
    tools=$root/build/today/bin folder=$root/build/wheel/tools wheel=$(echo "$root"/build/wheel/dist/*.whl)
    [[ -e $tools/auditwheel ]] || return 0 # see make_today
    rm -rf "$folder"
    mkdir -p "$folder"
    said=$("$tools/auditwheel" show "$wheel")
    [[ $said == *'"manylinux_2_17_'* ]] || die "auditwheel: $said"
    "$tools/check-wheel-contents" "$wheel"
    word_sdist "$folder/sdist"
    "$tools/twine" check --strict "$wheel" "$folder"/sdist/*

    # The frontends use the existing library, because compiling another one would take minutes.
    FAPWS_WHEEL_LIBRARY=$root/build/wheel/$py_version/libfapws.so FAPWS_WHEEL_TAG=$(basename "$wheel" | cut -d- -f3,4)
    export FAPWS_WHEEL_LIBRARY FAPWS_WHEEL_TAG UV_CACHE_DIR=$folder/uv UV_PYTHON=$python
    export UV_SYSTEM_CERTS=1 # uv has its own list of CAs; pip uses the list of the system
    "$tools/uv" build -q --out-dir "$folder/built" "$root" # the wheel of the sdist
    [[ -e $folder/built/$(basename "$wheel") ]] || die "uv build made $(ls "$folder/built")"
    "$tools/uv" tool run -q --from "$wheel" fapws --version
    printf '%s\n' '# /// script' "# dependencies = [\"fapws @ file://$wheel\"]" '# ///' 'import sys' \
        'sys.argv[1:] = ["--version"]' 'from fapws.__main__ import main; main()' >"$folder/script.py" # PEP 723
    "$tools/uv" run -q --script "$folder/script.py"

    # Test an editable installation, and then the oldest pip that supports the tags of this wheel.
    "$python" -m venv "$folder/venv"
    "$folder/venv/bin/python" -m pip install -q --disable-pip-version-check -e "$root"
    "$folder/venv/bin/fapws" --version
    said=$("$folder/venv/bin/python" -c 'import fapws; print(fapws.__file__)')
    [[ $said == "$root/contrib/fapws/__init__.py" ]] || die "an editable installation has $said"
    "$folder/venv/bin/python" -m pip uninstall -q -y --disable-pip-version-check fapws
    rm "$root/contrib/fapws/libfapws.so"
    oldest=20.0.2
    [[ $py_version != 3.1[2-9]* ]] || oldest=23.2.1 # Python 3.12 removed distutils, which older versions of pip import
    "$folder/venv/bin/python" -m pip install -q --disable-pip-version-check "pip==$oldest"
    "$folder/venv/bin/python" -m pip install -q --no-index "$wheel"
    "$folder/venv/bin/fapws" --version
    "$folder/venv/bin/fapws" new hello "$folder/hello" >/dev/null
    [[ -s $folder/hello/hello.py ]] || die "fapws new has written no hello.py"
    said=$("$tools/mypy" --python-executable "$folder/venv/bin/python" -c 'from fapws import publish, typo' 2>&1) &&
        die "mypy: $said"
    [[ $said == *'has no attribute "typo"'*"Found 1 error "* ]] || die "mypy: $said"
    echo 'from fapws import publish, typo' >"$folder/types.py"
    said=$(node "$root/build/$pyright/index.js" --pythonpath "$folder/venv/bin/python" "$folder/types.py" 2>&1) &&
        die "pyright: $said"
    [[ $said == *'"typo" is unknown import symbol'*"1 error, "* ]] || die "pyright: $said"
)
