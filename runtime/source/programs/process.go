package programs

// #include "spawn.h"
import "C"

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"fapws/runtime/backend"
)

const (
	grace = 2 * time.Second

	// lateOutput limits how long output is read after the end of a program, because background processes of the program
	// may hold the pipes open.
	lateOutput = 500 * time.Millisecond
)

// process is a running program. The program leads its own session, so that the server can end the program and its child
// processes together.
type process struct {
	child    *os.Process
	out, err *os.File // the server's ends of the pipes from the program's standard output and error
	// the program serves a single request or page, so its child processes are ended with it
	forOne bool
	// closed after the program was reaped; from then on, its process ID may belong to another process
	ended chan struct{}

	mu   sync.Mutex
	told bool
}

// onThread calls a function on the thread that starts all programs. In the sandbox, each thread has its own Landlock
// domain, and only threads in the domain that started a program can send signals to it (Linux 6.12).
func onThread(call func()) {
	done := make(chan struct{})
	programThread() <- func() {
		defer close(done)
		call()
	}
	<-done
}

var programThread = sync.OnceValue(func() chan<- func() {
	calls := make(chan func())
	go func() {
		runtime.LockOSThread()
		for call := range calls {
			call()
		}
	}()
	return calls
})

// signal sends a signal to the process or, if pid is negative, to the process group -pid. It is called only before the
// process is reaped.
func signal(pid int, sig unix.Signal) {
	if unix.Kill(pid, sig) == unix.EPERM {
		onThread(func() { _ = unix.Kill(pid, sig) })
	}
}

// terminate sends SIGTERM to the program and kills it after grace. If forOne is set, the child processes get the same
// signals. terminate is safe for concurrent use.
func (p *process) terminate(grace time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.told || p.hasEnded() {
		return
	}
	p.told = true
	to := p.child.Pid
	if p.forOne {
		to = -to
	}
	signal(to, unix.SIGTERM)
	time.AfterFunc(grace, p.kill)
}

func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.hasEnded() {
		p.told = true
		signal(-p.child.Pid, unix.SIGKILL)
	}
}

