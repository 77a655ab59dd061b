package runtime

import "golang.org/x/sys/unix"

// writeAll writes to a regular file. The loop calls it: this goes to the
// kernel's page cache, so that it takes about as long as a copy.
func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
