package programs

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
)

type Common struct {
	SiteVariables

	// Timeout is how long a program may run without writing output. 0 means 30 s.
	Timeout time.Duration

	// Log writes a line about an error, or of a program's standard error, to the error log. client is the address of
	// the client, such as "192.0.2.7:4711", or "". Log is called on any goroutine.
	Log func(client, line string)
}

type CGIOptions struct {
	ScriptOptions
	Common

	// Interpreters maps file name extensions, including the dot, to the command of an interpreter without the script,
	// which becomes the last argument: ".pl": {"/usr/bin/perl", "-w"}. Such a script need not be executable.
	Interpreters map[string][]string

	// Runner, if not nil, returns the command of a program that runs every script, and that finds the script's path in
	// the variable SCRIPT_FILENAME. If the error has the type Unavailable, its text is sent to the client.
	Runner func() ([]string, error)

	// Fallback is the script for paths without a script. nil means a response with status 404 or 403.
	Fallback *Script

	// Env contains additional environment variables for programs, as "NAME=value". From the server, programs inherit
	// only the variables that Environment returns.
	Env []string `key:"env" is:"pairs"`

	// Places limits the running programs; NewCGI replaces nil by one with defaultRunning and DefaultWaiting.
	Places *Places
}

const (
	DefaultTimeout = 30 * time.Second
	defaultRunning = 16
	DefaultWaiting = 256
)

// passed lists the environment variables that programs inherit from the server; other variables may contain secrets.
var passed = []string{"LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TMPDIR", "TZ"}

const sanePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

type Unavailable string

func (e Unavailable) Error() string { return string(e) }

type CGI struct {
	o       CGIOptions
	scripts *Scripts
	env     []string
}

func NewCGI(o CGIOptions) (*CGI, error) {
	scripts, err := NewScripts(o.ScriptOptions)
	if err != nil {
		return nil, err
	}
	for extension, command := range o.Interpreters {
		if !strings.HasPrefix(extension, ".") || len(command) == 0 {
			return nil, fmt.Errorf("interpreter for %q: it must be a program for an extension such as .pl", extension)
		}
		program, err := exec.LookPath(command[0])
		if err == nil {
			program, err = filepath.Abs(program)
		}
		if err != nil {
			return nil, fmt.Errorf("interpreter for %q: program %s not found", extension, command[0])
		}
		o.Interpreters[extension] = append([]string{program}, command[1:]...)
	}
	o.DocumentRoot = cmp.Or(o.DocumentRoot, scripts.directory)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	if o.Places == nil {
		o.Places = NewPlaces(defaultRunning, DefaultWaiting)
	}
	return &CGI{o: o, scripts: scripts, env: append(Environment(), o.Env...)}, nil
}

// Check returns an error of one line if the configured program, or a program directly in the configured directory,
// cannot run.
func (c *CGI) Check() error {
	names := []string{c.scripts.Only}
	if names[0] == "" {
		files, err := fs.ReadDir(c.scripts.root.FS(), ".")
		if err != nil {
			return err
		}
		names = nil
		for _, f := range files {
			if !f.IsDir() && !strings.HasPrefix(f.Name(), ".") && c.scripts.matches(f.Name()) {
				names = append(names, f.Name())
			}
		}
	}
	for _, name := range names {
		info, err := c.scripts.stat(name)
		switch {
		case c.o.Interpreters[path.Ext(name)] != nil:
		// skip broken links and files that are not programs
		case err != nil || c.scripts.Only == "" && info.Mode()&0o111 == 0:
		case info.Mode()&0o111 == 0:
			err = fmt.Errorf("not executable; type chmod +x %s", filepath.Join(c.scripts.directory, name))
		default:
			err = c.interpreted(name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(c.scripts.directory, name), err)
		}
	}
	return nil
}

// interpreted returns an error if the first line of a program names an interpreter that does not exist. If this line
// ends with a carriage return, the kernel treats the carriage return as part of the interpreter's name.
func (c *CGI) interpreted(name string) error {
	f, err := c.scripts.root.Open(name)
	if err != nil {
		return nil // the file may be executable but not readable
	}
	defer f.Close()
	line, _ := bufio.NewReader(io.LimitReader(f, 256)).ReadString('\n')
	words := strings.Fields(strings.TrimPrefix(line, "#!"))
	if !strings.HasPrefix(line, "#!") || len(words) == 0 {
		return nil
	}
	if strings.HasSuffix(line, "\r\n") {
		return fmt.Errorf("its lines end as on Windows; type sed -i 's/\\r$//' %s",
			filepath.Join(c.scripts.directory, name))
	}
	if _, err := os.Stat(words[0]); err != nil {
		return fmt.Errorf("its interpreter %s does not exist; install it, or correct the first line", words[0])
	}
	return nil
}