func (p *process) end() { p.terminate(grace) }

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// The result told reports whether the server has told the program to end; state is nil if the Python application in
// this process has already reaped the program. await is called once, on a separate goroutine.
func (p *process) await() (state *os.ProcessState, told bool) {
	// The process is not reaped yet, so its process group ID is not reused.
	for unix.Waitid(unix.P_PID, p.child.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.told && p.forOne {
		signal(-p.child.Pid, unix.SIGKILL)
	}
	state, _ = p.child.Wait()
	close(p.ended)
	if p.forOne {
		time.AfterFunc(lateOutput, func() {
			p.out.Close()
			p.err.Close()
		})
	}
	return state, p.told
}

// Output runs a program until its end, or the end of ctx, and returns its output. Output calls log for each line of
// standard error. It kills a program that writes too much; most is the limit in bytes. Output also ends all child
// processes of the program, and ignores the exit status.
func Output(ctx context.Context, argv, env []string, dir string, most int64, log func(line string)) (output []byte,
	err error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	p, err := start(argv, env, dir, null)
	if err != nil {
		return nil, err
	}
	defer p.out.Close()
	p.forOne, p.told = true, true // with both set, await ends the child processes
	var ended sync.WaitGroup
	ended.Go(func() { p.await() })
	ended.Go(func() { logLines(p.err, maxLine, log) })
	defer context.AfterFunc(ctx, p.kill)()
	output, _ = io.ReadAll(io.LimitReader(p.out, most+1)) // treat an error as the end of the output
	if int64(len(output)) > most {
		p.kill()
		output, err = output[:most], fmt.Errorf("more than %d bytes", most)
	}
	ended.Wait()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return output, err
}

func start(argv, env []string, dir string, stdin *os.File) (p *process, err error) {
	var ours, theirs [2]*os.File
	defer func() {
		theirs[0].Close()
		theirs[1].Close()
		if err != nil {
			ours[0].Close()
			ours[1].Close()
		}
	}()
	for i := range ours {
		if ours[i], theirs[i], err = pipe(); err != nil {
			return nil, err
		}
	}
	var child *os.Process
	onThread(func() { child, err = startProcess(argv[0], argv, env, dir, [3]*os.File{stdin, theirs[0], theirs[1]}) })
	if err != nil {
		return nil, err
	}
	return &process{child: child, out: ours[0], err: ours[1], ended: make(chan struct{})}, nil
}

// pipe returns a pipe from a program to the server, with a reading end that supports deadlines and a blocking writing
// end.
func pipe() (reader, writer *os.File, err error) {
	if reader, writer, err = os.Pipe(); err == nil {
		writer.Fd() // Fd makes the writing end blocking
	}
	return reader, writer, err
}

// input returns the request body as a file, positioned at its beginning. The program may read the file when it likes,
// or not at all, and no goroutine must feed it.
func input(r *backend.Request) (*os.File, error) {
	if r.Size == 0 {
		return os.Open(os.DevNull)
	}
	if f := r.BodyFile(); f != nil {
		_, err := f.Seek(0, io.SeekStart)
		return f, err
	}
	fd, err := unix.MemfdCreate("request body", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "request body")
	if _, err = io.Copy(f, r.Body()); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// If no output arrives within the duration wait, the error is os.ErrDeadlineExceeded. At the end of the output, read
// returns a different error, usually io.EOF.
func (p *process) read(buf []byte, wait time.Duration) (int, error) {
	p.out.SetReadDeadline(time.Now().Add(wait))
	n, err := p.out.Read(buf)
	if errors.Is(err, os.ErrClosed) {
		err = io.EOF
	}
	return n, err
}

const (
	// maximum length of a logged line, in bytes; the rest is discarded
	maxLine  = 1000
	maxLines = 200
)

// logLines calls log for each line. most limits the length of a line, in bytes and approximately; the rest is
// discarded.
func logLines(stderr io.ReadCloser, most int, log func(line string)) {
	defer stderr.Close()
	in := bufio.NewReaderSize(stderr, maxLine)
	for n := 0; ; {
		line, more, err := in.ReadLine()
		if err != nil { // treat an error as the end of the output
			if n > maxLines {
				log(fmt.Sprintf("... and %d more lines", n-maxLines))
			}
			return
		}
		whole := bytes.Clone(line)
		for more && len(whole) < most {
			line, more, _ = in.ReadLine()
			whole = append(whole, line...)
		}
		text := strings.TrimRight(string(whole), "\r \t")
		if more {
			text += "..."
		}
		for more {
			_, more, _ = in.ReadLine()
		}
		if text == "" {
			continue
		}
		if n++; n <= maxLines {
			log(text)
		}
	}
}

// startProcess runs the program at path, which is absolute, with argv and env ("NAME=value") in the directory dir, or
// the current directory if dir is "". The three files become the standard input, output and error of the new process,
// which has no other descriptors. In the new process, all signals have their default handlers and are not blocked, and
// the limit of open files is the server's original limit. The new process leads a new session, and is killed when the
// server dies. startProcess is safe for concurrent use. The error is of type *os.PathError.
//
// startProcess uses vfork, which copies no memory, so startProcess is fast even in a large process. The calling thread
// waits until the program has started.
func startProcess(path string, argv, env []string, dir string, files [3]*os.File) (*os.Process, error) {
	texts := slices.Concat([]string{path}, argv, env, []string{dir})
	if slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, "\x00") }) {
		return nil, &os.PathError{Op: "exec", Path: path, Err: syscall.EINVAL}
	}
	all := []byte(strings.Join(texts, "\x00") + "\x00")
	var fds [3]C.int
	for i, f := range files {
		conn, err := f.SyscallConn() // f.Fd would make the descriptor blocking
		if err == nil {
			err = conn.Control(func(fd uintptr) { fds[i] = C.int(fd) })
		}
		if err != nil {
			return nil, err
		}
	}
	pid, err := C.fapws_spawn((*C.char)(unsafe.Pointer(&all[0])), C.int(len(argv)), C.int(len(env)), fds[0], fds[1],
		fds[2])
	runtime.KeepAlive(files)
	if pid < 0 {
		return nil, &os.PathError{Op: "exec", Path: path, Err: err}
	}
	return os.FindProcess(int(pid))
}
