# Sourced by build.sh: fapws for musl, with Python and its standard library inside.
# shellcheck shell=bash
#
# musl, Python and the libraries that it needs are compiled from Debian's source packages. All extension modules of the
# standard library are linked into the executable, and its modules in Python are in the archive of pack_python.

readonly musl_folder=$root/build/musl musl_version=3.11.2

# Before version 1.2.4, the signal by which setuid(2) reaches all threads did not use the alternate stack, and so wrote
# beyond the small stacks of Go: --user made the process crash.
readonly musl_libc_version=1.2.5

# Threads that Python starts have this stack, as in Alpine's Python; musl's own default is 128 KiB.
readonly musl_stack=-Wl,-z,stack-size=1048576

# The files of Debian's archive: path and SHA-256. Of Debian's patches, musl_patches selects security updates and bug
# fixes; the other patches are for Debian's directories.
readonly musl_sources="\
p/python3.11/python3.11_3.11.2.orig.tar.gz 2411c74bda5bbcfcddaf4531f66d1adc73f247f529aee981b029513aefdbf849
p/python3.11/python3.11_3.11.2-6+deb12u6.debian.tar.xz 35139070c56095690503166248ea5a8eb90e53704eba137e3decbb0ec2bc01ec
z/zlib/zlib_1.2.13.dfsg.orig.tar.bz2 71feb7947e3c00ef125f83b79a4e529bde31171e5babe48b391f06758d1ab0a1
libf/libffi/libffi_3.4.4.orig.tar.gz d66c56ad259a82cf2a9dfc408b32bf5da52371500b84745f7fb8b645712df676
s/sqlite3/sqlite3_3.40.1.orig.tar.xz aaa776260ab4dc976db34aa7891819484c8676b5b2783123ebc6301e2ca5d655"
readonly musl_libc_sources="\
m/musl/musl_1.2.5.orig.tar.gz a9a118bbe84d8764da0ea0d28b3ab3fae8477fc7e4085d90102b8596fc7c75e4
m/musl/musl_1.2.5-3.debian.tar.xz e786776d6a3f382255ae4abcd8cc41287adb6365d1f123ad72769f0737c62072"
readonly musl_ssl_source="\
o/openssl/openssl_3.0.22.orig.tar.gz 67ebca7e50d17383028045486653492195b83db95f8558709701bb47b5c1ef81"
readonly musl_programs="xz=xz-utils patch=patch make=make curl=curl"
readonly musl_patches='^(CVE|[0-9]{4}-)|(deadlock|crash|nullptr)[^/]*$'

# Modules of the standard library that are left out, because their libraries or purposes are not those of a server.
readonly musl_without="_bz2 _crypt _curses _curses_panel _dbm _gdbm _lzma _tkinter _uuid _xxsubinterpreters audioop nis
    ossaudiodev readline spwd xxlimited xxlimited_35"

# Python runs these tests of its own to record the profile that it is optimized with.
readonly musl_profile="test_array test_base64 test_binascii test_bisect test_bytes test_collections test_datetime
    test_dict test_fstring test_functools test_generators test_hashlib test_heapq test_iter test_json
    test_list test_long test_operator test_re test_set test_sort test_string test_struct test_tuple test_unicode
    test_userdict test_xml_etree test_with"

# word_musl [static | dynamic] [ARCH] [--ssl] [--test]
word_musl() {
    local kind=static ssl='' testing='' built
    while (($#)); do
        case $1 in
        static | dynamic) kind=$1 ;;
        arm64 | armhf) choose_cross "$1" ;;
        --ssl) ssl=-ssl ;;
        --test) testing=1 ;;
        *) die "unknown argument of musl: $1" ;;
        esac
        shift
    done
    [[ ! $cross || $kind == static ]] || die "musl dynamic is for this machine only: leave out $cross, or take static"
    if [[ $cross && $testing ]]; then # an empty root has no libraries for the emulator
        cross_emulator+=-static
        want_programs "for musl $cross --test" "$cross_emulator=qemu-user-static curl=curl"
    fi
    use_musl
    built=$musl_folder/${cross:+$cross/}$kind/fapws
    say "Python $musl_version for musl${cross:+ on $cross}, $kind"
    build_to "$built"
    say "built ${built#"$root/"}"
    [[ $kind == static ]] || pack_musl
    [[ ! $testing ]] || test_musl
}

