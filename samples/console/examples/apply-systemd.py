#!/usr/bin/python3
"""Applies the settings of the console, which are JSON on standard input, by systemd. README.md, Applying the settings."""
import json
import os
import subprocess
import sys

values = json.load(sys.stdin)
network = [f"Address={values['address']}"] if values["address"] else ["DHCP=yes"]
network += [f"Gateway={values['gateway']}"] if values["gateway"] else []
network += [f"DNS={server}" for server in values["dns"].split()]
FILES = {
    "/etc/systemd/network/10-console.network": ["[Match]", "Name=eth* en*", "", "[Network]", *network],
    "/etc/systemd/timesyncd.conf.d/console.conf": ["[Time]", f"NTP={values['ntp']}"],
}
COMMANDS = [
    ["hostnamectl", "set-hostname", values["hostname"]],
    ["timedatectl", "set-timezone", values["zone"]],
    ["systemctl", "try-restart", "systemd-timesyncd"],
    ["networkctl", "reload"],
]

for path, lines in FILES.items():
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)
for command in COMMANDS:
    result = subprocess.run(command)  # its message is on standard error, which the console shows
    if result.returncode:
        sys.exit(result.returncode)
