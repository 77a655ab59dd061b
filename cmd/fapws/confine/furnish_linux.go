package confine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// FindChroot returns the folder dir in the way in which Furnish and Enter take it:
// absolute, without links. Errors are one line.
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
	var wrong *fs.PathError
	if errors.As(err, &wrong) {
		err = wrong.Err
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("--chroot %s: %w", dir, err)
	case path == "/":
		return "", fmt.Errorf("--chroot %s: this is already the root directory", dir)
	}
	return path, nil
}

// FurnishChroot makes missing files in root that a worker needs: the link from its own path to itself, tmp, which large
// bodies of requests go into, and dev/null. Errors are one line.
func FurnishChroot(root string) error {
	tmp := filepath.Join(root, "tmp") // first: the link may lie in it
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
