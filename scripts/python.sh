# Sourced by build.sh: finds Python and tells cgo how to compile and link with it.
# shellcheck shell=bash

# fapws supports Python 3.$python_oldest to 3.$python_newest, and Python without the GIL from 3.$python_free_threaded
# on. .ci/build-test compares these numbers with README.md.
readonly python_oldest=8 python_newest=15 python_free_threaded=14

# choose_python sets python to the interpreter to embed, and records the missing packages for embedding it.
choose_python() {
    python=${python_option:-${PYTHON:-/usr/bin/python3}}
    if [[ ! -x $python && $python == /usr/bin/python3 ]]; then
        want Python python3-dev
        return
    fi
    python=$(command -v "$python") || die "there is no Python at ${python_option:-$PYTHON}"
    local said
    said=$("$python" --version 2>&1 || true) # an older one cannot compile the program of ask_python
    [[ $said == "Python 3."* ]] || die "$python is not a Python 3 that runs; with --version, it prints: ${said%%$'\n'*}"
    ask_python
    [[ -e $py_include/Python.h && -e $py_pc/python-$py_minor-embed.pc ]] && return
    [[ $py_include == /usr/include/* ]] ||
        die "$python has no headers and pkg-config files in $py_include and $py_pc"
    want "the headers of Python $py_minor" "libpython$py_minor-dev"
}

# ask_python sets py_* to facts about the chosen Python. The versions of a free-threaded Python contain a t, such as
# 3.14t (py_minor) and 3.14.0t (py_version).
ask_python() {
    read_python_settings "$python" -S -c '
import sys, sysconfig
get = sysconfig.get_config_var
minor, version = (".".join(map(str, sys.version_info[:n])) + sys.abiflags for n in (2, 3))
'"$print_python_settings"
    py_root=
}

# The end of the program for read_python_settings. The beginning of the program sets get, minor and version.
readonly print_python_settings='
libraries = " ".join(get(name) or "" for name in ("MODLIBS", "LIBS", "SYSLIBS")).split()
print(minor, version, get("LIBDIR"), get("LIBPC"), get("INCLUDEPY"), get("Py_ENABLE_SHARED"),
      "%s/libpython%s.a" % (get("LIBPL"), minor),
      # MODLIBS also has stray backslashes and objects of the build directory.
      *dict.fromkeys(word for word in libraries if word.startswith("-")), sep="\n")
'

# read_python_settings COMMAND... sets py_* to the output of COMMAND, and exits with an error if fapws does not support
# this Python.
read_python_settings() {
    local answer
    answer=$("$@") || die "$python does not run"
    { read -r py_minor && read -r py_version && read -r py_libdir && read -r py_pc &&
        read -r py_include && read -r py_shared && read -r py_archive && mapfile -t py_libs; } <<<"$answer"
    local number=${py_minor#*.}
    number=${number%%[a-z]*}
    ((${py_minor%%.*} == 3 && number >= python_oldest && number <= python_newest)) ||
        die "$python is Python $py_version; fapws supports 3.$python_oldest to 3.$python_newest:" \
            "choose another with --python PATH"
    [[ $py_minor != *t* ]] || ((number >= python_free_threaded)) ||
        die "$python is Python $py_version; fapws supports free-threaded Python" \
            "from 3.$python_free_threaded on: choose another with --python PATH"
}

need_compiler() {
    { command -v "${CC:-gcc}" >/dev/null && [[ -e /usr/include/stdio.h ]]; } || want "a C compiler" gcc libc6-dev
    command -v pkg-config >/dev/null || want pkg-config pkg-config
}

# list_pythons prints the supported Pythons of this machine, one path for each installation.
list_pythons() {
    local candidate
    for candidate in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python3 /usr/bin/python3 \
        /usr/bin/python3.* /usr/local/bin/python3.* $(compgen -c python3. | sort -u); do
        [[ $candidate =~ python3(\.[0-9]+t?)?$ ]] || continue # not python3.11-config
        "$candidate" -S -c '
import sys
path, oldest, newest, free_threaded = sys.argv[1:]
first = int(free_threaded if "t" in sys.abiflags else oldest)
if sys.version_info[0] == 3 and first <= sys.version_info[1] <= int(newest) and sys.prefix == sys.base_prefix:
    print("%d.%d.%d" % sys.version_info[:3] + sys.abiflags, sys.prefix, path)
' "$candidate" $python_oldest $python_newest $python_free_threaded 2>/dev/null || true
    done | sort -V -u -k1,2 | cut -d' ' -f3
}

# link_python sets py_linked and py_link, which determine how the executable is linked with libpython.
#
# The default is the archive (libpython.a) of the distribution, which was optimized with a profile. With the shared
# library, Python code takes a fifth to a quarter more time. Debian's archives of 3.13 and 3.14 lack objects, so the
# archive is tested first. LIBPYTHON=static also downloads and compiles the missing objects, which would make the first
# build too slow otherwise. LIBPYTHON=shared always uses the shared library, for packagers who want updates of Python
# without a rebuild.
link_python() {
    case ${LIBPYTHON-} in
    static)
        [[ -e $py_archive ]] || die "$python has no $py_archive"
        link_archive || { compile_errors "$probe_log" >&2; die "$py_archive cannot be linked; try LIBPYTHON=shared"; }
        return
        ;;
    shared) ;;
    none) # the library of a wheel finds Python in its process
        py_linked=none py_link=
        return
        ;;
    '')
        if [[ ${py_libdir#"$py_root"} == /usr/lib* && -e $py_archive ]]; then
            link_archive && return
        fi
        ;;
    *) die "LIBPYTHON=$LIBPYTHON: expected static or shared" ;;
    esac
    [[ $py_shared == 1 ]] ||
        die "$python has no libpython$py_minor.so; fapws needs a Python built with --enable-shared," \
            "or try LIBPYTHON=static"
    py_linked=shared py_link="-L\"$py_libdir\" -lpython$py_minor"
    # The dynamic linker searches only the system's directories without -rpath.
    case ${py_libdir#"$py_root"} in
    /usr/lib | /usr/lib/* | /lib/*) ;;
    *) py_link+=" -Wl,-rpath,\"$py_libdir\"" ;;
    esac
}

# link_archive sets py_linked and py_link if the archive can be linked, alone or with the objects of make_hacl.
link_archive() {
    # Extension modules use Python's functions in the executable, so these must be exported.
    py_linked=static py_link="\"$py_archive\" ${py_libs[*]} -Wl,--export-dynamic"
    probe_archive && return
    grep -qi hacl "$probe_log" && make_hacl || return 1
    py_link="\"$py_archive\" \"$hacl_archive\" ${py_libs[*]} -Wl,--export-dynamic"
    probe_archive
}

# probe_archive reports whether a program can be linked with py_link, and sets probe_log to the file with the linker's
# messages. A program that was linked with the same flags, and is newer than the archive, is not linked again.
probe_archive() {
    local folder=$root/build/probe/$py_version command flags asked
    probe_log=$folder/log
    mkdir -p "$folder"
    eval "command=(${CC:-gcc}) flags=(${CFLAGS-} ${LDFLAGS-} $py_link)" # quoted as for Go and pkg-config
    asked="${command[*]} ${flags[*]}"
    [[ ! $folder/probe -nt $py_archive || $(cat "$folder/flags" 2>/dev/null) != "$asked" ]] || return 0
    printf '#include <Python.h>\nint main(void) { Py_Initialize(); return Py_FinalizeEx(); }\n' >"$folder/probe.c"
    rm -f "$folder/flags"
    # Go, too, links executables without -pie.
    "${command[@]}" -no-pie -I"$py_include" "$folder/probe.c" "${flags[@]}" -o "$folder/probe" >"$probe_log" 2>&1 &&
        printf '%s\n' "$asked" >"$folder/flags"
}

# write_pc writes python3.pc, from which cpy3 and pybridge get their flags by pkg-config.
write_pc() {
    local dir=$root/build/pc/${cross:+$cross-}$py_version-$py_linked text
    text=$(<"$root/pybridge/python/python3.pc.in")
    text=${text//@VERSION@/"$py_minor"}
    text=${text//@LINK@/"$py_link"}
    text=${text//@FOLDER@/"$root/pybridge/python"}
    mkdir -p "$dir"
    # The file is renamed, because another build may be reading it.
    printf '%s\n' "$text" >"$dir/.python3.pc.$$"
    mv "$dir/.python3.pc.$$" "$dir/python3.pc"
    PKG_CONFIG_PATH=$dir:$py_pc
}

# use_python prepares this shell for `go build` with the chosen Python.
use_python() {
    refuse_other_machines
    choose_python
    need_compiler
    want_go
    ${also_wanted:-:} # what the word needs later: a user without root gets one command
    install_wanted
    [[ -n ${py_version-} ]] || choose_python # Python was just installed
    install_wanted
    need_go
    link_with_python
}

# link_with_python tells cgo how to compile and link with the Python of py_*.
link_with_python() {
    link_python
    write_pc
    # Go's build cache does not notice changes of pkg-config's output and of compat.h, and could link a different
    # Python. Therefore a macro changes the flags.
    local id
    id=$(printf '%s\n' "$py_include" "$py_link" | cat - "$root/pybridge/python/"* | cksum)
    CGO_CFLAGS="${CFLAGS:--O2 -g} -DFAPWS_PY_${py_minor/./_} -DFAPWS_PY_BUILD=${id%% *}"
    CGO_LDFLAGS="${LDFLAGS:--O2 -g}"
    CGO_ENABLED=1 PYTHON=$python
    # Only `compile` uses the profile. With the profile, tests and checks of cmd/fapws would compile each package once
    # more.
    GOFLAGS="${GOFLAGS+$GOFLAGS }-pgo=off -trimpath"
    export PATH GOTOOLCHAIN GOFLAGS PKG_CONFIG_PATH CGO_CFLAGS CGO_LDFLAGS CGO_ENABLED PYTHON
}

# pack_python makes an object file with package fapws, and with Python's standard library if py_library is its folder,
# for the linker. It sets packed to the path of this file. The name depends on the content, because Go's build cache does
# not notice changes of this file. If this machine has no Python of the version to embed, as in a cross build, fapws
# compiles the package at each start.
py_library=
pack_python() {
    local folder=$root/build/packed packer=${py_packer:-$python} compiler data
    if [[ $cross && ! ${py_packer-} ]] && "python$py_minor" -c '' 2>/dev/null; then packer=python$py_minor; fi
    mkdir -p "$folder"
    data=$(mktemp "$folder/XXXXXX")
    "$packer" -I -S -X no_debug_ranges "$root/scripts/archive.py" "$data" "$root/contrib" fapws,fapws4 ${py_library:+"$py_library"} ||
        die "cannot pack $root/contrib"
    packed=$folder/$(cat "$data" "$root/scripts/python.sh" | cksum | cut -d' ' -f1)-${cross:-$py_minor}.o
    if [[ ! -e $packed ]]; then
        printf '%s\n' '.section .rodata' '.balign 8' '.global core_archive' '.hidden core_archive' 'core_archive:' \
            ".incbin \"$data\"" '.section .note.GNU-stack,"",%progbits' >"$data.s"
        eval "compiler=(${CC:-gcc})"
        "${compiler[@]}" -c "$data.s" -o "$data.o" || die "cannot assemble $data.s"
        mv "$data.o" "$packed"
    fi
    rm -f "$data" "$data.s"
}

# --- the objects that Debian's and Ubuntu's archives of Python lack ---------
#
# Since version 3.12, Python contains the hash functions of HACL*, but libpython.a lacks their objects
# (https://github.com/python/cpython/issues/131298). These objects are compiled from the source package of the same
# version, which apt verifies.

# make_hacl sets hacl_archive to an archive of the objects that py_archive lacks. It fails unless LIBPYTHON is static,
# and also without a network or if Python was not installed from a package.
make_hacl() {
    local folder=$root/build/hacl/$py_version
    hacl_archive=$folder/libhacl.a
    [[ ! $hacl_archive -nt $py_archive ]] || return 0
    [[ -z $cross && ${LIBPYTHON-} == static ]] || return 1
    command -v xz >/dev/null || want xz xz-utils
    install_wanted
    rm -rf "$folder"
    mkdir -p "$folder"
    patiently "fetching the source of Python $py_version (35 MB) for objects that $py_archive lacks" \
        logged "$folder/log" fetch_hacl "$folder" || return 1
    patiently "compiling these objects" logged "$folder/log" compile_hacl "$folder" || return 1
    rm -rf "$folder/apt" "$folder/Modules"
}

# fetch_hacl FOLDER unpacks Modules/_hacl of the source package of py_archive into FOLDER.
fetch_hacl() {
    local apt=$1/apt keys package
    package=$(dpkg-query -S "$py_archive") || return 1
    # shellcheck disable=SC2016 # dpkg's own syntax
    package=$(dpkg-query -W -f '${source:Package}=${source:Version}' "${package%%: *}") || return 1
    mkdir -p "$apt"
    keys=/usr/share/keyrings/$(os_release ID)-archive-keyring.gpg
    # shellcheck disable=SC2016 # apt's own syntax
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Component: main' |
        sort -u | sed "s|^|deb-src [signed-by=$keys] |" >"$apt/sources.list"
    apt_apart "$apt" update && (cd "$apt" && apt_apart "$apt" --download-only source "$package") &&
        tar -xf "$apt"/*.orig.tar.[gx]z -C "$1" --strip-components=1 --wildcards '*/Modules/_hacl/*'
}

# compile_hacl FOLDER compiles the files of fetch_hacl with Python's own options, and writes hacl_archive.
compile_hacl() (
    cd "$1/Modules/_hacl" || return 1
    for file in *.c; do
        options=
        case $file in
        *HMAC.c | *_universal2.c) continue ;; # of an extension module, of macOS
        *_Simd*.c) # empty if not on this processor
            options=$("$python" -S -c 'import sys, sysconfig
print(sysconfig.get_config_var(f"LIBHACL_BLAKE2_SIMD{sys.argv[1]}_CFLAGS") or "")' "$(basename "${file##*_Simd}" .c)")
            [[ -n $options ]] || continue
            ;;
        esac
        # shellcheck disable=SC2086 # several words
        "${CC:-gcc}" -O2 -DNDEBUG -D_DEFAULT_SOURCE -I. -Iinclude -w $options -c "$file" || return 1
    done
    ar rc "$hacl_archive" ./*.o
)
