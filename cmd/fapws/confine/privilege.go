package confine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"fapws/runtime/system"

	"golang.org/x/sys/unix"
)

// Assume permanently changes the user and groups of all threads of this process to the identity, and checks that the
// process cannot become root again. After an error the process must end, because only some threads may have changed.
// Assume does nothing if the process already has the identity.
//
// If chroot is true, the calling thread, which must be locked, keeps the capability CAP_SYS_CHROOT, but only in its
// permitted set. This thread can pass the capability to processes that it starts (syscall.SysProcAttr.AmbientCaps).
func (id *Identity) Assume(chroot bool) error {
	if os.Geteuid() != 0 {
		return nil
	}
	if chroot {
		// PR_SET_KEEPCAPS applies only to this thread, and only until execve(2).
		if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("cannot keep the right to chroot: %w", err)
		}
	}
	err := id.become()
	if err == nil && chroot {
		err = keepChroot(false)
	}
	if err == nil && id.UID != 0 && (syscall.Setresuid(-1, 0, -1) == nil || syscall.Setuid(0) == nil) {
		err = fmt.Errorf("giving up root for %s failed: the process can become root again", id)
	}
	return err
}

// keepChroot drops all capabilities of the calling thread except CAP_SYS_CHROOT. If inherited is true, a program that
// replaces this program by execve(2) keeps the capability.
func keepChroot(inherited bool) error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{{Permitted: 1 << unix.CAP_SYS_CHROOT}}
	if inherited {
		data[0].Inheritable = data[0].Permitted
	}
	err := unix.Capset(&head, &data[0])
	if err == nil && inherited {
		err = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_SYS_CHROOT, 0, 0)
	}
	if err != nil {
		return fmt.Errorf("cannot keep the right to chroot: %w", err)
	}
	return nil
}

// PassChroot makes a program that replaces this program by execve(2) keep the capability that Assume has kept, and must
// be called on the thread that called Assume.
func PassChroot() error { return keepChroot(true) }

// MayChroot reports whether the calling thread may call chroot(2), or may pass this right to its child processes.
func MayChroot() bool {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&head, &data[0]) == nil && data[0].Permitted&(1<<unix.CAP_SYS_CHROOT) != 0
}

// Borrow sets the groups and the file system identity (setfsuid(2)) of the calling thread to the groups and the user in
// id, until the function restore is called. Borrow makes the system calls directly, because the functions in package
// syscall would change all threads. The caller must be root and must have locked its goroutine to its thread.
func (id *Identity) Borrow() (restore func(), err error) {
	groups, err := unix.Getgroups()
	if err != nil {
		return nil, err
	}
	if err := unix.Setgroups(id.Groups); err != nil {
		return nil, err
	}
	gid, _ := unix.SetfsgidRetGid(id.GID)
	uid, _ := unix.SetfsuidRetUid(id.UID)
	return func() {
		_ = unix.Setfsuid(uid)
		_ = unix.Setfsgid(gid)
		_ = unix.Setgroups(groups) // cannot fail for root
	}, nil
}

// FindChroot returns the absolute path of dir without symbolic links. The text of the error has one line.
func FindChroot(dir string) (string, error) {
	path, err := filepath.Abs(dir)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err == nil {
		var st os.FileInfo
		if st, err = os.Stat(path); err == nil && !st.IsDir() {
			err = unix.ENOTDIR
		}
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("--chroot %s: %w", dir, system.Cause(err))
	case path == "/":
		return "", fmt.Errorf("--chroot %s: this is already the root directory", dir)
	}
	return path, nil
}

// FurnishChroot creates in root, unless they exist, the directory tmp for large request bodies, dev/null, and a
// symbolic link that leads to root itself. The text of the error has one line.
func FurnishChroot(root string) error {
	tmp := filepath.Join(root, "tmp") // before the link, which can be inside tmp
	if err := os.Mkdir(tmp, 0o777); err == nil {
		if err := os.Chmod(tmp, 0o777|fs.ModeSticky); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	link := filepath.Join(root, root)
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return err
	}
	up := strings.Repeat("../", strings.Count(root, "/")-1) + "."
	if err := os.Symlink(up, link); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if inside, err := filepath.EvalSymlinks(link); err != nil || inside != root {
		return fmt.Errorf("--chroot %s: %s is not a link to %s", root, link, up)
	}
	null := filepath.Join(root, "dev/null")
	if err := os.MkdirAll(filepath.Dir(null), 0o755); err != nil {
		return err
	}
	if err := unix.Mknod(null, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err == nil {
		return os.Chmod(null, 0o666)
	} else if err != unix.EEXIST {
		return fmt.Errorf("cannot create %s: %w", null, err)
	}
	return nil
}
