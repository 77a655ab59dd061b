# Sourced by build.sh: install and uninstall.
# shellcheck shell=bash

# The manifest lists what was made, one per line, as "file PATH" and "dir PATH"
# without DESTDIR; uninstall reads it backwards.

# choose_prefix takes PREFIX= and DESTDIR= also as arguments, as make does, and
# --system.
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

# need_writable PATH ends a word that could not make PATH.
need_writable() {
    local path=$1
    until [[ -e $path ]]; do path=$(dirname "$path"); done
    [[ -d $path && -w $path ]] ||
        die "$path is not a directory that this user can write to: choose another one with PREFIX=DIR, or install as its owner"
}

# What install makes: files, which have the extension $new_suffix until all are written, and folders, the inner ones first.
new_suffix='' new_files=() new_folders=()

# make_dir PATH makes a folder and its parents, and remembers the new ones and
# those that an earlier installation made.
make_dir() {
    [[ -n ${seen[$1]-} || $1 == / ]] && return
    seen[$1]=yes
    make_dir "$(dirname "$1")"
    if [[ ! -d $dest$1 ]]; then
        write "$dest$1" mkdir "$dest$1"
        new_folders=("$dest$1" "${new_folders[@]}")
        made+=("dir $1")
    elif grep -qsFx "dir $1" <<<"$earlier"; then
        made+=("dir $1")
    fi
}

# install_file MODE SOURCE PATH
install_file() {
    place_file "$@"
    made+=("file $3")
}

# place_file MODE SOURCE PATH installs a file that uninstall leaves alone.
place_file() {
    make_dir "$(dirname "$3")"
    new_files+=("$dest$3")
    write "$dest$3" install -m "$1" "$2" "$dest$3$new_suffix"
}

# install_link TARGET PATH
install_link() {
    make_dir "$(dirname "$2")"
    new_files+=("$dest$2")
    made+=("file $2")
    write "$dest$2" ln -sfn "$1" "$dest$2$new_suffix"
}

# write PATH COMMAND... ends with one line if COMMAND, which makes PATH, fails.
write() {
    local said
    said=$("${@:2}" 2>&1) || die "cannot write $1: ${said##*: }"
}

# undo_install removes the files and folders of a failed installation.
undo_install() {
    rm -f "${new_files[@]/%/$new_suffix}"
    ((${#new_folders[@]} == 0)) || rmdir "${new_folders[@]}" 2>/dev/null || true
    say "nothing was installed: $dest$prefix is as it was before"
}

# install_program FILE LIBRARY installs an executable, package fapws below LIBRARY, man page and completion. The
# latter come from build/fapws, which runs on this machine.
install_program() {
    local file
    install_file 755 "$1" "$prefix/bin/fapws"
    install_link fapws "$prefix/bin/fapws4"
    while read -r file; do
        install_file 644 "$root/contrib/$file" "$2/$file"
    done < <(cd "$root/contrib" && find fapws fapws4 -type f -not -name '*.pyc' | sort)
    "$root/build/fapws" internal man >"$root/build/fapws.1"
    install_file 644 "$root/build/fapws.1" "$prefix/share/man/man1/fapws.1"
    "$root/build/fapws" internal completion >"$root/build/completion"
    install_file 644 "$root/build/completion" "$prefix/share/bash-completion/completions/fapws"
}

word_install() {
    choose_prefix "$@"
    need_writable "$dest$prefix"
    word_build
    local earlier='' file
    [[ ! -e $dest$manifest ]] || earlier=$(<"$dest$manifest")
    mkdir -p "$dest/"
    local -A seen=()
    local made=() site=$prefix/lib/python$py_minor/site-packages package
    # On a full disk, an earlier version stays whole.
    trap undo_install EXIT
    new_suffix=.new
    install_program "$root/build/fapws" "$site"
    [[ -z $system ]] || install_units
    make_dir "$(dirname "$manifest")"
    made+=("file $manifest")
    printf '%s\n' "${made[@]}" >"$root/build/manifest"
    place_file 644 "$root/build/manifest" "$manifest"
    trap - EXIT
    for file in "${new_files[@]}"; do
        mv -fT "$file$new_suffix" "$file"
    done
    remove_listed < <(printf '%s\n' "${made[@]}" | grep -vxFf - <(printf '%s\n' "$earlier") | tac)
    # Other users of this prefix could not store the compiled modules later.
    for package in fapws fapws4; do
        "$python" -m compileall -qq -d "$site/$package" "$dest$site/$package" ||
            say "warning: the compiled modules of $package could not be stored in $dest$site"
    done
    say "installed $dest$prefix/bin/fapws and $dest$site/{fapws,fapws4}"
    if [[ -z $dest && :$PATH: != *:$prefix/bin:* ]]; then
        say "$prefix/bin is not on your PATH; add to ~/.profile: export PATH=\"$prefix/bin:\$PATH\""
    fi
    [[ -z $system || -n $dest ]] || say "now edit /etc/fapws/fapws.toml, then: systemctl daemon-reload && systemctl enable --now fapws"
}

# install_units installs what a service of the system needs. The configuration is
# the administrator's: one that is there stays, also when fapws is removed.
install_units() {
    local units=/etc/systemd/system config=/etc/fapws/fapws.toml unit
    case $prefix in
    /usr | /usr/local) units=$prefix/lib/systemd/system ;; # systemd looks there, too
    esac
    for unit in fapws.service fapws.socket; do
        sed "s|@PREFIX@|$prefix|g" "$root/contrib/$unit" >"$root/build/$unit"
        install_file 644 "$root/build/$unit" "$units/$unit"
    done
    [[ -e $dest$config ]] || place_file 644 "$root/contrib/fapws.toml" "$config"
}

word_uninstall() {
    choose_prefix "$@"
    [[ -e $dest$manifest ]] || die "nothing is installed in $dest$prefix"
    need_writable "$(dirname "$dest$manifest")"
    remove_listed < <(tac "$dest$manifest")
    say "removed fapws from $dest$prefix"
}

# remove_listed removes the files and folders in lines of a manifest on stdin.
remove_listed() {
    local kind path stem
    while read -r kind path; do
        path=$dest$path
        case $kind in
        file)
            rm -f "$path"
            if [[ $path == *.py ]]; then
                stem=$(basename "$path" .py)
                rm -f "$(dirname "$path")/__pycache__/$stem".*.pyc
            fi
            ;;
        dir)
            # Others may have put files there since.
            rmdir "$path/__pycache__" "$path" 2>/dev/null || true
            ;;
        esac
    done
}
