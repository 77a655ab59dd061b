package upload

import "golang.org/x/sys/unix"

// renameByLink gives a file of a directory another name there, if that does not exist.
func renameByLink(dir int, from, to string) error {
	if err := unix.Linkat(dir, from, dir, to, 0); err != nil {
		return err
	}
	return unix.Unlinkat(dir, from, 0)
}

func renameat(dir int, from, to string) error { return unix.Renameat(dir, from, dir, to) }