// Environment returns the environment variables that programs inherit from the server, which always include PATH.
func Environment() []string {
	env := []string{"PATH=" + cmp.Or(os.Getenv("PATH"), sanePath)}
	for _, name := range passed {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func (c *CGI) Respond(w *backend.ResponseWriter, r *backend.Request) {
	respond(w, r, c.scripts, c.o.Fallback, &c.o.Common, "", c.run)
}

func (c *CGI) run(a *Forwarder, script *Script, log func(line string)) error {
	r := a.R
	command := c.o.Interpreters[path.Ext(script.File)]
	if command == nil && c.o.Runner == nil && !script.Executable {
		log("sent 403: the file is not executable; chmod +x " + script.File)
		return errForbidden
	}
	if err := c.o.Places.Enter(r.Context, r.Account()); err != nil {
		return err
	}
	p, err := c.start(r, script, command)
	if err != nil {
		c.o.Places.Leave(r.Account())
		if !errors.As(err, new(Unavailable)) {
			if name, e := filepath.Rel(c.scripts.directory, script.File); e == nil && command == nil {
				err = cmp.Or(c.interpreted(name), err)
			}
			hint := ""
			if errors.Is(err, unix.ENOEXEC) {
				hint = "; the first line of a script names its interpreter, such as #!/bin/sh"
			}
			err = fmt.Errorf("%w: %w%s", Unavailable("the program cannot be started"), err, hint)
		}
		return err
	}
	p.forOne = true
	lastWords.Go(func() {
		state, told := p.await()
		c.o.Places.Leave(r.Account())
		if state != nil && !told && !state.Success() {
			log(state.String())
		}
	})
	lastWords.Go(func() { logLines(p.err, maxLine, log) })
	stop := context.AfterFunc(r.Context, p.end)
	defer stop()
	defer p.out.Close()
	a.Raw = strings.HasPrefix(path.Base(script.File), "nph-")
	buf, sum := make([]byte, 32<<10), 0
	err = a.passAll(short, c.o.Timeout, func(wait time.Duration) error {
		n, err := p.read(buf, wait)
		if n > 0 {
			err = a.Write(buf[:n])
		}
		sum += n
		pauses, over := errors.Is(err, os.ErrDeadlineExceeded), err == nil && sum > MaxHead
		if over && a.head.Local || r.Parsed.Head && a.W.Started() && (over || pauses) {
			p.end() // the rest of the output is not sent
			return io.EOF
		}
		return err
	})
	if err != nil {
		p.end()
		return err
	}
	// the response is complete, but the program may still run and occupy its place; end it after the
	// timeout
	time.AfterFunc(c.o.Timeout, p.end)
	return nil
}

// The query is never passed as arguments, although RFC 3875 §4.4 requires it for a query without "=": some programs
// would interpret such arguments as options.
func (c *CGI) start(r *backend.Request, script *Script, command []string) (*process, error) {
	argv := append(slices.Clone(command), script.File)
	if c.o.Runner != nil {
		var err error
		if argv, err = c.o.Runner(); err != nil {
			return nil, err
		}
	}
	env := slices.Clone(c.env)
	Variables(r, &c.o.SiteVariables, script, func(name, value string) { env = append(env, name+"="+value) })
	stdin, err := input(r)
	if err != nil {
		return nil, err
	}
	if stdin != r.BodyFile() {
		defer stdin.Close()
	}
	return start(argv, env, filepath.Dir(script.File), stdin)
}

const short = 20 * time.Millisecond // how long output is kept back, so that more output can be sent with it

// respond finds the script for a request, calls run, and always ends the response. Without scripts
// (nil), log lines begin with the text other instead of the name of the script file.
func respond(w *backend.ResponseWriter, r *backend.Request, scripts *Scripts, fallback *Script, o *Common, other string,
	run func(*Forwarder, *Script, func(line string)) error) {
	script, err := Script{Info: r.Path[r.Script:], Base: r.Script}, error(nil)
	if scripts != nil {
		script, err = scripts.For(r, fallback)
	}
	client, name := r.Client(), cmp.Or(script.File, other)
	log := func(line string) { o.Log(client, name+": "+line) }
	w.Spools()
	a := &Forwarder{W: w, R: r}
	if err == nil {
		err = run(a, &script, log)
	}
	if err == nil {
		err = a.Redirect()
	}
	status, text, unavailable := 502, "", Unavailable("")
	switch {
	case err == nil || errors.Is(err, backend.ErrGone) || r.Context.Err() != nil:
		return
	case err == errNotFound:
		w.Refuse(404, "")
		return
	case err == errForbidden:
		w.Refuse(403, "")
		return
	case err == ErrBusy && !w.Started():
		refuse(w, "too many programs are running")
		return
	case errors.As(err, &unavailable):
		text = string(unavailable)
	case errors.Is(err, os.ErrDeadlineExceeded):
		status, err = 504, fmt.Errorf("no output for %v", o.Timeout)
		if other == "" { // the server has started the process itself
			err = fmt.Errorf("%w; terminated", err)
		}
	}
	log(err.Error())
	if w.Started() {
		w.Fail()
	} else {
		w.Refuse(status, text)
	}
}

// lastWords counts goroutines that log the standard error of programs, possibly after the end of the response.
var lastWords sync.WaitGroup

// Settle waits until the standard error of all programs is logged, but at most for the duration d, because a program
// may have left a process in the background. Settle is called on any goroutine after the last request, before the
// server exits.
func Settle(d time.Duration) {
	heard := make(chan struct{})
	go func() {
		lastWords.Wait()
		close(heard)
	}()
	select {
	case <-heard:
	case <-time.After(d):
	}
}

// ParseCGIOptions parses the options of a Python CGIApplication, except Site, Places and Log.
func ParseCGIOptions(text string) (o CGIOptions, err error) {
	var said struct {
		Path         string
		Timeout      float64 // seconds
		Interpreters map[string][]string
		Env          map[string]string
		Index        []string
	}
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		return o, err
	}
	o.Root, o.Index = said.Path, said.Index
	o.Timeout = time.Duration(said.Timeout * float64(time.Second))
	if info, err := os.Stat(said.Path); err == nil && !info.IsDir() {
		o.Root, o.Only = filepath.Dir(said.Path), filepath.Base(said.Path)
	}
	o.Interpreters = said.Interpreters
	for name, value := range said.Env {
		o.Env = append(o.Env, name+"="+value)
	}
	return o, nil
}

func refuse(w *backend.ResponseWriter, reason string) {
	w.Add(string(exchange.RetryAfter))
	w.Refuse(503, reason)
}
