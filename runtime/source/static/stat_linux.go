package static

import "golang.org/x/sys/unix"

// statOnly opens the file of a name only to describe it: without the right to read it, and a symbolic link
// itself.
const statOnly = unix.O_PATH
