package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
)

// A starter is a process that stays root after the supervisor has given root up, and starts the applications, because
// each of them switches to a user of its own. It executes only the commands that it got before it started the first one,
// and sends signals only to the processes that it has started.
type starter struct {
	channel   *pool.Channel
	questions pool.Questions
}

// A launch is a command that the starter may execute. It contains no descriptors.
type launch struct {
	Name, Path string
	Args, Env  []string
	Stop       time.Duration
}

func (l *launch) is(other *launch) bool {
	return l.Name == other.Name && l.Path == other.Path && slices.Equal(l.Args, other.Args)
}

// command returns the process of l, which is not started yet. files are the insides of its doors and its standard error.
func (l *launch) command(files []*os.File) *exec.Cmd {
	cmd := &exec.Cmd{Path: l.Path, Args: l.Args, Env: l.Env, Dir: "/", Stdout: os.Stdout, Stderr: files[2],
		ExtraFiles: files[:2]}
	// The process leads a group, so that its descendants can be killed. It ends with this process, unless it changes its
	// user.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	return cmd
}

const starterVariable = "_FAPWS_STARTER"

// Kinds of messages between a supervisor and its starter. The Text is the name of an application.
const (
	named   pool.Kind = "named"   // Raw has all commands, as JSON; the first message
	begins  pool.Kind = "begins"  // execute the command in Raw with the attached files; answered with the process ID in N
	signals pool.Kind = "signals" // send signal N to the process, or to its group if Hung is true
	ended   pool.Kind = "ended"   // the process N has ended with the wait status ID
)

// startStarter must be called while this process is root.
func startStarter(commands []launch) (*starter, error) {
	channel, theirs, err := pool.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := process.Again(false, "starts applications as root")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
	cmd.Env = append(cmd.Env, starterVariable+"="+strconv.Itoa(len(cmd.ExtraFiles)+2))
	if err := cmd.Start(); err != nil {
		channel.Close()
		return nil, err
	}
	text, _ := json.Marshal(commands)
	return &starter{channel: channel}, channel.Send(&pool.Message{Kind: named, Raw: text})
}

// listen passes the messages of the starter on, and returns when the starter has ended.
func (s *starter) listen(reaped func(pid int, status unix.WaitStatus)) {
	for {
		m, files, err := s.channel.Receive()
		pool.CloseFiles(files)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return // an upgrade
		case err != nil:
			s.channel.Close()
			return
		case m.Kind == ended:
			reaped(m.N, unix.WaitStatus(m.ID))
		default:
			s.questions.Answered(m)
		}
	}
}

const startWithin = 10 * time.Second

// start makes the starter execute l, and returns the ID of the process.
func (s *starter) start(l *launch, files []*os.File) (pid int, err error) {
	var fds []int
	for _, f := range files {
		fd, err := pool.Duplicate(f)
		if err != nil {
			return 0, err
		}
		fds = append(fds, fd)
	}
	text, _ := json.Marshal(l)
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	answer := s.questions.Ask(ctx, pool.Message{Kind: begins, Raw: text}, func(m *pool.Message) { _ = s.channel.Send(m, fds...) })
	for _, fd := range fds {
		unix.Close(fd)
	}
	switch {
	case answer == nil:
		return 0, errors.New("the process that starts applications as root does not answer")
	case answer.Text != "":
		return 0, errors.New(answer.Text)
	}
	return answer.N, nil
}

func (s *starter) signal(name string, sig syscall.Signal, group bool) {
	_ = s.channel.Send(&pool.Message{Kind: signals, Text: name, N: int(sig), Hung: group})
}

func StarterWanted() bool { return os.Getenv(starterVariable) != "" }

// RunStarter runs the process of a starter. It must be called on the main thread, which starts all processes.
func RunStarter() error {
	process.TakeName()
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGPIPE)
	text := os.Getenv(starterVariable)
	os.Unsetenv(starterVariable)
	fd, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("%s=%s is not from a supervisor", starterVariable, text)
	}
	unix.CloseOnExec(fd)
	channel, err := pool.NewChannel(fd)
	if err != nil {
		return fmt.Errorf("%s=%d is not from a supervisor: %w", starterVariable, fd, err)
	}
	m, _, err := channel.Receive()
	var commands []launch
	if err == nil {
		err = json.Unmarshal(m.Raw, &commands)
	}
	if err != nil {
		return nil // the supervisor has ended
	}
	r := &started{channel: channel, commands: commands, running: map[string]*exec.Cmd{}}
	for {
		m, files, err := channel.Receive()
		if err != nil {
			break
		}
		switch m.Kind {
		case begins:
			r.begin(m, files)
		case signals:
			r.send(m.Text, syscall.Signal(m.N), m.Hung)
		}
		pool.CloseFiles(files)
	}
	r.end()
	return nil
}

// started holds the processes that a starter has started.
type started struct {
	channel  *pool.Channel
	commands []launch

	mu      sync.Mutex
	running map[string]*exec.Cmd
	all     sync.WaitGroup
}

func (r *started) begin(m *pool.Message, files []*os.File) {
	answer := &pool.Message{Kind: begins, ID: m.ID}
	var asked launch
	_ = json.Unmarshal(m.Raw, &asked)
	i := slices.IndexFunc(r.commands, func(l launch) bool { return l.is(&asked) })
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case i < 0:
		answer.Text = "its table has changed since the server was started as root; restart the server"
	case r.running[asked.Name] != nil || len(files) != 3:
		answer.Text = "its process still runs"
	default:
		cmd := r.commands[i].command(files)
		if err := cmd.Start(); err != nil {
			answer.Text = err.Error()
			break
		}
		r.running[asked.Name], answer.N = cmd, cmd.Process.Pid
		r.all.Go(func() { r.await(asked.Name, cmd) })
	}
	_ = r.channel.Send(answer)
}

func (r *started) await(name string, cmd *exec.Cmd) {
	_ = cmd.Wait()
	r.mu.Lock()
	delete(r.running, name)
	_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // descendants that have not ended
	r.mu.Unlock()
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	_ = r.channel.Send(&pool.Message{Kind: ended, N: cmd.Process.Pid, ID: uint64(status)})
}

func (r *started) send(name string, sig syscall.Signal, group bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if cmd := r.running[name]; cmd != nil && group {
		_ = unix.Kill(-cmd.Process.Pid, sig)
	} else if cmd != nil {
		_ = cmd.Process.Signal(sig)
	}
}

// end stops all processes, because the supervisor has ended.
func (r *started) end() {
	longest := time.Duration(0)
	for _, l := range r.commands {
		r.send(l.Name, syscall.SIGTERM, false)
		longest = max(longest, l.Stop)
	}
	killing := time.AfterFunc(longest, func() {
		for _, l := range r.commands {
			r.send(l.Name, syscall.SIGKILL, true)
		}
	})
	r.all.Wait()
	killing.Stop()
}