# pack_musl makes an archive that users unpack into /usr/local or another prefix. It uses the variables of word_musl.
pack_musl() {
    local name folder
    fix_circumstances
    name=fapws-$(version_text)-linux-musl-$(machine_architecture)-python$py_minor$ssl
    folder=$root/build/stage/$name
    rm -rf "$folder"
    mkdir -p "$folder"/share/{man/man1,bash-completion/completions} "$dist_folder"
    install -D "$built" "$folder/bin/fapws"
    "$built" internal man >"$folder/share/man/man1/fapws.1"
    "$built" internal completion >"$folder/share/bash-completion/completions/fapws"
    install -D -m 644 "$root/LICENSE" "$folder/share/doc/fapws/LICENSE"
    install -m 644 "${py_library%/*}/licenses"/* "$folder/share/doc/fapws"
    stage_docs "$folder/share/doc/fapws"
    set_times "$folder"
    tar -C "$folder" --sort=name --owner=0 --group=0 --numeric-owner --format=gnu -cf - bin share |
        gzip -9n >"$folder.tar.gz"
    mv "$folder.tar.gz" "$dist_folder"
    cross=musl say_made "$name.tar.gz" 'tar -xzf %s -C /usr/local'
}

# test_musl tests the executable in an empty root, and runs those acceptance tests that need no packages of this
# machine's Python, and the tests of bundles, without those of extension modules.
test_musl() {
    export FAPWS_BIN=$built
    if [[ $cross ]]; then
        stage "in an empty root, musl on $cross" emulated .ci/alone-test "$built" "$kind$ssl"
        summary
        return
    fi
    stage "in an empty root, musl" .ci/alone-test "$built" "$kind$ssl"
    unset CC CFLAGS LDFLAGS LIBPYTHON PYTHON py_version
    py_library='' py_packer='' use_python # for the tests, which run on this machine
    stage "acceptance tests, musl" go test -count=1 -timeout "$test_limit" -run "$cross_tests" \
        ./cmd/fapws/acceptance/{python,live,process,http,sites}
    stage "bundles, musl" go test -count=1 -timeout "$test_limit" \
        -run '^Test(Bundle|BundlesOfFrameworksServe|ConsoleWorksAsABundle)$' -skip '/(takes_no_module|never_half|.*_FastAPI_)' \
        ./cmd/fapws/acceptance/python ./samples
    summary
}

# use_musl makes this shell ready for `go build` for musl. It uses the variables of word_musl.
use_musl() {
    local home=$musl_folder/${cross:+$cross/}python$ssl lib
    lib=$home/lib
    refuse_other_machines
    [[ -z $python_option ]] || die "musl embeds Python $musl_version, which it compiles: leave out --python"
    want_go
    [[ ! $cross ]] || need_compiling_python
    need_musl_python "$home"
    need_go
    python=$home/bin/python3
    py_minor=${musl_version%.*} py_version=$musl_version-musl-$kind$ssl py_libdir=$lib py_pc=$lib/pkgconfig py_root=
    py_include=$home/include/python$py_minor py_shared=0 py_archive=$lib/libpython$py_minor.a
    py_library=$lib/python$py_minor
    py_libs=("\"$lib/libmpdec.a\"" "\"$lib/libexpat.a\"" "\"$lib/libffi.a\"" "\"$lib/libsqlite3.a\"" "\"$lib/libz.a\"")
    [[ ! $ssl ]] || py_libs+=("\"$lib/libssl.a\"" "\"$lib/libcrypto.a\"")
    py_libs+=(-lm)
    LIBPYTHON=static LDFLAGS="-O2 -g $musl_stack"
    if [[ $kind == static ]]; then
        LDFLAGS+=" -static" CFLAGS="-O2 -g -DCORE_STATIC" # see pybridge/core_static.c
    else
        LDFLAGS+=" -Wl,--dynamic-linker=/lib/$(basename "$musl_libc"/lib/ld-musl-*)"
    fi
    link_with_python
    py_packer=$python
    python=/usr/bin/python3 # of the machine on which fapws will run
    [[ ! $cross ]] || export GOOS=linux GOARCH="$cross_go" GOARM=7
}

# need_compiling_python makes the Python of this machine that compiles modules for that of another one.
need_compiling_python() {
    local cross='' ssl=''
    need_musl_python "$musl_folder/python"
}

# need_musl_python FOLDER compiles Python for musl into FOLDER, unless it is there, and sets CC.
need_musl_python() {
    want_programs "for musl" "tclsh=tcl $musl_programs"
    [[ ! $ssl ]] || want_programs "for OpenSSL" "corelist=perl" # perl itself may be that of perl-base
    need_compiler
    if [[ $cross ]]; then
        [[ $(type -P apt-get dpkg-deb | wc -l) == 2 ]] || die "musl uses Debian's packages for $cross: apt-get and dpkg-deb are required"
        command -v "$cross_triplet-gcc" >/dev/null || want "a C compiler for $cross" "gcc-$cross_triplet"
    fi
    install_wanted
    if [[ $cross ]]; then use_musl_cross_compiler; else use_musl_compiler; fi
    [[ -e $1/with-musl-$musl_libc_version ]] || make_musl_python "$1"
}

# make_musl_python FOLDER compiles Python and its libraries into FOLDER.
make_musl_python() {
    local home=$1 log=$musl_folder/log work=$musl_folder/work
    say "compiling Python $musl_version for musl${cross:+ on $cross}; this takes some minutes, once"
    patiently "fetching the source of Python and its libraries" \
        fetch_musl_sources "$musl_sources${ssl:+$'\n'$musl_ssl_source}"
    rm -rf "$home" "$work"
    mkdir -p "$home"/{bin,include,lib/pkgconfig} "$work"
    patiently "compiling libraries for Python" logged "$log" make_musl_libraries "$home" "$work" || musl_failed Python
    patiently "compiling Python" logged "$log" compile_musl_python "$home" "$work" || musl_failed Python
    [[ -e $home/lib/libpython${musl_version%.*}.a ]] || musl_failed Python
    rm -rf "$work"
    touch "$home/with-musl-$musl_libc_version"
}

musl_failed() {
    compile_errors "$musl_folder/log" >&2
    die "compiling $1 failed; all messages are in build/musl/log"
}

# fetch_musl_sources LIST downloads the source packages in LIST from this machine's mirrors, unless they are there.
fetch_musl_sources() {
    local path sum file mirror security
    mirror=$(debian_mirror) security=$(debian_mirror Debian-Security)
    mkdir -p "$musl_folder/sources"
    while read -r path sum; do
        file=$musl_folder/sources/${path##*/}
        [[ ! -e $file ]] || continue
        fetch_file "$file.new" "${mirror%/}/pool/main/$path" ||
            fetch_file "$file.new" "${security%/}/pool/updates/main/$path" ||
            die "cannot fetch ${path##*/} from $mirror, which may have a newer version: put this file into" \
                "build/musl/sources"
        sha256sum --status -c <<<"$sum  $file.new" ||
            die "${path##*/} from $mirror has another SHA-256 than scripts/musl.sh"
        mv "$file.new" "$file"
    done <<<"$1"
}

