#!/bin/sh
# Applies the settings of the console, which are JSON on standard input, on OpenWrt. README.md, Applying the settings.
# shellcheck disable=SC1091,SC2154 # jshn.sh is on OpenWrt, and sets the variables
. /usr/share/libubox/jshn.sh
json_load "$(cat)"
json_get_vars hostname zone ntp address gateway dns
: "${hostname:?no settings on standard input}"
set -e

replace() { # PACKAGE.SECTION.OPTION VALUE
    uci -q delete "$1" || true
    [ -z "$2" ] || uci set "$1=$2"
}

replace system.@system[0].hostname "$hostname"
case ${zone%%/*} in
*[0-9]*) replace system.@system[0].timezone "$zone" && replace system.@system[0].zonename "" ;; # a rule of POSIX
*) replace system.@system[0].zonename "$zone" ;; # needs the package of its continent, such as zoneinfo-europe
esac
uci -q delete system.ntp.server || true
for server in $ntp; do
    uci add_list "system.ntp.server=$server"
done

replace network.lan.netmask "" # it is part of the address
replace network.lan.proto "$([ "$address" ] && echo static || echo dhcp)"
case $address in
*:*) family=6 ;;
*) family='' ;;
esac
for option in ipaddr gateway ip6addr ip6gw; do
    replace "network.lan.$option" ""
done
replace "network.lan.ip${family}addr" "$address"
replace "network.lan.$([ "$family" ] && echo ip6gw || echo gateway)" "$gateway"
replace network.lan.dns "$dns"

uci commit system
uci commit network
for service in system sysntpd network; do
    "/etc/init.d/$service" reload
done
