package confine

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// nobody is the group ID of a user without an entry in the user database. By convention, this group owns no files.
const nobody = "65534"

// Identity contains the numeric uid and group IDs of a user, and the values for the environment variables that programs
// expect.
type Identity struct {
	UID, GID int
	Groups   []int
	Name     string
	Home     string
}

// LookupIdentity returns the identity for a process that will run as a user and a group. Both parameters can be names
// or numbers. If group is empty, the result contains the user's group and supplementary groups, or only the group 65534
// if the user has no entry in the user database. If username is empty, the result contains the user of this process and
// only the given group. A process that is not root gets an error for every identity except its own. The text of an
// error has one line.
func LookupIdentity(username, group string) (*Identity, error) {
	return lookup(username, group, os.Geteuid(), os.Getegid())
}

// MayBecome reports whether this process has the permission to change to the given user and group.
func MayBecome(username, group string) bool {
	_, err := LookupIdentity(username, group)
	return err == nil
}

func lookup(username, group string, uid, gid int) (*Identity, error) {
	id := &Identity{UID: uid, GID: gid, Home: "/"}
	var wrong []error
	if username != "" {
		if err := id.take(username); err != nil {
			wrong = append(wrong, &IdentityError{"user", err})
		}
	} else if entry, unknown := user.LookupId(strconv.Itoa(uid)); unknown == nil {
		id.Name, id.Home = entry.Username, entry.HomeDir
	}
	if group != "" {
		number, err := groupNumber(group)
		if id.GID = number; err != nil {
			wrong = append(wrong, &IdentityError{"group", err})
		}
	}
	if wrong != nil {
		return nil, errors.Join(wrong...)
	}
	id.Groups = append(id.Groups, id.GID)
	slices.Sort(id.Groups)
	id.Groups = slices.Compact(id.Groups)
	if uid != 0 && (id.UID != uid || id.GID != gid) {
		setting := "user"
		if username == "" {
			setting = "group"
		}
		return nil, &IdentityError{setting, fmt.Errorf("cannot become %s: only root can, and fapws was started as user %s",
			id, system.UserName(uid))}
	}
	return id, nil
}

type IdentityError struct {
	Setting string // "user" or "group"
	Err     error
}

func (e *IdentityError) Error() string { return e.Err.Error() }
func (e *IdentityError) Unwrap() error { return e.Err }

// take sets id to a user and the groups of this user.
func (id *Identity) take(username string) error {
	entry, err := userEntry(username)
	if err != nil {
		return err
	}
	id.Name, id.Home = entry.Username, entry.HomeDir
	if id.UID, err = number(entry.Uid); err != nil {
		return err
	}
	if id.GID, err = number(entry.Gid); err != nil {
		return err
	}
	if entry.Username == "" {
		return nil
	}
	groups, err := entry.GroupIds()
	if err != nil {
		return fmt.Errorf("cannot read the groups of %s: %w", entry.Username, err)
	}
	for _, text := range groups {
		n, err := number(text)
		if err != nil {
			return err
		}
		id.Groups = append(id.Groups, n)
	}
	return nil
}

func (id *Identity) String() string {
	name := id.username()
	if g, err := user.LookupGroupId(strconv.Itoa(id.GID)); err == nil {
		return name + ":" + g.Name
	}
	return name + ":" + strconv.Itoa(id.GID)
}

func (id *Identity) username() string { return cmp.Or(id.Name, strconv.Itoa(id.UID)) }

// Credential returns the identity in the form that os/exec needs for a child process, or nil if this process already
// has the identity, or if id is nil.
func (id *Identity) Credential() *syscall.Credential {
	if id == nil || os.Geteuid() != 0 {
		// If this process is not root, LookupIdentity returned an error for every identity except the process's own.
		return nil
	}
	c := &syscall.Credential{Uid: uint32(id.UID), Gid: uint32(id.GID)}
	for _, g := range id.Groups {
		c.Groups = append(c.Groups, uint32(g))
	}
	return c
}

