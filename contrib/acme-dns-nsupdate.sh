#!/bin/sh
# For acme-dns-hook and acme-dns-cleanup-hook, with a name server that allows updates (RFC 2136), such as BIND.
server=127.0.0.1             # the primary name server
key=/etc/fapws/dns.key       # made with tsig-keygen
wait=10                      # seconds until all name servers have the record
todo=add
[ -z "${CERTBOT_AUTH_OUTPUT+set}" ] || todo=delete wait=0
printf 'server %s\nupdate %s _acme-challenge.%s. 60 TXT "%s"\nsend\n' \
    "$server" "$todo" "$CERTBOT_DOMAIN" "$CERTBOT_VALIDATION" | nsupdate -k "$key" && sleep "$wait"
