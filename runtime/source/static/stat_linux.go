package static

import "golang.org/x/sys/unix"

// statOnly opens what a name means for its description only: without the right to read it, and a symbolic link
// itself.
const statOnly = unix.O_PATH