// become changes the user and groups of all threads of this process to the identity. The process must run as root.
func (id *Identity) become() error {
	// Set the groups before the user, because only root may change groups.
	if err := syscall.Setgroups(id.Groups); err != nil {
		return fmt.Errorf("cannot set the groups of %s: %w", id, err)
	}
	if err := syscall.Setgid(id.GID); err != nil {
		return fmt.Errorf("cannot become group of %s: %w", id, err)
	}
	if err := syscall.Setuid(id.UID); err != nil {
		return fmt.Errorf("cannot become %s: %w", id, err)
	}
	return nil
}

// borrowed runs f with the identity (see Borrow) or, if the identity cannot be borrowed, as the current user.
func (id *Identity) borrowed(f func()) {
	if os.Geteuid() != 0 {
		return
	}
	if restore, err := id.Borrow(); err == nil {
		defer restore()
		f()
	}
}

// Enter returns an error if the identity lacks the permission to enter folder or a directory above it
// (path_resolution(7)). The error names the topmost of these directories. folder must be an absolute path. Enter lets
// the kernel check the permission, because the kernel respects access control lists. If this check is impossible, or if
// this process is not root, Enter returns nil; an error then appears when the folder is used. The caller must have
// locked its goroutine to its thread.
func (id *Identity) Enter(folder string) (err error) {
	id.borrowed(func() {
		way := "/"
		for name := range strings.SplitSeq(filepath.Clean(folder), "/") {
			way = filepath.Join(way, name)
			var st unix.Stat_t
			if errors.Is(unix.Stat(way+"/.", &st), unix.EACCES) {
				err = fmt.Errorf("user %s cannot enter the directory %s: permission denied", id.username(), way)
				return
			}
		}
	})
	return err
}

// MayRead reports whether the identity may read a file. Like Enter, MayRead lets the kernel check the
// permission. The result is also true if this check is impossible or if the file does not exist.
func (id *Identity) MayRead(name string) (may bool) {
	may = true
	id.borrowed(func() {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err == nil {
			unix.Close(fd)
		}
		may = !errors.Is(err, unix.EACCES)
	})
	return may
}

// SetEnviron sets the environment variables, such as HOME, that programs expect to match the identity.
func (id *Identity) SetEnviron() error {
	err := os.Setenv("HOME", id.Home)
	for _, name := range []string{"USER", "LOGNAME"} {
		if id.Name == "" {
			err = errors.Join(err, os.Unsetenv(name))
		} else {
			err = errors.Join(err, os.Setenv(name, id.Name))
		}
	}
	return err
}

// Owner parses a text of the form "user", "user:group" or ":group" with names or numbers. If the user or the group is
// missing, the result is -1, which makes chown(2) keep the owner or the group of a file.
func Owner(text string) (uid, gid int, err error) {
	uid, gid = -1, -1
	username, group, _ := strings.Cut(text, ":")
	if username != "" {
		var entry *user.User
		if entry, err = userEntry(username); err == nil {
			uid, err = number(entry.Uid)
		}
	}
	if group != "" && err == nil {
		gid, err = groupNumber(group)
	}
	if err != nil {
		return -1, -1, err
	}
	return uid, gid, nil
}

// userEntry looks up a user by name or uid. If the user database has no entry for a uid, userEntry returns a user
// without a name.
func userEntry(text string) (*user.User, error) {
	entry, err := user.Lookup(text)
	if err == nil {
		return entry, nil
	}
	if _, bad := number(text); bad == nil {
		if entry, err := user.LookupId(text); err == nil {
			return entry, nil
		}
		return &user.User{Uid: text, Gid: nobody, HomeDir: "/"}, nil
	}
	if errors.As(err, new(user.UnknownUserError)) {
		return nil, fmt.Errorf("unknown user %q; correct the name, or create the user", text)
	}
	return nil, fmt.Errorf("cannot look up user %q: %w", text, err)
}

