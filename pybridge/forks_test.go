package pybridge

import (
	"fmt"
	"os"
	"os/exec"
	goruntime "runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Go's garbage collector runs every two minutes while the loader waits for requests to fork a worker.
func TestLoaderKeepsItsSocketDuringCollections(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer ours.Close()
	begin, started, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), "FAPWS_TEST_MODE=fork")
	server.ExtraFiles = []*os.File{theirs, begin}
	server.Stderr = os.Stderr
	collected, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	begin.Close()
	child, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	said, reports, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	rights := unix.UnixRights(child[0], child[0], int(reports.Fd()))
	if err := unix.Sendmsg(fds[0], make([]byte, 4), rights, nil, 0); err != nil {
		t.Fatal(err)
	}
	reports.Close()
	message := make([]byte, 64)
	if n, err := said.Read(message); n == 0 {
		t.Fatal("no report of a child: ", err)
	}
	unix.Close(child[0])
	unix.Close(child[1])
	started.Close()
	if n, err := collected.Read(message); n == 0 {
		t.Fatal("the loader has exited: ", err)
	}
	ours.Close()
	if err := server.Wait(); err != nil {
		t.Error(err)
	}
}

// serveForks runs in the child process of TestLoaderKeepsItsSocketDuringCollections. The descriptors 3 and 4 of the
// child are a socket and a pipe of the test.
func serveForks() (code int) {
	app, err := Load(Options{Apps: []Application{{Script: "testdata/second/app.py"}}})
	if err == nil {
		go collectGarbage(os.NewFile(4, "begin"))
		err = app.ServeForks(RunConfig{}, os.NewFile(3, "control"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return app.Close()
}

func collectGarbage(begin *os.File) {
	_, _ = begin.Read(make([]byte, 1))
	for range 3 {
		done := make(chan struct{})
		goruntime.SetFinalizer(&[]byte{0}, func(*[]byte) { close(done) })
		goruntime.GC()
		<-done
	}
	if _, err := unix.FcntlInt(3, unix.F_GETFD, 0); err == nil {
		fmt.Println("collected")
	}
}
