package static

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/eventloop/looptest"
	"fapws/runtime/exchange/exchangetest"
)

const (
	fuseLookup  = 1
	fuseGetattr = 3
	fuseOpen    = 14
	fuseRead    = 15
	fuseFlush   = 25
	fuseInit    = 26
)

// deadDisk mounts a file system in which all files contain "abc". Until revive is called, the file system does not
// respond to FUSE requests with the opcode in dead.
func deadDisk(t *testing.T) (dir string, dead *atomic.Uint32, revive func()) {
	t.Helper()
	dead = new(atomic.Uint32)
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
			order := binary.LittleEndian
			kind, attributes := order.Uint32(request[4:]), make([]byte, 88)
			order.PutUint32(attributes[60:], unix.S_IFDIR|0o755)
			order.PutUint32(attributes[64:], 1)
			if kind == fuseLookup || order.Uint64(request[16:]) != 1 {
				order.PutUint64(attributes[8:], 3)
				order.PutUint32(attributes[60:], unix.S_IFREG|0o644)
			}
			answer := make([]byte, 16)
			switch kind {
			case dead.Load():
				continue
			case fuseFlush:
			case fuseInit:
				answer = append(answer, make([]byte, 64)...)
				order.PutUint32(answer[16:], 7)
				order.PutUint32(answer[20:], 31)
				order.PutUint32(answer[36:], 4096)
			case fuseGetattr:
				answer = append(append(answer, make([]byte, 16)...), attributes...)
			case fuseLookup:
				answer = append(append(answer, make([]byte, 40)...), attributes...)
				order.PutUint64(answer[16:], 2)
			case fuseOpen:
				answer = append(answer, make([]byte, 16)...)
			case fuseRead:
				answer = append(answer, "abc"...)
			default:
				no := -int32(unix.ENOSYS)
				order.PutUint32(answer[4:], uint32(no))
			}
			order.PutUint32(answer, uint32(len(answer)))
			copy(answer[8:16], request[8:16])
			_, _ = unix.Write(fd, answer)
		}
	}()
	revive = sync.OnceFunc(func() {
		_ = unix.Unmount(dir, unix.MNT_FORCE)
		_ = unix.Unmount(dir, unix.MNT_DETACH)
		unix.Close(fd)
	})
	t.Cleanup(revive)
	// When package os opens a file, the kernel asks the file system whether the file can be polled. If a garbage
	// collection stopped the goroutine above at that moment, the process would deadlock. The kernel asks only once, so
	// make it ask here, without the Go poller.
	file := checktest.Try(unix.Open(dir+"/a", unix.O_RDONLY|unix.O_CLOEXEC, 0)).Must(t)
	defer unix.Close(file)
	checktest.Try(unix.Poll([]unix.PollFd{{Fd: int32(file), Events: unix.POLLIN}}, 0)).Must(t)
	return dir, dead, revive
}

func threads(t *testing.T) (n int) {
	t.Helper()
	_, after, _ := strings.Cut(string(checktest.Try(os.ReadFile("/proc/self/status")).Must(t)), "Threads:")
	checktest.Try(fmt.Sscan(after, &n)).Must(t)
	return n
}

func TestDeadDiskOccupiesALimitedNumberOfThreads(t *testing.T) {
	dir, dead, revive := deadDisk(t)
	f := serve(t, Options{Root: dir})
	dead.Store(fuseLookup)
	before := threads(t)
	var all sync.WaitGroup
	for i := range 2 * maxLooking {
		all.Go(func() {
			var out FileResponse
			f.Open(request(t, "", "GET", fmt.Sprintf("/%d", i)), &out)
			checktest.Truef(t, out.Head.Status != 200, "%d: found", i)
			out.Close()
		})
	}
	checktest.Eventually(t, "the requests wait", func() bool { return threads(t) >= before+maxLooking/2 })
	time.Sleep(100 * time.Millisecond)
	n := threads(t) - before
	checktest.Truef(t, n >= maxLooking/2 && n <= maxLooking+maxLooking/4, "%d threads more", n)
	revive()
	all.Wait()
}

func TestResponseDoesNotWaitForTheCloseOfItsFile(t *testing.T) {
	dir, dead, revive := deadDisk(t)
	f := serve(t, Options{Root: dir, CacheFileBytes: -1})
	var out FileResponse
	f.Open(request(t, "", "GET", "/a"), &out)
	checktest.Needf(t, out.Head.Status == 200 && out.file != nil, "%+v", &out.Head)
	f.cache.empty()
	dead.Store(fuseFlush)
	ended := make(chan bool)
	go func() {
		out.Close()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the response has waited")
	}
	revive()
	<-ended
}

// Here each client disconnects before its turn, so the source must send nothing.
func TestSourceWaitsForItsTurnInThePipeline(t *testing.T) {
	s := NewSource(serve(t, Options{Root: tree(t, map[string]string{"a.txt": "content"})}), false)
	loop := looptest.New(t)
	looptest.Run(t, loop, func() {})
	for _, c := range []*exchangetest.Client{{Waits: true}, {Loop: loop}} {
		looptest.Do(loop, func() {
			x := c.Exchange("GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n", "")
			x.Source = s
			s.Start(x)
			x.Abandon()
		})
		time.Sleep(20 * time.Millisecond)
		looptest.Do(loop, func() { checktest.Truef(t, len(c.Parts)+len(c.Replies) <= 0, "%+v", c) })
	}
}

func TestUnreadableFileIsForbidden(t *testing.T) {
	root := tree(t, map[string]string{"a": "x", "d/b": "x", "open": "x"})
	checktest.Must(t, os.Chmod(root+"/a", 0), os.Chmod(root+"/d", 0))
	t.Cleanup(func() { os.Chmod(root+"/d", 0o755) })
	for dir := filepath.Dir(root); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		checktest.Must(t, os.Chmod(dir, 0o755))
	}
	f := serve(t, Options{Root: root})
	var group sync.WaitGroup
	group.Go(func() {
		// Root may read every file, so this test changes the file system user of its thread. The Go runtime ends the
		// thread with the goroutine, because the goroutine stays locked to the thread.
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			checktest.Equal(t, syscall.Setfsuid(65534), nil)
		}
		for target, status := range map[string]int{"/a": 403, "/d/b": 403, "/open": 200} {
			for _, method := range []string{"GET", "HEAD"} {
				a := open(t, f, request(t, "", method, target))
				if method == "HEAD" && target == "/a" {
					continue
				}
				checktest.Equalf(t, a.status, status, "%s %s: %+v", method, target, a)
			}
		}
	})
	group.Wait()
}
