package bundle

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// kept is the number of unpacked versions of a bundle that remain in the cache directory, with the newest.
const kept = 2

// UsualCacheDirs returns the default cache directory, according to systemd.exec(5) and the XDG Base Directory
// Specification, and directories for a system whose disks are read-only.
func UsualCacheDirs() (dirs []string) {
	if dir, _, _ := strings.Cut(os.Getenv("CACHE_DIRECTORY"), ":"); filepath.IsAbs(dir) {
		dirs = append(dirs, dir)
	} else if os.Geteuid() == 0 {
		dirs = append(dirs, "/var/cache/fapws")
	} else if dir, err := os.UserCacheDir(); err == nil && filepath.IsAbs(dir) {
		dirs = append(dirs, filepath.Join(dir, "fapws"))
	}
	own := fmt.Sprintf("fapws-%d", os.Geteuid())
	return append(dirs, filepath.Join(os.TempDir(), own), filepath.Join("/dev/shm", own))
}

// Unpack returns the directory with the files of the bundle, which is below the first of the absolute paths caches that can
// contain it. Unpack writes the files if the directory does not exist yet. The directory stays locked while this process
// lives, so that Unpack in another process does not remove it. The error is that of the first path.
func (b *Bundle) Unpack(caches ...string) (folder string, err error) {
	for _, cache := range caches {
		found, wrong := b.unpackBelow(cache)
		if wrong == nil {
			return found, nil
		}
		if err = cmp.Or(err, wrong); errors.Is(err, errDamaged) {
			break
		}
	}
	return "", err
}

func (b *Bundle) unpackBelow(cache string) (folder string, err error) {
	name := b.ID()
	if folder, err = b.lock(filepath.Join(cache, name)); err == nil {
		return folder, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	m, err := b.Manifest()
	if err == nil {
		err = b.Verify()
	}
	if err != nil {
		return "", err
	}
	if err = b.write(m, cache, name); err != nil {
		err = fmt.Errorf("cannot unpack %s below %s: %w; name another directory with --cache-dir", b.Name, cache,
			system.Cause(err))
		return "", err
	}
	removeOlder(cache, m.Name, name)
	return b.lock(filepath.Join(cache, name))
}

// checkOwner checks that no other user can change a directory. In a directory such as /tmp, other users cannot change
// entries that are not theirs.
func checkOwner(folder string) error {
	st, err := os.Lstat(folder)
	if err == nil && st.Mode()&fs.ModeSymlink != 0 && ownerIsTrusted(st) {
		st, err = os.Stat(folder)
	}
	if err == nil && (!st.IsDir() || st.Mode().Perm()&0o022 != 0 && st.Mode()&fs.ModeSticky == 0 || !ownerIsTrusted(st)) {
		return fmt.Errorf("%s: another user could change it; name another directory with --cache-dir", folder)
	}
	return err
}

func ownerIsTrusted(st fs.FileInfo) bool {
	owner := int(st.Sys().(*syscall.Stat_t).Uid)
	return owner == 0 || owner == os.Geteuid()
}

// lock checks that no other user can change a directory, and keeps it. The error is fs.ErrNotExist if files are missing.
func (b *Bundle) lock(folder string) (string, error) {
	for _, one := range []string{filepath.Dir(folder), folder} {
		if err := checkOwner(one); err != nil {
			return "", err
		}
	}
	fd, err := unix.Open(folder, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("%s: %w; name another directory with --cache-dir", folder, err)
	}
	_ = unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB) // some file systems have no locks
	// Systems remove old files from /tmp, but no files in a directory that a process has locked. The file "name" is the first
	// one that becomes old, because each start reads others.
	if _, err := os.Stat(filepath.Join(folder, "name")); err != nil {
		unix.Close(fd)
		return "", cmp.Or(os.RemoveAll(folder), err)
	}
	return folder, nil // fd stays open
}

