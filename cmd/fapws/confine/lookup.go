package confine

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// nobody is the group of a user without an entry in the user database: it
// owns nothing by convention.
const nobody = 65534

// Identity is a user and its groups, as the kernel takes them, and the variables that programs expect in the
// environment of such a user.
type Identity struct {
	UID, GID int
	Groups   []int  // supplementary ones, sorted, with GID
	Name     string // of the user; "" without an entry in the user database
	Home     string
}

// LookupIdentity returns the identity of a user and a group, by name or number, for a
// process that is to run as such. Without group it is the user's own, with the
// supplementary groups that the user is in; a user without an entry in the user
// database gets the group 65534. Without user, the one of this process keeps
// running, in group alone. A process that is not root may only ask for what
// it is; that error, too, is one line.
func LookupIdentity(username, group string) (*Identity, error) {
	return lookup(username, group, os.Geteuid(), os.Getegid())
}

func lookup(username, group string, uid, gid int) (*Identity, error) {
	id := &Identity{UID: uid, GID: gid, Home: "/"}
	if username != "" {
		entry, err := userEntry(username)
		if err != nil {
			return nil, err
		}
		if err := id.take(entry, username); err != nil {
			return nil, err
		}
	} else if entry, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		id.Name, id.Home = entry.Username, entry.HomeDir
	}
	if group != "" {
		n, err := groupNumber(group)
		if err != nil {
			return nil, err
		}
		if username == "" {
			id.Groups = nil
		}
		id.GID = n
	}
	id.Groups = append(id.Groups, id.GID)
	slices.Sort(id.Groups)
	id.Groups = slices.Compact(id.Groups)
	if uid != 0 && (id.UID != uid || id.GID != gid) {
		return nil, fmt.Errorf("cannot become %s: only root can, and fapws was started as %s", id, describe(uid))
	}
	return id, nil
}

// take copies an entry of the user database, or does without one.
func (id *Identity) take(entry *user.User, text string) (err error) {
	if entry == nil {
		id.UID, err = number(text)
		id.GID = nobody
		return err
	}
	id.Name, id.Home = entry.Username, entry.HomeDir
	if id.UID, err = number(entry.Uid); err != nil {
		return err
	}
	if id.GID, err = number(entry.Gid); err != nil {
		return err
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

// String names the user, for messages.
func (id *Identity) String() string {
	name := id.username()
	if g, err := user.LookupGroupId(strconv.Itoa(id.GID)); err == nil {
		return name + ":" + g.Name
	}
	return name + ":" + strconv.Itoa(id.GID)
}

// username is the name of the user, or the number without an entry.
func (id *Identity) username() string {
	if id.Name == "" {
		return strconv.Itoa(id.UID)
	}
	return id.Name
}

// Credential is the identity as os/exec takes it for a child; nil when the
// child keeps this process's.
func (id *Identity) Credential() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil // LookupIdentity has seen that it is the same
	}
	c := &syscall.Credential{Uid: uint32(id.UID), Gid: uint32(id.GID)}
	for _, g := range id.Groups {
		c.Groups = append(c.Groups, uint32(g))
	}
	return c
}

// SetEnviron gives HOME, USER and LOGNAME in the environment of this process,
// which its children inherit, the values that the identity's programs expect.
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

// Owner returns the numbers for "user", "user:group" or ":group", each by name or number; -1 stands for a missing
// one, as chown(2) takes it.
func Owner(text string) (uid, gid int, err error) {
	uid, gid = -1, -1
	username, group, _ := strings.Cut(text, ":")
	if username != "" {
		entry, err := userEntry(username)
		if err != nil {
			return -1, -1, err
		}
		if entry != nil {
			username = entry.Uid
		}
		if uid, err = number(username); err != nil {
			return -1, -1, err
		}
	}
	if group != "" {
		if gid, err = groupNumber(group); err != nil {
			return -1, -1, err
		}
	}
	return uid, gid, nil
}

// userEntry finds a user by name or number; nil stands for a number without
// entry.
func userEntry(text string) (*user.User, error) {
	entry, err := user.Lookup(text)
	if err == nil {
		return entry, nil
	}
	if _, bad := number(text); bad == nil {
		if entry, err := user.LookupId(text); err == nil {
			return entry, nil
		}
		return nil, nil
	}
	if errors.As(err, new(user.UnknownUserError)) {
		return nil, fmt.Errorf("unknown user %q", text)
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
		return -1, fmt.Errorf("unknown group %q", text)
	}
	return -1, fmt.Errorf("cannot look up group %q: %w", text, err)
}

// number reads the number of a user or group. The largest one means "none" to
// the kernel.
func number(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 1<<32-1 {
		return -1, fmt.Errorf("%q is not a user or group number", text)
	}
	return int(n), nil
}

func describe(uid int) string {
	if entry, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return entry.Username
	}
	return "user " + strconv.Itoa(uid)
}
