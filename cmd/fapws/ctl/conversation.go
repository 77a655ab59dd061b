package ctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// connectWithin limits how long a client waits until the server accepts the connection.
	connectWithin = 2 * time.Second

	// answerWithin limits how long a client waits for the response to a quick command. This limit is longer than the
	// server's own time limits, because the machine may be busy.
	answerWithin = 45 * time.Second

	// lookEvery is the interval at which a waiting client checks that the server is alive.
	lookEvery = time.Second
)

// conversation is a client's connection to a server. The conversation ends when the server process ends, even if
// children that the application has forked keep the socket open.
type conversation struct {
	*net.UnixConn
	pid int // process ID of the server; 0 if unknown
}

// dialWithin connects to a server. If the listen queue of the socket is full (EAGAIN, connect(2)), dialWithin retries.
// dialWithin fails if the process that called listen has ended, even if a different process has inherited the socket.
func dialWithin(path string, d time.Duration) (*conversation, error) {
	for until := time.Now().Add(d); ; time.Sleep(5 * time.Millisecond) {
		raw, err := net.DialTimeout("unix", path, time.Until(until))
		if err == nil {
			c := &conversation{UnixConn: raw.(*net.UnixConn)}
			if _, c.pid, _ = peer(c.UnixConn); c.pid > 0 && ended(c.pid) {
				c.Close()
				return nil, syscall.ECONNREFUSED
			}
			return c, nil
		}
		if !errors.Is(err, syscall.EAGAIN) || time.Now().After(until) {
			return nil, err
		}
	}
}

const findSocket = "start the server, or name its socket as the server's --ctl-socket does"

// converse connects to a server, sends a request, and returns the response. If the response contains an error, converse
// returns this error. After the command Stop, converse returns when the server has ended.
func converse(path string, r *request, limit time.Duration) (a Answer, err error) {
	c, err := dialWithin(path, connectWithin)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return a, fmt.Errorf("no server listens on %s; "+findSocket, path)
	case errors.Is(err, syscall.ENOENT):
		return a, fmt.Errorf("%s: no such file; "+findSocket, path)
	case err != nil:
		return a, short(err)
	}
	defer c.Close()
	a, err = c.ask(r, limit)
	switch {
	case err != nil:
		err = fmt.Errorf("the server on %s did not respond: %w", path, err)
	case a.Error != "":
		err = errors.New(visible(a.Error))
	case a.Status == nil && (r.Command == Status || r.Command == Top):
		err = fmt.Errorf("the server on %s did not respond", path)
	case r.Command == Stop:
		_, _ = (&patience{c: c}).Read(make([]byte, 1))
	}
	return a, err
}

// ask sends a request and waits for the response. If limit is 0, ask waits as long as the server is alive.
func (c *conversation) ask(r *request, limit time.Duration) (a Answer, err error) {
	_ = c.SetWriteDeadline(time.Now().Add(answerWithin))
	if err := json.NewEncoder(c).Encode(r); err != nil {
		return a, short(err)
	}
	err = json.NewDecoder(&patience{c, limit}).Decode(&a)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return a, errors.New("the server closed the connection")
	}
	return a, short(err)
}

type patience struct {
	c *conversation
	// remaining time for the response; 0 means no time limit as long as the server is alive
	left time.Duration
}

func (p *patience) Read(b []byte) (n int, err error) {
	over := false
	for until := time.Now().Add(p.left); ; {
		_ = p.c.SetReadDeadline(time.Now().Add(lookEvery))
		n, err = p.c.Read(b)
		switch {
		case n > 0 || !errors.Is(err, os.ErrDeadlineExceeded):
			return n, err
		case over:
			return 0, errors.New("the server has ended")
		case p.left > 0 && time.Now().After(until):
			return 0, fmt.Errorf("no answer within %v", answerWithin)
		}
		over = p.c.pid > 0 && ended(p.c.pid) // if the server has ended, the next iteration reads its last bytes
	}
}

const suffix = ".sock"

