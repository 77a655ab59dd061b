//go:build !linux

package upload

import (
	"os"

	"golang.org/x/sys/unix"
)

// rename gives a file of a directory another name there. Unless replace, the error is EEXIST where that name exists.
func rename(dir int, from, to string, replace bool) error {
	if replace {
		return unix.Renameat(dir, from, dir, to)
	}
	return renameByLink(dir, from, to)
}

// space returns how many bytes an unprivileged process can write to the file system of f. ok is false if the system does not say.
func space(*os.File) (free int64, ok bool) { return 0, false }
