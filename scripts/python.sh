# Sourced by build.sh: finds Python and tells cgo how to compile and link with it.
# shellcheck shell=bash

need_compiler() {
    if ! command -v "${CC:-gcc}" >/dev/null || [[ ! -e /usr/include/stdio.h ]]; then
        install_packages "a C compiler" gcc libc6-dev
    fi
    command -v pkg-config >/dev/null || install_packages pkg-config pkg-config
}

# choose_python sets python to the interpreter to embed.
choose_python() {
    python=${python_option:-${PYTHON:-/usr/bin/python3}}
    if [[ ! -x $python && $python == /usr/bin/python3 ]]; then
        install_packages Python python3-dev
    fi
    python=$(command -v "$python") || die "there is no Python at ${python_option:-$PYTHON}"
}

# ask_python sets py_* from what the chosen Python says of itself.
ask_python() {
    local answer
    answer=$("$python" -S -c '
import sys, sysconfig
get = sysconfig.get_config_var
print("%d.%d" % sys.version_info[:2], "%d.%d.%d" % sys.version_info[:3],
      get("LIBDIR"), get("LIBPC"), get("INCLUDEPY"), get("Py_ENABLE_SHARED"),
      "%s/lib%s%d.%d.a" % ((get("LIBPL"), "python") + sys.version_info[:2]),
      *dict.fromkeys(" ".join(get(k) or "" for k in ("MODLIBS", "LIBS", "SYSLIBS")).split()), sep="\n")
') || die "$python does not run"
    { read -r py_minor && read -r py_version && read -r py_libdir && read -r py_pc &&
        read -r py_include && read -r py_shared && read -r py_archive && mapfile -t py_libs; } <<<"$answer"
    case $py_minor in
    3.[89] | 3.1[0-9]) ;;
    *) die "$python is Python $py_version; fapws needs 3.8 or later" ;;
    esac
}

need_python_headers() {
    [[ -e $py_include/Python.h && -e $py_pc/python-$py_minor-embed.pc ]] && return
    [[ $py_include == /usr/include/* ]] ||
        die "$python has no headers and pkg-config files in $py_include and $py_pc"
    install_packages "the headers of Python $py_minor" "libpython$py_minor-dev"
}

# list_pythons prints the 3.8-3.13 of this machine, one path for each installation.
list_pythons() {
    local candidate
    for candidate in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python3 /usr/bin/python3 \
        /usr/bin/python3.* /usr/local/bin/python3.* $(compgen -c python3. | sort -u); do
        [[ $candidate =~ python3(\.[0-9]+)?$ ]] || continue # not python3.11-config
        "$candidate" -S -c '
import sys
if (3, 8) <= sys.version_info < (3, 14) and sys.prefix == sys.base_prefix:
    print("%d.%d.%d" % sys.version_info[:3], sys.prefix, sys.argv[1])
' "$candidate" 2>/dev/null || true
    done | sort -V -u -k1,2 | cut -d' ' -f3
}

# link_python sets py_linked and py_link: how libpython gets into the executable.
#
# The distribution's archive is made of the same objects as its python3, and a
# sixth faster than its shared library, whose code has to be position-independent
# and which calls itself through a table. LIBPYTHON=shared takes the library all the
# same: whoever packages fapws may want Python's updates without building again.
link_python() {
    py_linked=shared
    if [[ ${LIBPYTHON-} == static || -z ${LIBPYTHON-} && $py_libdir == /usr/lib* && -e $py_archive ]]; then
        py_linked=static
    fi
    if [[ $py_linked == static ]]; then
        [[ -e $py_archive ]] || die "$python has no $py_archive"
        # Extension modules take Python's functions from the executable.
        py_link="\"$py_archive\" ${py_libs[*]} -Wl,--export-dynamic"
        return
    fi
    [[ $py_shared == 1 ]] ||
        die "$python has no libpython$py_minor.so; fapws needs a Python built with --enable-shared, or try LIBPYTHON=static"
    py_link="-L\"$py_libdir\" -lpython$py_minor"
    # A library outside the system's folders is not found at run time otherwise.
    case $py_libdir in
    /usr/lib | /usr/lib/* | /lib/*) ;;
    *) py_link+=" -Wl,-rpath,\"$py_libdir\"" ;;
    esac
}

# write_pc fills in python3.pc, which cpy3 and pybridge ask pkg-config for.
write_pc() {
    local dir=$root/build/pc/$py_version-$py_linked
    local text
    text=$(<"$root/pybridge/python/python3.pc.in")
    text=${text//@VERSION@/"$py_minor"}
    text=${text//@LINK@/"$py_link"}
    text=${text//@FOLDER@/"$root/pybridge/python"}
    if [[ ! -e $dir/python3.pc || $text != "$(<"$dir/python3.pc")" ]]; then
        mkdir -p "$dir"
        # Renamed into place: another build may be reading it.
        printf '%s\n' "$text" >"$dir/.python3.pc.$$"
        mv "$dir/.python3.pc.$$" "$dir/python3.pc"
    fi
    PKG_CONFIG_PATH=$dir:$py_pc
}

# use_python makes this shell ready for `go build` with the chosen Python.
use_python() {
    need_go
    need_compiler
    choose_python
    ask_python
    need_python_headers
    link_python
    write_pc
    # Go's build cache does not look at pkg-config's answer nor at compat.h, and
    # would link the library of another Python: a macro makes the flags differ.
    local id
    id=$(printf '%s\n' "$py_include" "$py_link" | cat - "$root/pybridge/python/"* | cksum)
    CGO_CFLAGS="${CFLAGS:--O2 -g} -DFAPWS_PY_${py_minor/./_} -DFAPWS_PY_BUILD=${id%% *}"
    CGO_LDFLAGS="${LDFLAGS:--O2 -g}"
    CGO_ENABLED=1 PYTHON=$python
    export PATH PKG_CONFIG_PATH CGO_CFLAGS CGO_LDFLAGS CGO_ENABLED PYTHON
}
