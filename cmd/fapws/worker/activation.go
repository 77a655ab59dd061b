package worker

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
)

// Passed is the listening sockets that a service manager has opened for
// this process (sd_listen_fds(3)).
type Passed []string // addresses as settings.Config.Bind has them; a socket called https is for HTTPS

// firstPassed is the number of the first descriptor that is passed,
// SD_LISTEN_FDS_START.
const firstPassed = 3

// TakePassed reads the variables about such sockets, and removes them, because they are not meant for the children.
// The sockets are kept from the children, too.
func TakePassed() Passed {
	passed := passedSockets(os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES"), os.Getpid())
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		os.Unsetenv(name)
	}
	for i := range passed {
		unix.CloseOnExec(firstPassed + i)
	}
	return passed
}

// KeepFromWorkers closes those of the addresses that are descriptors in the
// programs that this process starts: they get them when they may accept.
func KeepFromWorkers(bind []string) {
	for _, addr := range bind {
		plain, _ := settings.SplitSecure(addr)
		if number, ok := strings.CutPrefix(plain, "fd://"); ok {
			if fd, err := strconv.Atoi(number); err == nil {
				unix.CloseOnExec(fd)
			}
		}
	}
}

// httpsName is the name of a socket for HTTPS: FileDescriptorName= of its unit (systemd.socket(5)).
const httpsName = "https"

// passedSockets returns nothing unless the variables mean this process; a
// parent may have left its own in the environment. names are separated by colons.
func passedSockets(forPID, number, names string, pid int) (a Passed) {
	if forPID != strconv.Itoa(pid) {
		return nil
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		return nil
	}
	named := strings.Split(names, ":")
	for i := range min(n, 1024) {
		addr := "fd://" + strconv.Itoa(firstPassed+i)
		if i < len(named) && named[i] == httpsName {
			addr = settings.Secure(addr)
		}
		a = append(a, addr)
	}
	return a
}

// addresses replaces "systemd" in the addresses of the settings by the sockets that were passed. They are also used
// without an address. Those of an address for HTTPS are all for HTTPS, unless some are called so.
func (a Passed) addresses(bind []string, given bool) (list []string, err error) {
	if !given && len(a) > 0 {
		_, secure := settings.SplitSecure(bind[0])
		return a.as(secure), nil
	}
	for _, addr := range bind {
		plain, secure := settings.SplitSecure(addr)
		if plain != "systemd" {
			list = append(list, addr)
			continue
		}
		if len(a) == 0 {
			return nil, process.ExitNotStarted("cannot listen on systemd: no sockets were passed to this process (LISTEN_FDS, LISTEN_PID); check that a .socket unit of the same name exists")
		}
		list = append(list, a.as(secure)...)
	}
	return list, nil
}

// as returns the sockets, all of them for HTTPS if that is asked for and their names do not tell.
func (a Passed) as(secure bool) []string {
	isSecure := func(addr string) bool { _, is := settings.SplitSecure(addr); return is }
	if !secure || slices.ContainsFunc(a, isSecure) {
		return a
	}
	list := make([]string, len(a))
	for i, addr := range a {
		list[i] = settings.Secure(addr)
	}
	return list
}

// unused returns the sockets that are not among the addresses.
func (a Passed) unused(addrs []string) (list []string) {
	plain := func(addr string) string { bare, _ := settings.SplitSecure(addr); return bare }
	for _, addr := range a {
		if !slices.ContainsFunc(addrs, func(other string) bool { return plain(other) == plain(addr) }) {
			list = append(list, addr)
		}
	}
	return list
}
