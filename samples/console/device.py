"""What differs between devices: commands and files. Start here for yours."""
import os
import shlex
import subprocess

from fapws import HTTPError

def setting(name, default):
    return shlex.split(os.environ.get("CONSOLE_" + name, default))

ROOT = setting("ROOT", "")                         # put before commands that need root: "sudo -n"
APPLY = setting("APPLY", "")                       # gets the settings as JSON on standard input
REBOOT = setting("REBOOT", "systemctl reboot")
SHELL = setting("SHELL", "/bin/sh -l")             # of the terminal
DATA, = setting("DATA", "data")                    # the directory of settings.json
SYS, = setting("SYS", "/sys")
LOGS = setting("LOGS", "/var/log/syslog /var/log/messages /var/log/*.log /var/log/*/*.log")
ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"}

def run(command, stdin=""):
    """Runs a command, without a shell, and returns its output. HTTPError: it has failed; the text is its error message."""
    try:
        done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30,
                              text=True, errors="replace", env=ENVIRONMENT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HTTPError(500, f"{command[0]}: {error}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-1000:] or f"exit status {done.returncode}"
        rights = "" if ROOT or os.geteuid() == 0 else " (The server does not run as root: see Rights in README.md.)"
        raise HTTPError(500, f"{' '.join(command)}: {said}{rights}")
    return done.stdout
