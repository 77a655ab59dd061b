package worker

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/ctl"
	"fapws/runtime/system"
)

// holder returns the name and process ID of the program that listens on addr, for example "nginx, pid 812". If the
// process is fapws and can be stopped by a command, holder adds this command. If /proc hides the program because it
// belongs to a different user, holder returns that user: "of user root". holder returns "" if no other program listens
// on the address.
func holder(addr string) string {
	pids, owner := holders(addr)
	if pids[os.Getpid()] {
		return ""
	}
	for pid := range pids {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		var name string
		var parent int
		for line := range strings.Lines(string(status)) {
			_, _ = fmt.Sscanf(line, "Name: %s", &name)
			_, _ = fmt.Sscanf(line, "PPid: %d", &parent)
		}
		if name == "" || pids[parent] { // a worker, or a child that inherited the socket
			continue
		}
		text := fmt.Sprintf("%s, pid %d", name, pid)
		if ctl.Reaches(pid) {
			text += fmt.Sprintf(": fapws ctl stop --pid %d", pid)
		}
		return text
	}
	return owner
}

// holders returns the processes that have a socket that listens on addr, as far as /proc shows them, and the user of
// the socket: "of user root". owner is "" if no socket listens there.
func holders(addr string) (pids map[int]bool, owner string) {
	sockets := map[string]bool{}
	for _, table := range []string{"tcp", "tcp6", "unix"} {
		f, err := os.Open("/proc/self/net/" + table)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if inode, uid := inodeOf(strings.Fields(lines.Text()), addr); inode != "" {
				sockets["socket:["+inode+"]"] = true
				owner = "of user " + system.UserName(uid)
			}
		}
		f.Close()
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	pids = map[int]bool{}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && sockets[to] {
			pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
			pids[pid] = true
		}
	}
	return pids, owner
}

// inodeOf returns the inode and the uid of the socket that a line of /proc/net/tcp or /proc/net/unix describes, if the
// socket listens on addr. For a unix socket, the uid is the owner of the socket's file.
func inodeOf(line []string, addr string) (inode string, uid int) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		const listens = "00010000"
		if full, err := filepath.Abs(path); len(line) == 8 && line[3] == listens && err == nil &&
			slices.Contains([]string{path, full}, line[7]) {
			var file unix.Stat_t
			_ = unix.Stat(path, &file)
			return line[6], int(file.Uid)
		}
		return "", 0
	}
	const listens = "0A"
	want, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil || len(line) < 10 || line[3] != listens {
		return "", 0
	}
	ip, port, _ := strings.Cut(line[1], ":")
	if n, err := strconv.ParseUint(port, 16, 16); err != nil || int(n) != want.Port {
		return "", 0
	}
	has, _ := hex.DecodeString(ip)
	// /proc shows the address as words in the byte order of the machine.
	for word := range slices.Chunk(has, 4) {
		binary.BigEndian.PutUint32(word, binary.NativeEndian.Uint32(word))
	}
	if got := net.IP(has); got.IsUnspecified() || len(want.IP) == 0 || want.IP.IsUnspecified() || got.Equal(want.IP) {
		uid, _ := strconv.Atoi(line[7])
		return line[9], uid
	}
	return "", 0
}
