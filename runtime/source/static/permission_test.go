package static

import (
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

func TestUnreadableFileIsForbidden(t *testing.T) {
	root := tree(t, map[string]string{"a": "x", "d/b": "x", "open": "x"})
	for _, name := range []string{"/a", "/d"} {
		if err := os.Chmod(root+name, 0); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.Chmod(root+"/d", 0o755) })
	for dir := filepath.Dir(root); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f := serve(t, Options{Root: root})
	var group sync.WaitGroup
	group.Go(func() {
		// Root may read every file, so this test changes the file system user of its thread. The Go runtime ends the
		// thread with the goroutine, because the goroutine stays locked to the thread.
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			if err := syscall.Setfsuid(65534); err != nil {
				t.Error(err)
			}
		}
		for target, status := range map[string]int{"/a": 403, "/d/b": 403, "/open": 200} {
			for _, method := range []string{"GET", "HEAD"} {
				a := open(t, f, request(t, "", method, target))
				if method == "HEAD" && target == "/a" {
					continue
				}
				if a.status != status {
					t.Errorf("%s %s: %+v", method, target, a)
				}
			}
		}
	})
	group.Wait()
}
