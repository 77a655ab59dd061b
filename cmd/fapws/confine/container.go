package confine

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
)

// RootReason returns why a process may have to run as root, for a log line:
// "this is a container" or "this system has no other user"; "" on a normal system.
func RootReason() string {
	switch {
	case inContainer("/", os.Getenv):
		return "this is a container"
	case onlyRoot("/etc/passwd"):
		return "this system has no other user"
	}
	return ""
}

// containerFiles are made by container engines: Docker, Podman and CRI-O, systemd and LXC. A virtual machine whose disk was made from an
// image has them as well.
var containerFiles = []string{".dockerenv", "run/.containerenv", "run/systemd/container"}

// containerGroups are parts of the control groups in which engines put containers.
// Only version 1 shows them inside.
var containerGroups = []string{"/docker", "/kubepods", "/lxc", "/libpod", "/containerd"}

// initialNamespaces are what /proc/self/ns shows of the first namespaces of a
// machine, whose numbers are fixed (include/linux/proc_ns.h).
var initialNamespaces = map[string]string{"pid": "pid:[4026531836]", "user": "user:[4026531837]",
	"uts": "uts:[4026531838]", "ipc": "ipc:[4026531839]", "cgroup": "cgroup:[4026531835]"}

// inContainer reports whether the system whose files are under root is a container,
// as its files, this process's environment or the kernel say.
func inContainer(root string, getenv func(string) string) bool {
	if getenv("container") != "" || getenv("KUBERNETES_SERVICE_HOST") != "" { // systemd.io/CONTAINER_INTERFACE
		return true
	}
	separate, known := map[string]bool{}, false
	for name, initial := range initialNamespaces {
		if is, err := os.Readlink(filepath.Join(root, "proc/self/ns", name)); err == nil {
			known = true
			separate[name] = is != initial
		}
	}
	// Services of a normal system may have a separate name (uts) or memory (ipc). Root in another user namespace is not the root of the machine.
	if separate["pid"] || separate["user"] {
		return true
	}
	if !known || separate["uts"] || separate["ipc"] || separate["cgroup"] {
		for _, name := range containerFiles {
			if _, err := os.Stat(filepath.Join(root, name)); err == nil {
				return true
			}
		}
	}
	for _, variable := range bytes.Split(readFile(root, "proc/1/environ"), []byte{0}) {
		if bytes.HasPrefix(variable, []byte("container=")) {
			return true
		}
	}
	groups := string(readFile(root, "proc/1/cgroup"))
	for _, part := range containerGroups {
		if strings.Contains(groups, part) {
			return true
		}
	}
	return false
}

// readFile returns nil for a file that cannot be read.
func readFile(root, name string) []byte {
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return nil
	}
	return text
}

// onlyRoot reports whether the user database (passwd(5)) has no user but root.
func onlyRoot(passwd string) bool {
	for line := range strings.Lines(string(readFile("", passwd))) {
		fields := strings.Split(line, ":")
		if len(fields) == 7 && fields[2] != "0" {
			return false
		}
	}
	return true
}