// places returns the directories in which a user's control sockets can be, in order of preference. There are several,
// because a user can start servers inside and outside of a login session.
func places(uid int) (list []string) {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) && owned(dir, uid, 0) == nil {
		list = append(list, filepath.Join(dir, "fapws"))
	}
	if dir := fmt.Sprintf("/run/user/%d/fapws", uid); !slices.Contains(list, dir) {
		list = append(list, dir)
	}
	return append(list, fmt.Sprintf("/run/fapws-%d", uid), fmt.Sprintf("/tmp/fapws-%d", uid))
}

// openPlace creates a directory for control sockets if it is missing, and checks that only this user can access it.
func openPlace(path string, uid int) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return private(path, uid)
}

func private(path string, uid int) error { return owned(path, uid, 0o077) }

// owned returns nil if path is a directory, not a symbolic link, that belongs to the user uid and has none of the
// permission bits access.
func owned(path string, uid int, access uint32) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%s is not a directory", path)
	case int(st.Uid) != uid:
		return fmt.Errorf("%s belongs to another user", path)
	case uint32(st.Mode)&access != 0:
		return fmt.Errorf("%s is accessible to other users", path)
	}
	return nil
}

// bindInFirst creates the control socket in the first usable directory of list.
func bindInFirst(list []string, uid int) (ln *net.UnixListener, path string, err error) {
	var reasons []string
	for _, p := range list {
		err := openPlace(p, uid)
		if err == nil {
			clean(p)
			path = filepath.Join(p, strconv.Itoa(os.Getpid())+suffix)
			ln, err = bind(path)
		}
		if err == nil {
			return ln, path, nil
		}
		reasons = append(reasons, err.Error())
	}
	return nil, "", errors.New(strings.Join(reasons, ", "))
}

// Prepare creates the directory in /run for a user's control sockets while this process is still root, because the user
// could not create the directory. If Prepare fails, the server uses the next directory from the function places.
func Prepare(user *syscall.Credential) {
	path := fmt.Sprintf("/run/fapws-%d", user.Uid)
	if os.Mkdir(path, 0o700) == nil {
		_ = os.Lchown(path, int(user.Uid), int(user.Gid))
	}
}

type found struct {
	pid  int
	path string
}

// search returns the server that belongs to the user uid and has the process ID pid, or all servers that belong to the
// user if pid is 0.
func search(uid, pid int) (running []found) {
	for _, p := range places(uid) {
		if private(p, uid) != nil {
			continue
		}
		for _, f := range socketsIn(p) {
			if (pid == 0 || f.pid == pid) && answers(f.path) {
				running = append(running, f)
			}
		}
	}
	return running
}

func socketsIn(folder string) (list []found) {
	entries, _ := os.ReadDir(folder)
	for _, e := range entries {
		name, is := strings.CutSuffix(e.Name(), suffix)
		if pid, err := strconv.Atoi(name); is && err == nil {
			list = append(list, found{pid, filepath.Join(folder, e.Name())})
		}
	}
	return list
}

// users returns the uids of all users who have or had a server on this machine.
func users() (uids []int) {
	for _, pattern := range []string{"/run/user/*/fapws", "/run/fapws-*", "/tmp/fapws-*"} {
		folders, _ := filepath.Glob(pattern)
		for _, folder := range folders {
			name := strings.TrimPrefix(filepath.Base(folder), "fapws-")
			if name == "fapws" {
				name = filepath.Base(filepath.Dir(folder))
			}
			if uid, err := strconv.Atoi(name); err == nil && !slices.Contains(uids, uid) {
				uids = append(uids, uid)
			}
		}
	}
	return uids
}

// clean removes, from a directory, the sockets of servers that have ended, but keeps the socket of a process that is
// starting and does not listen yet.
func clean(folder string) {
	for _, f := range socketsIn(folder) {
		err := syscall.Kill(f.pid, 0)
		gone := err != nil && !errors.Is(err, unix.EPERM)
		if (gone || f.pid == os.Getpid()) && !answers(f.path) {
			_ = os.Remove(f.path)
		}
	}
}

// answers reports whether a server listens at path. The result is false if the server has ended and a different process
// has inherited the socket.
func answers(path string) bool {
	c, err := dialWithin(path, time.Second)
	if err == nil {
		c.Close()
	}
	return !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, os.ErrNotExist)
}
