package netio

import "golang.org/x/sys/unix"

// maxSend is what Linux sends at once at most, in bytes.
const maxSend = 1<<31 - 4096

// ReadFile is pread(2). It may wait for the disk. It returns 0 and no error at the end of the file.
func ReadFile(from int, b []byte, offset int64) (int, error) {
	for {
		n, err := unix.Pread(from, b, offset)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// SendFile is sendfile(2) of at most maxSend bytes. It may wait for the disk. It returns unix.EAGAIN if there is no room.
func SendFile(to, from int, offset *int64, count int64) (int, error) {
	for {
		n, err := unix.Sendfile(to, from, offset, int(min(count, maxSend)))
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}