// write writes all files to a new directory, which gets its name when it is complete.
func (b *Bundle) write(m *Manifest, cache, name string) (err error) {
	defer unix.Umask(unix.Umask(0o022))
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	if err := checkOwner(cache); err != nil {
		return err
	}
	if dir, err := os.Open(cache); err == nil {
		defer dir.Close()
		removeIncomplete(dir)
	}
	made, err := os.MkdirTemp(cache, ".unpacking-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(made)
	var st unix.Statfs_t
	if err := unix.Statfs(made, &st); err == nil && st.Flags&unix.MS_NOEXEC != 0 && slices.ContainsFunc(m.Files, isLibrary) {
		return errors.New("its file system is mounted noexec, and Python could not load extension modules")
	}
	root, err := os.OpenRoot(made)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, dir := range []string{"app", "bin", "lib"} {
		if err := root.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	for _, f := range m.Files {
		if err := b.writeFile(root, f); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(made, "name"), []byte(m.Name), 0o644); err != nil {
		return err
	}
	// Workers of another user read the files if root has unpacked them.
	mode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o755
	}
	if err := os.Chmod(made, mode); err != nil {
		return err
	}
	if dir, err := os.Open(made); err == nil { // after a loss of power, the directory is missing or complete
		_ = unix.Syncfs(int(dir.Fd()))
		dir.Close()
	}
	err = os.Rename(made, filepath.Join(cache, name))
	if errors.Is(err, syscall.EEXIST) || errors.Is(err, syscall.ENOTEMPTY) {
		return nil // another process was faster
	}
	return err
}

// removeIncomplete removes directories of processes that were killed while they unpacked. It locks the cache directory until
// dir is closed, so that other processes remove none.
func removeIncomplete(dir *os.File) {
	if unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		folders, _ := filepath.Glob(filepath.Join(dir.Name(), ".unpacking-*"))
		for _, folder := range folders {
			_ = os.RemoveAll(folder)
		}
	}
	_ = unix.Flock(int(dir.Fd()), unix.LOCK_SH|unix.LOCK_NB)
}

func (b *Bundle) writeFile(root *os.Root, f File) error {
	if err := root.MkdirAll(filepath.Dir(f.Name), 0o755); err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if f.Executable {
		mode = 0o755
	}
	file, err := root.OpenFile(f.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	content, err := b.content(f)
	if err == nil {
		_, err = io.Copy(file, content)
	}
	return cmp.Or(err, file.Close())
}

// removeOlder removes unpacked versions of the bundle called name, except newest, the youngest of the others, and those
// that a process uses.
func removeOlder(cache, name, newest string) {
	folders, _ := filepath.Glob(filepath.Join(cache, "????????????????"))
	folders = slices.DeleteFunc(folders, func(folder string) bool {
		text, err := os.ReadFile(filepath.Join(folder, "name"))
		return err != nil || string(text) != name || filepath.Base(folder) == newest
	})
	slices.SortFunc(folders, func(a, b string) int { return changed(b).Compare(changed(a)) })
	for _, folder := range folders[min(len(folders), kept-1):] {
		fd, err := unix.Open(folder, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(folder)
		}
		unix.Close(fd)
	}
}

// changed returns the time of the last change of a directory, or 0 if another process has removed it.
func changed(folder string) (stamp time.Time) {
	if st, err := os.Stat(folder); err == nil {
		stamp = st.ModTime()
	}
	return stamp
}

// Link makes the file name, in an unpacked bundle, a link to the executable. A link that this process cannot write stays as
// it is, and a process that was started by the link does not change it.
func Link(name, executable string) {
	if target, _ := os.Readlink(name); target == executable || name == executable {
		return
	}
	made := fmt.Sprintf("%s.%d", name, os.Getpid())
	if os.Symlink(executable, made) == nil && os.Rename(made, name) != nil {
		_ = os.Remove(made)
	}
}
