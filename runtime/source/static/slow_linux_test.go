package static

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// deadDisk mounts a file system that describes its root, and answers nothing else until revive is called.
func deadDisk(t *testing.T) (dir string, revive func()) {
	t.Helper()
	dir = t.TempDir()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.Mount("test", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd))
	}
	if err != nil {
		t.Skip("cannot mount:", err)
	}
	go func() {
		request := make([]byte, 1<<17)
		for {
			n, err := unix.Read(fd, request)
			if err == unix.EINTR || err == unix.ENOENT {
				continue
			}
			if err != nil || n < 40 {
				return
			}
			answer := make([]byte, 16) // struct fuse_out_header
			switch binary.LittleEndian.Uint32(request[4:]) {
			case 26: // FUSE_INIT
				answer = append(answer, make([]byte, 64)...)
				binary.LittleEndian.PutUint32(answer[16:], 7)
				binary.LittleEndian.PutUint32(answer[20:], 31)
				binary.LittleEndian.PutUint32(answer[36:], 4096)
			case 3: // FUSE_GETATTR
				answer = append(answer, make([]byte, 104)...)
				binary.LittleEndian.PutUint64(answer[16:], 1000)
				binary.LittleEndian.PutUint64(answer[32:], 1)
				binary.LittleEndian.PutUint32(answer[92:], unix.S_IFDIR|0o755)
				binary.LittleEndian.PutUint32(answer[96:], 1)
			case 1: // FUSE_LOOKUP
				continue
			default:
				no := -int32(unix.ENOSYS)
				binary.LittleEndian.PutUint32(answer[4:], uint32(no))
			}
			binary.LittleEndian.PutUint32(answer, uint32(len(answer)))
			copy(answer[8:16], request[8:16])
			_, _ = unix.Write(fd, answer)
		}
	}()
	revive = sync.OnceFunc(func() {
		_ = unix.Unmount(dir, unix.MNT_FORCE) // ends what waits
		_ = unix.Unmount(dir, unix.MNT_DETACH)
		unix.Close(fd)
	})
	t.Cleanup(revive)
	return dir, revive
}

func threads(t *testing.T) (n int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "Threads:")
	if _, err := fmt.Sscan(after, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestDeadDisk: requests for files of a disk that does not answer occupy a bounded number of threads.
func TestDeadDisk(t *testing.T) {
	dir, revive := deadDisk(t)
	f := serve(t, Options{Root: dir})
	before := threads(t)
	var all sync.WaitGroup
	for i := range 2 * maxLooking {
		all.Go(func() {
			var out Response
			f.Open(request(t, "", "GET", fmt.Sprintf("/%d", i)), &out)
			if out.Head.Status == 200 {
				t.Errorf("%d: found", i)
			}
			out.Close()
		})
	}
	for end := time.Now().Add(10 * time.Second); threads(t) < before+maxLooking/2 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	time.Sleep(100 * time.Millisecond)
	if n := threads(t) - before; n < maxLooking/2 || n > maxLooking+maxLooking/4 {
		t.Errorf("%d threads more", n)
	}
	revive()
	all.Wait()
}