fetch_file() { curl -fsSL --connect-timeout 20 --speed-limit 1 --speed-time 60 -o "$1" "$2" 2>/dev/null; }

# need_musl_libc compiles musl with $musl_gcc, once, and sets musl_libc.
need_musl_libc() {
    musl_libc=$musl_folder/${cross:+$cross/}libc-$musl_libc_version
    [[ ! -e $musl_libc ]] || return 0
    mkdir -p "$musl_folder"
    patiently "fetching the source of musl" fetch_musl_sources "$musl_libc_sources"
    rm -rf "$musl_libc.new"
    mkdir -p "$musl_libc.new"
    patiently "compiling musl" logged "$musl_folder/log" compile_musl_libc "$musl_libc.new" || musl_failed musl
    mv "$musl_libc.new/root$musl_libc" "$musl_libc"
    rm -rf "$musl_libc.new"
}

# compile_musl_libc WORK installs musl below WORK/root. Programs that are linked with it run here with its own loader.
compile_musl_libc() (
    set -e
    cd "$1"
    tar -xf "$musl_folder/sources/musl_$musl_libc_version.orig.tar.gz" --strip-components=1
    apply_patches "$musl_folder"/sources/musl_*.debian.tar.xz
    CC=$musl_gcc AR=$musl_ar RANLIB=${musl_ar%ar}ranlib CFLAGS="-ffile-prefix-map=$1=/musl" ./configure \
        --prefix="$musl_libc" --syslibdir="$musl_libc/lib" --enable-wrapper=gcc
    make -j"$(nproc)"
    make DESTDIR="$1/root" install
    cp COPYRIGHT "$1/root$musl_libc"
)

# apply_patches ARCHIVE applies Debian's patches to the source in the working directory.
apply_patches() {
    mkdir debian
    tar -xf "$1" -C debian --strip-components=1
    grep -E "$musl_patches" debian/patches/series | while read -r name; do
        patch -p1 -s --no-backup-if-mismatch <"debian/patches/$name"
    done
}

