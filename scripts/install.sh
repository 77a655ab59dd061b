# Sourced by build.sh: install and uninstall.
# shellcheck shell=bash

# The manifest lists the files and directories that install has created, one per line, as "file PATH" or "dir PATH"
# without DESTDIR. uninstall removes them in reverse order.

# choose_prefix parses --system, and PREFIX= and DESTDIR= as arguments, like make.
choose_prefix() {
    local argument
    system=
    for argument; do
        case $argument in
        --system) system=yes ;;
        PREFIX=*) PREFIX=${argument#*=} ;;
        DESTDIR=*) DESTDIR=${argument#*=} ;;
        *) die "unknown argument: $argument" ;;
        esac
    done
    if [[ $system ]]; then
        PREFIX=${PREFIX:-/usr/local}
        [[ $EUID -eq 0 || -n ${DESTDIR-} ]] || die "only root installs for the system (or DESTDIR=DIR, for a package)"
    fi
    prefix=$(realpath -m "${PREFIX:-$HOME/.local}")
    dest=${DESTDIR:+$(realpath -m "$DESTDIR")}
    manifest=$prefix/share/fapws/manifest
}

# existing PATH prints PATH, or its nearest existing parent directory.
existing() {
    local path=$1
    until [[ -e $path ]]; do path=$(dirname "$path"); done
    printf '%s\n' "$path"
}

# need_writable PATH exits with an error if the user cannot create PATH.
need_writable() {
    local path
    path=$(existing "$1")
    [[ -d $path && -w $path ]] ||
        die "$path is not a directory that this user can write to: choose another one with PREFIX=DIR," \
            "or install as its owner"
}

# install_files FOLDER TARGET NAME... copies the files of each directory FOLDER/NAME to TARGET/NAME.
install_files() {
    local file
    while read -r file; do
        install -D -m 644 "$1/$file" "$2/$file"
    done < <(cd "$1" && find "${@:3}" -type f ! -name '*.pyc' ! -name '.*' ! -name libfapws.so)
}

# fill_tree TREE PREFIX LIBRARY FILE copies the installed files to the directory TREE, which stands for /: the
# executable FILE, package fapws in LIBRARY, the man page, and the completion. build/fapws prints the last two, because
# FILE may not run on this machine.
fill_tree() {
    rm -rf "$1"
    install -D "$4" "$1$2/bin/fapws"
    ln -s fapws "$1$2/bin/fapws4"
    install_files "$root/contrib" "$1$3" fapws fapws4
    mkdir -p "$1$2/share/man/man1" "$1$2/share/bash-completion/completions"
    "$root/build/fapws" internal man >"$1$2/share/man/man1/fapws.1"
    "$root/build/fapws" internal completion >"$1$2/share/bash-completion/completions/fapws"
}

# fill_units TREE PREFIX adds the files of a system service to TREE.
fill_units() {
    local units=/etc/systemd/system unit
    case $2 in
    /usr | /usr/local) units=$2/lib/systemd/system ;; # systemd looks there, too
    esac
    mkdir -p "$1$units"
    for unit in fapws.service fapws.socket; do
        sed "s|@PREFIX@|$2|g" "$root/contrib/$unit" >"$1$units/$unit"
    done
    install -D -m 644 "$root/contrib/fapws.toml" "$1/etc/fapws/fapws.toml"
}

word_install() {
    choose_prefix "$@"
    need_writable "$dest$prefix"
    word_build
    local tree=$root/build/stage/install site=$prefix/lib/python$py_minor/site-packages config=/etc/fapws/fapws.toml
    local earlier='' made path new said package
    umask 022
    fill_tree "$tree" "$prefix" "$site" "$root/build/fapws"
    [[ -z $system ]] || fill_units "$tree" "$prefix"
    install -D -m 644 /dev/null "$tree$manifest"
    [[ ! -e $dest$manifest ]] || earlier=$(<"$dest$manifest")
    made=$(list_made)
    printf '%s\n' "$made" >"$tree$manifest"
    # The configuration belongs to the administrator. An existing file is kept, even if fapws is removed.
    [[ ! -e $dest$config ]] || rm -f "$tree$config"
    # If the disk is full, the previous version remains complete.
    new=$(mktemp -d "$(existing "$dest$prefix")/.fapws-XXXXXX")
    said=$(cp -dr "$tree/." "$new" 2>&1) || {
        rm -rf "$new"
        die "cannot write $dest$prefix: ${said##*: }; it is as it was before"
    }
    while read -r path; do
        mkdir -p "$(dirname "$dest/$path")"
        mv -fT "$new/$path" "$dest/$path"
    done < <(find "$new" ! -type d -printf '%P\n')
    rm -rf "$new"
    remove_listed < <(grep -vxFf "$tree$manifest" <<<"$earlier" | tac)
    # Compile the modules now, because other users may not have the permission to write to this directory.
    for package in fapws fapws4; do
        "$python" -m compileall -qq -d "$site/$package" "$dest$site/$package" ||
            say "warning: the compiled modules of $package could not be stored in $dest$site"
    done
    say "installed $dest$prefix/bin/fapws and $dest$site/{fapws,fapws4}"
    if [[ -z $dest && :$PATH: != *:$prefix/bin:* ]]; then
        say "$prefix/bin is not on your PATH; add to ~/.profile: export PATH=\"$prefix/bin:\$PATH\""
    fi
    [[ -z $system || -n $dest ]] ||
        say "now edit $config, then: systemctl daemon-reload && systemctl enable --now fapws"
}

# list_made prints the manifest. A directory that already existed is listed only if an earlier installation created it.
list_made() {
    local kind path
    while read -r kind path; do
        if [[ $kind != d ]]; then
            [[ $path == "$config" ]] || printf 'file %s\n' "$path"
        elif [[ ! -d $dest$path ]] || grep -qFx "dir $path" <<<"$earlier"; then
            printf 'dir %s\n' "$path"
        fi
    done < <(find "$tree" -mindepth 1 -printf '%y /%P\n' | LC_ALL=C sort -k2)
}

word_uninstall() {
    choose_prefix "$@"
    [[ -e $dest$manifest ]] || die "nothing is installed in $dest$prefix"
    need_writable "$(dirname "$dest$manifest")"
    remove_listed < <(tac "$dest$manifest")
    say "removed fapws from $dest$prefix"
}

# remove_listed removes the files and directories in the lines of a manifest, which it reads from stdin.
remove_listed() {
    local kind path
    while read -r kind path; do
        case $kind in
        file) rm -f "$dest$path" ;;
        dir)
            rm -rf "$dest$path/__pycache__"
            rmdir "$dest$path" 2>/dev/null || true # others may have put files there since
            ;;
        esac
    done
}
