//go:build !linux

package upload

import "os"

// renameNew gives a file of a directory another name there. The error is EEXIST where that name exists.
func renameNew(dir int, from, to string) error { return renameByLink(dir, from, to) }

// space returns how many bytes an unprivileged process can write to the file system of f. ok is false if the system does not say.
func space(*os.File) (free int64, ok bool) { return 0, false }