func groupNumber(text string) (int, error) {
	g, err := user.LookupGroup(text)
	if err == nil {
		return number(g.Gid)
	}
	if n, bad := number(text); bad == nil {
		return n, nil
	}
	if errors.As(err, new(user.UnknownGroupError)) {
		return -1, fmt.Errorf("unknown group %q; correct the name, or create the group", text)
	}
	return -1, fmt.Errorf("cannot look up group %q: %w", text, err)
}

// The number 2^32-1 is invalid, because to the kernel it means "no change".
func number(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 1<<32-1 {
		return -1, fmt.Errorf("%q is not a user or group number", text)
	}
	return int(n), nil
}

// RootReason returns, for the log, why a process may run as root: "this is a container" or "this system has no other
// user". On a normal system, it returns "".
func RootReason() string {
	switch {
	case inContainer("/", os.Getenv):
		return "this is a container"
	case onlyRoot("/etc/passwd"):
		return "this system has no other user"
	}
	return ""
}

// containerFiles lists files that container engines create: Docker, Podman and CRI-O, systemd and LXC. A virtual
// machine whose disk was created from a container image contains these files, too.
var containerFiles = []string{".dockerenv", "run/.containerenv", "run/systemd/container"}

// containerGroups lists texts that the control groups of containers have in their names. Inside a container, these
// names are visible only with version 1 of control groups.
var containerGroups = []string{"/docker", "/kubepods", "/lxc", "/libpod", "/containerd"}

// initialNamespaces maps each kind of namespace to the target that its link in /proc/self/ns has for a process outside
// all containers. The numbers are constants in the kernel (include/linux/proc_ns.h).
var initialNamespaces = map[string]string{"pid": "pid:[4026531836]", "user": "user:[4026531837]",
	"uts": "uts:[4026531838]", "ipc": "ipc:[4026531839]", "cgroup": "cgroup:[4026531835]"}

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
	// A separate uts, ipc or cgroup namespace does not prove that this is a container, because a service of a normal
	// system can have one, too.
	unusual := !known || separate["uts"] || separate["ipc"] || separate["cgroup"]
	environ, groups := "\x00"+string(readFile(root, "proc/1/environ")), string(readFile(root, "proc/1/cgroup"))
	switch {
	case separate["pid"] || separate["user"]:
		return true
	case unusual && slices.ContainsFunc(containerFiles, func(name string) bool {
		_, err := os.Stat(filepath.Join(root, name))
		return err == nil
	}):
		return true
	case strings.Contains(environ, "\x00container="):
		return true
	}
	return slices.ContainsFunc(containerGroups, func(part string) bool { return strings.Contains(groups, part) })
}

func readFile(root, name string) []byte {
	text, _ := os.ReadFile(filepath.Join(root, name))
	return text
}

func onlyRoot(passwd string) bool {
	for line := range strings.Lines(string(readFile("", passwd))) {
		fields := strings.Split(line, ":")
		if len(fields) == 7 && fields[2] != "0" {
			return false
		}
	}
	return true
}

// If the environment variable TZ is not set, KeepZone sets it to the rule in this machine's /etc/localtime, because the
// new root directory lacks this file. KeepZone must be called before Python starts.
func KeepZone() error {
	if _, set := os.LookupEnv("TZ"); set {
		return nil
	}
	rule := zoneRule("/etc/localtime")
	if rule == "" {
		return nil // the zone is UTC, which is also the default
	}
	return os.Setenv("TZ", rule)
}

// zoneRule returns the last line of a time zone file (RFC 8536 §3.3): a rule for future times in the format of the
// variable TZ, such as "CET-1CEST,M3.5.0,M10.5.0/3".
func zoneRule(path string) string {
	content, err := os.ReadFile(path)
	if err != nil || !bytes.HasPrefix(content, []byte("TZif")) || !bytes.HasSuffix(content, []byte("\n")) {
		return ""
	}
	content = content[:len(content)-1]
	return string(content[bytes.LastIndexByte(content, '\n')+1:])
}