# use_musl_compiler sets CC to a compiler for musl, which also finds the kernel's headers, and those of Debian's Pythons
# that depend on the machine. The compiler names its own architecture, because that of gcc is the one of glibc.
use_musl_compiler() {
    local machine headers=$musl_folder/headers
    machine=$(gcc -dumpmachine)
    mkdir -p "$headers"
    ln -sfn "/usr/include/$machine/asm" "$headers/asm"
    ln -sfn -t "$headers" /usr/include/{linux,asm-generic,"$machine"}
    musl_gcc=gcc musl_ar=ar
    need_musl_libc
    write_musl_compiler "${machine%-gnu*}-musl" -idirafter "'$headers'"
}

# use_musl_cross_compiler does so for the architecture in cross, with Debian's cross compiler, and with the package of
# the kernel's headers for this architecture.
use_musl_cross_compiler() {
    local atomics=()
    cross_root=$musl_folder/$cross/root
    [[ -e $cross_root ]] || make_sysroot linux-libc-dev
    musl_gcc=$cross_triplet-gcc musl_ar=$cross_triplet-ar
    need_musl_libc
    # The functions of gcc for atomic operations would ask glibc for the processor.
    [[ $cross != arm64 ]] || atomics=(-mno-outline-atomics)
    write_musl_compiler "${cross_triplet/-gnu/-musl}" "${atomics[@]}" \
        -idirafter "'$cross_root/usr/include/$cross_triplet'" -idirafter "'$cross_root/usr/include'"
}

# write_musl_compiler MACHINE FLAG... writes the compiler, and sets CC and musl_cc.
write_musl_compiler() {
    musl_cc=$musl_folder/${cross:+$cross/}cc
    printf '%s\n' '#!/bin/sh' "case \$1 in -print-multiarch | --print-multiarch) echo $1 && exit ;; esac" \
        "exec $musl_gcc -fno-pie -no-pie ${*:2} \"\$@\" -specs '$musl_libc/lib/musl-gcc.specs'" >"$musl_cc"
    chmod +x "$musl_cc"
    # shellcheck disable=SC2089,SC2090 # Go divides it into words
    CC="'$musl_cc'" && export CC
}

# make_musl_libraries FOLDER WORK compiles zlib, libffi, SQLite and, with --ssl, OpenSSL.
make_musl_libraries() (
    set -e
    home=$1 flags="-O2 -ffile-prefix-map=$2=/musl"
    cd "$2"
    for file in "$musl_folder"/sources/*.orig.tar.*; do
        [[ $file == */musl_* || $file == *openssl* && ! $ssl ]] || tar -xf "$file"
    done
    cd "$2"/zlib-*
    CC=$musl_cc AR=$musl_ar CFLAGS=$flags ./configure --static --prefix="$home"
    make -j"$(nproc)" libz.a
    cp zlib.h zconf.h "$home/include"
    cp libz.a "$home/lib"
    cd "$2"/libffi-*
    ./configure CC="$musl_cc" AR="$musl_ar" CFLAGS="$flags" --prefix="$home" --disable-shared --disable-docs \
        --disable-multi-os-directory --host="$("$musl_cc" -print-multiarch)"
    make -j"$(nproc)" install
    cd "$2"/sqlite3-*
    ./configure CC="$musl_cc" ${cross:+--host="$cross_triplet"} --disable-shared --disable-tcl --disable-readline \
        --disable-load-extension
    make sqlite3.c
    # shellcheck disable=SC2086 # several words
    "$musl_cc" $flags -DSQLITE_THREADSAFE=1 -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_ENABLE_MATH_FUNCTIONS \
        -DSQLITE_DEFAULT_MEMSTATUS=0 -DHAVE_USLEEP -c sqlite3.c
    "$musl_ar" rcs "$home/lib/libsqlite3.a" sqlite3.o
    cp sqlite3.h "$home/include"
    [[ $ssl ]] || exit 0
    cd "$2"/openssl-*
    CC=$musl_cc AR=$musl_ar ./Configure "linux-generic$([[ $cross == armhf ]] && echo 32 || echo 64)" no-shared no-tests no-asm no-engine no-dso --prefix=/usr \
        --openssldir=/etc/ssl
    make -j"$(nproc)" build_libs
    cp libssl.a libcrypto.a "$home/lib"
    cp -r include/openssl "$home/include"
)

