# Sourced by build.sh: the objects that Debian's and Ubuntu's archives of Python lack.
# shellcheck shell=bash
#
# Python's hash functions are those of HACL* since 3.12, and libpython.a does not have their objects:
# https://github.com/python/cpython/issues/131298. They are compiled here from the source package of the same version,
# which apt verifies. apt gets lists and a state in a directory for that, so this machine does not learn of source packages.

# make_hacl sets hacl_archive to the objects that py_archive lacks, or fails: unless LIBPYTHON=static asks for it, without a network, or
# with a Python that is not a package.
make_hacl() {
    local folder=$root/build/hacl/$py_version
    hacl_archive=$folder/libhacl.a
    [[ ! $hacl_archive -nt $py_archive ]] || return 0
    [[ -z ${cross-} && ${LIBPYTHON-} == static ]] || return 1
    rm -rf "$folder"
    mkdir -p "$folder"
    patiently "fetching the source of Python $py_version (35 MB) for objects that $py_archive lacks" \
        logged "$folder/log" fetch_hacl "$folder" || return 1
    patiently "compiling these objects" logged "$folder/log" compile_hacl "$folder" || return 1
    rm -rf "$folder/apt" "$folder/Modules"
}

# fetch_hacl FOLDER unpacks Modules/_hacl of the source package of py_archive into FOLDER.
fetch_hacl() {
    local apt=$1/apt keys package options
    package=$(dpkg-query -S "$py_archive") || return 1
    # shellcheck disable=SC2016 # dpkg's own syntax
    package=$(dpkg-query -W -f '${source:Package}=${source:Version}' "${package%%: *}") || return 1
    mkdir -p "$apt"/{lists,cache/archives}/partial
    keys=/usr/share/keyrings/$(os_release ID)-archive-keyring.gpg
    # shellcheck disable=SC2016 # apt's own syntax
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Component: main' |
        sort -u | sed "s|^|deb-src [signed-by=$keys] |" >"$apt/sources.list"
    options=(-o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o "Dir::Etc::sourcelist=$apt/sources.list"
        -o Dir::Etc::sourceparts=/dev/null -o "APT::Sandbox::User=$(id -un)" -o Acquire::Languages=none -o Acquire::Retries=3)
    apt-get -q "${options[@]}" update && (cd "$apt" && apt-get -q "${options[@]}" --download-only source "$package") &&
        "$python" -S -c 'import sys, tarfile
archive, folder = sys.argv[1:]
with tarfile.open(archive) as files:
    for member in files:
        _, _, member.name = member.name.partition("/")
        if member.name.startswith("Modules/_hacl/"):
            files.extract(member, folder, filter="data")
' "$apt"/*.orig.tar.[gx]z "$1" # a small system has no xz
}

# compile_hacl FOLDER makes hacl_archive of what fetch_hacl has put there, with the options that Python was built with.
compile_hacl() (
    local file options objects=()
    cd "$1/Modules/_hacl" || return 1
    for file in *.c; do
        options=
        case $file in
        *HMAC.c | *_universal2.c) continue ;; # of an extension module, of macOS
        *_Simd*.c)
            options=$(simd_options "${file##*_Simd}")
            [[ -n $options ]] || continue # not on this processor
            ;;
        esac
        # shellcheck disable=SC2086 # several words
        "${CC:-gcc}" -O2 -DNDEBUG -D_DEFAULT_SOURCE -I. -Iinclude -w $options -c "$file" || return 1
        objects+=("${file%.c}.o")
    done
    ar rc "$hacl_archive" "${objects[@]}"
)

# simd_options 128.c prints the options for vectors of 128 bits.
simd_options() {
    "$python" -S -c 'import sys, sysconfig
print(sysconfig.get_config_var(f"LIBHACL_BLAKE2_SIMD{sys.argv[1]}_CFLAGS") or "")' "${1%.c}"
}
