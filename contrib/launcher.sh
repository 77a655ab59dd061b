#!/bin/sh
''':'
# The command fapws of a wheel starts Python with the server preloaded. fapws4, which pip has written, does the same, but
# starts Python twice (fapws/__main__.py). This file is also a Python program, for people who type: python fapws.
file=$0
[ ! -L "$file" ] || file=$(readlink -f "$file")
case $file in
/*) ;;
*) file=$PWD/$file ;;
esac
bin=${file%/*}
while :; do
    for library in "${bin%/*}"/lib*/@PYTHON@/*-packages/fapws/libfapws.so; do
        [ ! -r "$library" ] || break
    done
    [ -r "$library" ] && { read -r python && read -r next; } <"$bin/fapws4" && read -r parent <"/proc/$PPID/comm" || break
    case $python in
    "#!/bin/sh") python=${next#*\"} python=${python%%\"*} ;; # the path is long, or has spaces
    *) python=${python#"#!"} ;;
    esac
    [ -x "$python" ] || break
    case $parent in
    austin | py-spy) break ;; # __main__.py says how to use them
    esac
    for fd in 9 8 7 6 5 4 3; do # some may be sockets of the service manager
        [ -e "/proc/self/fd/$fd" ] || break
    done
    [ ! -e "/proc/self/fd/$fd" ] || break
    case $library in
    *" "* | *:* | *"$"*) preload=/proc/self/fd/$fd ;;
    *) preload=$library ;;
    esac
    eval "exec $fd<\"\$library\""
    export _FAPWS_LIBRARY="$fd:$library" _FAPWS_INTERPRETER="$python" LD_PRELOAD="$preload${LD_PRELOAD:+:$LD_PRELOAD}"
    exec "$python" -m fapws "$@"
done
exec "$bin/fapws4" "$@"
'''
from fapws.__main__ import main

main()
