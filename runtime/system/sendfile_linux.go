package system

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SendCached is sendfile(2) of a file that is in memory.
func SendCached(to, from int, offset *int64, count int64) (int, error) {
	for {
		n, _, e := syscall.RawSyscall6(sysSendfile, uintptr(to), uintptr(from), uintptr(unsafe.Pointer(offset)), uintptr(min(count, maxSend)), 0, 0)
		if e == 0 {
			return int(n), nil
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}

// ReadCached is pread(2) of what is in memory of a file: preadv2(2) with RWF_NOWAIT, which not all file systems know. It returns
// 0 and no error at the end of the file, and unix.EAGAIN if the disk would have to be waited for, or there is an error.
func ReadCached(from int, b []byte, offset int64) (int, error) {
	iov := unix.Iovec{Base: unsafe.SliceData(b)}
	iov.SetLen(len(b))
	n, e := readNow(from, &iov, offset)
	if e != 0 {
		return 0, unix.EAGAIN
	}
	return n, nil
}

// Cached reports whether a byte of a file can be read without waiting for the
// disk: preadv2(2) with RWF_NOWAIT, which not all file systems know.
func Cached(from int, offset int64) bool {
	var b [1]byte
	iov := unix.Iovec{Base: &b[0]}
	iov.SetLen(1)
	n, e := readNow(from, &iov, offset)
	return e == 0 && n == 1
}

// readNow is preadv2(2), which takes the offset in two words, on machines of 64 bits too. There it ignores the upper one.
func readNow(from int, iov *unix.Iovec, offset int64) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall6(unix.SYS_PREADV2, uintptr(from), uintptr(unsafe.Pointer(iov)), 1,
		uintptr(offset), uintptr(offset>>32), unix.RWF_NOWAIT)
	return int(n), e
}