# compile_musl_python FOLDER WORK compiles Python twice, the second time with a profile of the first one. For another
# architecture, there is no profile, because the first one does not run here.
compile_musl_python() (
    set -e
    home=$1 minor=${musl_version%.*} other=()
    cd "$2/Python-$musl_version"
    apply_patches "$musl_folder"/sources/python*.debian.tar.xz
    absent=()
    for name in $musl_without; do absent+=("py_cv_module_$name=n/a"); done
    # musl has them since 1.2.5, and a dynamic executable also runs with older ones.
    absent+=(ac_cv_func_preadv2=no ac_cv_func_pwritev2=no)
    # Of the machine that compiles, configure takes the name of the C library for that of the other one.
    [[ ! $cross ]] || other=(--host="$("$musl_cc" -print-multiarch)" --build="$(gcc -dumpmachine | sed s/gnu/musl/)" AR="$musl_ar"
        READELF="$cross_triplet-readelf" --with-build-python="$musl_folder/python/bin/python3"
        ac_cv_file__dev_ptmx=yes ac_cv_file__dev_ptc=no ac_cv_buggy_getaddrinfo=no)
    ./configure CC="$musl_cc" OPT="-DNDEBUG -fwrapv -O2 -ffile-prefix-map=$2=/musl" CPPFLAGS="-I$home/include" \
        LDFLAGS="-L$home/lib $musl_stack" LIBSQLITE3_CFLAGS="-I$home/include" \
        LIBSQLITE3_LIBS="-L$home/lib -lsqlite3 -lm" PKG_CONFIG_LIBDIR="$home/lib/pkgconfig" --prefix=/usr \
        --with-system-ffi --without-ensurepip --disable-test-modules MODULE_BUILDTYPE=static "${absent[@]}" \
        ${ssl:+--with-openssl="$home"} "${other[@]}"
    {
        sed '/^\*shared\*/,$d' Modules/Setup.stdlib
        echo "_ctypes _ctypes/_ctypes.c _ctypes/callbacks.c _ctypes/callproc.c _ctypes/stgdict.c _ctypes/cfield.c" \
            "-DHAVE_FFI_PREP_CIF_VAR -DHAVE_FFI_PREP_CLOSURE_LOC -DHAVE_FFI_CLOSURE_ALLOC -lffi"
    } >Modules/Setup.local
    make Makefile
    flags='-std=c11 -fvisibility=hidden'
    if [[ ! $cross ]]; then
        make -j"$(nproc)" CFLAGS_NODIST="$flags -fprofile-generate -fprofile-update=prefer-atomic" \
            LDFLAGS_NODIST=-fprofile-generate python pybuilddir.txt
        # shellcheck disable=SC2086 # several words
        ./python -m test -q $musl_profile || true # failed tests, which want more of the machine, are a profile, too
        make clean-retain-profile
        flags+=' -fprofile-use -fprofile-correction -w'
    fi
    make -j"$(nproc)" CFLAGS_NODIST="$flags" "libpython$minor.a" python pybuilddir.txt
    if [[ $cross ]]; then
        ln -s "$musl_folder/python/bin/python3" "$home/bin/python3"
    else
        strip -o "$home/bin/python3" python
    fi
    mkdir "$home/lib/licenses"
    cp LICENSE "$home/lib/licenses/LICENSE.python"
    cp "$2"/libffi-*/LICENSE "$home/lib/licenses/LICENSE.libffi"
    cp "$musl_libc/COPYRIGHT" "$home/lib/licenses/LICENSE.musl"
    cp "libpython$minor.a" Modules/_decimal/libmpdec/libmpdec.a Modules/expat/libexpat.a "$home/lib"
    cp -r Include "$home/include/python$minor"
    cp pyconfig.h "$home/include/python$minor"
    cp -r Lib "$home/lib/python$minor"
    mkdir -p "$home/lib/python$minor/lib-dynload" # Python warns if it is missing
    # Values with a path of this build mean nothing elsewhere.
    "$home/bin/python3" -c 'import glob, pprint, runpy, sys
(file,) = glob.glob("build/lib.*/_sysconfigdata_*.py")
values = runpy.run_path(file)["build_time_vars"]
with open(sys.argv[1] + "/" + file.rpartition("/")[2], "w") as out:
    out.write("build_time_vars = " + pprint.pformat({k: v for k, v in values.items() if sys.argv[2] not in str(v)}))
' "$home/lib/python$minor" "$musl_folder"
    printf '%s\n' "Name: Python" "Description: Python for musl" "Version: $minor" \
        "Cflags: -I\"$home/include/python$minor\"" >"$home/lib/pkgconfig/python-$minor.pc"
)
