package programs

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"

	"fapws/runtime/backend"
)

// PHPOptions describe a folder of PHP scripts.
type PHPOptions struct {
	// Command is the program, looked for in PATH unless it has a slash. "": php-cgi.
	Command string

	// Args are for the program: "-d", "memory_limit=64M".
	Args []string

	// Root is the folder. Match are patterns for the names of scripts, none:
	// "*.php"; Index those that answer for a folder, none: "index.php".
	ScriptOptions
	Site // DocumentRoot "": Root

	// Front is a script below Root that answers for all paths that no script is
	// found for: "/index.php". "": 404.
	Front string

	// EachOne starts a process for each request.
	EachOne bool

	// Children is how many processes there may be. They are started as requests
	// need them, and end when they have been idle. 0: 4.
	Children int

	// MaxRequests is after how many requests a process is replaced. 0: 500.
	MaxRequests int

	// Idle is after how long a process that does nothing is ended. 0: 5 minutes.
	Idle time.Duration

	// Timeout, Env and Log are as in programs.CGIOptions, Waiting as in programs.FastCGIOptions.
	Timeout time.Duration
	Env     []string
	Waiting int
	Log     func(client, line string)
}

// Defaults of Options.
const (
	DefaultCommand     = "php-cgi"
	DefaultChildren    = 4
	DefaultMaxRequests = 500
	DefaultIdle        = 5 * time.Minute
)

// PHP is a backend.Responder.
type PHP struct {
	o       PHPOptions
	answers backend.Responder
	fast    *FastCGI // nil with EachOne
	manager *manager
}

// NewPHP opens the folder. The error is one line. A missing program is
// none: see Missing.
func NewPHP(o PHPOptions) (*PHP, error) {
	defaults(&o)
	scripts, err := NewScripts(o.ScriptOptions)
	if err != nil {
		return nil, err
	}
	if o.DocumentRoot == "" {
		o.DocumentRoot = scripts.Root()
	}
	var front *Script
	if o.Front != "" {
		found, err := scripts.Find(o.Front)
		if err != nil {
			return nil, fmt.Errorf("front %q in %s: %w", o.Front, o.Root, err)
		}
		front = &found
	}
	p := &PHP{o: o}
	if o.EachOne {
		p.answers, err = NewCGI(CGIOptions{
			ScriptOptions: o.ScriptOptions,
			Site:          o.Site,
			Runner:        p.runner,
			Fallback:      front,
			Env:           append(slices.Clone(o.Env), redirectStatus),
			Timeout:       o.Timeout,
			Gate:          NewGate(o.Children, o.Waiting),
			Log:           o.Log,
		})
		return p, err
	}
	p.manager = &manager{
		o:       &p.o,
		argv:    o.Args,
		env:     append(Environment(), append(slices.Clone(o.Env), "PHP_FCGI_MAX_REQUESTS=0")...),
		gate:    NewGate(o.Children, o.Children),
		running: map[*phpProcess]bool{},
	}
	p.fast, err = NewFastCGI(FastCGIOptions{
		Dial:        p.manager.dial,
		Scripts:     scripts,
		Fallback:    front,
		Site:        o.Site,
		Params:      append(slices.Clone(o.Env), redirectStatus),
		Timeout:     o.Timeout,
		Connections: o.Children,
		Waiting:     o.Waiting,
		Idle:        o.Idle,
		MaxRequests: o.MaxRequests,
		Log:         o.Log,
	})
	p.answers = p.fast
	return p, err
}

// redirectStatus tells php-cgi that a server has chosen the script, not the client
// (cgi.force_redirect).
const redirectStatus = "REDIRECT_STATUS=200"

func defaults(o *PHPOptions) {
	if dir := os.Getenv("TMPDIR"); dir != "" { // opcache does not look there by itself
		o.Args = append([]string{"-d", "opcache.lockfile_path=" + dir}, o.Args...)
	}
	if o.Command == "" {
		o.Command = DefaultCommand
	}
	if len(o.Match) == 0 {
		o.Match = []string{"*.php"}
	}
	if len(o.Index) == 0 {
		o.Index = []string{"index.php"}
	}
	if o.Children == 0 {
		o.Children = DefaultChildren
	}
	if o.MaxRequests == 0 {
		o.MaxRequests = DefaultMaxRequests
	}
	if o.Idle == 0 {
		o.Idle = DefaultIdle
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Waiting == 0 {
		o.Waiting = DefaultWaiting
	}
}

// find looks for the program. It may be installed at any time.
func (o *PHPOptions) find() (string, error) {
	path, err := exec.LookPath(o.Command)
	if err == nil {
		return path, nil
	}
	text := o.Command + " is not installed"
	if o.Command == DefaultCommand {
		text += ": apt-get install php-cgi"
	}
	return "", FastCGIUnavailable(text)
}

// Missing says in one line that the program is not there, "" if it is.
func (p *PHP) Missing() string {
	if _, err := p.o.find(); err != nil {
		return err.Error()
	}
	return ""
}

// runner is programs.CGIOptions.Runner.
func (p *PHP) runner() ([]string, error) {
	program, err := p.o.find()
	if err != nil {
		return nil, err
	}
	return append([]string{program}, p.o.Args...), nil
}

// Respond implements backend.Responder.
func (p *PHP) Respond(w *backend.Response, r *backend.Request) { p.answers.Respond(w, r) }

// Close ends the processes; those that are in the middle of a request have
// Idle returns the number of connections to children that wait for a request. It is safe for concurrent use.
func (p *PHP) Idle() int {
	if p.fast == nil {
		return 0
	}
	return p.fast.Idle()
}

// grace. Any goroutine.
func (p *PHP) Close(grace time.Duration) {
	if p.fast != nil {
		p.fast.Close()
		p.manager.close(grace)
	}
}
