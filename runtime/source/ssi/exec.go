package ssi

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"fapws/runtime/source/programs"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// Maximum output of a program in a page and in the log, in bytes.
const (
	maxCommandOutput = 8 << 20
	maxComplaints    = 64 << 10
)

// exec writes the output of a program: of the shell (cmd) or of the server (cgi).
func (p *page) exec(e *element) {
	if !p.s.opt.AllowExec {
		p.fail("exec is not allowed")
		return
	}
	for _, a := range e.args {
		if !a.hasValue {
			return
		}
		var err error
		switch a.name {
		case "cmd":
			err = p.command(p.expand(unescapeHTML(a.value), true))
		case "cgi":
			err = p.insert(p.cgiTarget(p.substitute(unescapeHTML(a.value))))
		default:
			p.unknown(e, a)
			return
		}
		if p.stopped {
			return
		}
		if err != nil {
			p.fail("exec %s %q: %v", a.name, a.value, err)
			return
		}
	}
}

// cgiTarget returns the target for exec cgi: the program gets the query of the
// page.
func (p *page) cgiTarget(name string) string {
	path, _, _ := strings.Cut(p.target(name), "?")
	if q := p.r.Query(); q != "" {
		path += "?" + q
	}
	return path
}

// command runs a command of the shell in the page's folder. The variables are its environment; its standard error
// goes to the log. Nothing that it has started is left behind.
func (p *page) command(line string) error {
	select {
	case p.s.slots <- struct{}{}:
		defer func() { <-p.s.slots }()
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
	stdin, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer stdin.Close()
	out, err := newScratch(maxCommandOutput)
	if err != nil {
		return err
	}
	defer out.Close()
	complaints, err := newScratch(maxComplaints)
	if err != nil {
		return err
	}
	defer complaints.Close()
	dir := filepath.Join(p.s.opt.Root, folder(p.f.name))
	child, err := programs.StartProcess("/bin/sh", []string{"sh", "-c", line}, p.environment(), dir, [3]*os.File{stdin, out, complaints})
	if err != nil {
		return err
	}
	err = p.await(child)
	text, _ := scratchText(complaints, maxComplaints)
	for line := range strings.Lines(text) {
		p.log("exec: %s", strings.TrimSpace(line))
	}
	text, full := scratchText(out, maxCommandOutput)
	p.write(text)
	if err == nil && full {
		err = fmt.Errorf("more than %d bytes", maxCommandOutput)
	}
	return err
}

// environment returns the variables for a command.
func (p *page) environment() []string {
	path := os.Getenv("PATH")
	if path == "" {
		path = "/usr/local/bin:/usr/bin:/bin"
	}
	env := []string{"PATH=" + path}
	p.vars.each(p.timefmt, func(name, value string) {
		if !strings.ContainsAny(name, "=\x00") && !strings.Contains(value, "\x00") && name != "PATH" {
			env = append(env, name+"="+value)
		}
	})
	return env
}

// await waits for the end of a program, which it makes come when the time is up. The status of the program does not
// matter.
func (p *page) await(child *os.Process) error {
	ended := make(chan struct{})
	go func() {
		system.AwaitExit(child.Pid) // it is not reaped, so that its number stays its own until below
		close(ended)
	}()
	var err error
	select {
	case <-ended:
	case <-p.ctx.Done():
		err = p.ctx.Err()
	}
	_ = unix.Kill(-child.Pid, unix.SIGKILL) // its session: also the processes that it has started
	<-ended
	if _, waitErr := child.Wait(); err == nil {
		err = waitErr
	}
	return err
}

// newScratch returns a file in memory for the output of a program, which cannot
// grow beyond a size.
func newScratch(size int64) (*os.File, error) {
	fd, err := system.MemoryFile("output of a page's program")
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "output")
	if err = f.Truncate(size); err == nil {
		err = system.SealSize(fd)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// scratchText returns the text of a scratch file, up to its position, and whether the file is full.
func scratchText(f *os.File, size int64) (text string, full bool) {
	n, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return "", false
	}
	b := make([]byte, min(n, size))
	k, _ := f.ReadAt(b, 0)
	return string(b[:k]), n > size-int64(os.Getpagesize()) // it may have been refused a part of a page
}
