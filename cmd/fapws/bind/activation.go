package bind

import (
	"fapws/cmd/fapws/exit"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Passed is the listening sockets that a service manager has opened for
// this process (sd_listen_fds(3)).
type Passed []string // addresses as listen.Open takes them

// firstPassed is the number of the first descriptor that is passed,
// SD_LISTEN_FDS_START.
const firstPassed = 3

// TakePassed reads the variables about such sockets, and removes them, because they are not meant for the children.
// The sockets are kept from the children, too.
func TakePassed() Passed {
	passed := passedSockets(os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getpid())
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
		if number, ok := strings.CutPrefix(addr, "fd://"); ok {
			if fd, err := strconv.Atoi(number); err == nil {
				unix.CloseOnExec(fd)
			}
		}
	}
}

// passedSockets returns nothing unless the variables mean this process; a
// parent may have left its own in the environment.
func passedSockets(forPID, number string, pid int) (a Passed) {
	if forPID != strconv.Itoa(pid) {
		return nil
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		return nil
	}
	for i := range min(n, 1024) {
		a = append(a, "fd://"+strconv.Itoa(firstPassed+i))
	}
	return a
}

// addresses replaces "systemd" in the addresses of the settings by the sockets that were passed. They are also used
// without an address.
func (a Passed) addresses(bind []string, given bool) (list []string, err error) {
	if !given && len(a) > 0 {
		return a, nil
	}
	for _, addr := range bind {
		if addr != "systemd" {
			list = append(list, addr)
			continue
		}
		if len(a) == 0 {
			return nil, exit.NotStarted("cannot listen on systemd: no sockets were passed to this process (LISTEN_FDS, LISTEN_PID); check that a .socket unit of the same name exists")
		}
		list = append(list, a...)
	}
	return list, nil
}

// unused returns the sockets that are not among the addresses.
func (a Passed) unused(addrs []string) (list []string) {
	for _, addr := range a {
		if !slices.Contains(addrs, addr) {
			list = append(list, addr)
		}
	}
	return list
}
