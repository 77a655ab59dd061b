package pool

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/logfile"
	"fapws/runtime/waittest"
)

// TestMain makes the test binary its own worker: a fake, which does what the
// file "behaviour" in the folder says that is its argument.
func TestMain(m *testing.M) {
	if text := os.Getenv(Variable); text != "" {
		number, _, _ := strings.Cut(text, ",")
		fd, err := strconv.Atoi(number)
		if err != nil {
			os.Exit(99)
		}
		channel, err := NewChannel(fd)
		if err != nil {
			os.Exit(98)
		}
		answers := eventloop.NewQueue(func(all []func()) {
			for _, send := range all {
				send()
			}
		})
		(&fake{channel: channel, answers: answers, folder: os.Args[1], counts: map[string]int64{}, knows: make(chan struct{})}).run()
	}
	os.Exit(m.Run())
}

// fake is a worker without an application. It answers every connection with
// its process number. As a worker does, it continues to read while the supervisor is slow to take its answers.
type fake struct {
	channel   *Channel
	answers   *eventloop.Queue[func()]
	folder    string
	listeners []net.Listener
	heard     strings.Builder  // of Events: "1:a 2:b "
	counts    map[string]int64 // of Counts
	heardAny  bool
	got       strings.Builder // of Certificates and Renewed: "certificates=text "
	knows     chan struct{}   // closed when it has the history
	last      uint64          // number of its last event
}

func (f *fake) run() {
	go f.load()
	f.obey()
}

// load follows the behaviour; "hang" lasts until the behaviour changes, and "deaf" is obey's.
func (f *fake) load() {
	protocol := Protocol
	for {
		behaviour, err := os.ReadFile(f.folder + "/behaviour")
		if err != nil {
			os.Exit(97)
		}
		switch what, how, _ := strings.Cut(string(behaviour), " "); what {
		case "hang":
			time.Sleep(time.Millisecond)
			continue
		case "exit":
			code, _ := strconv.Atoi(how)
			os.Exit(code)
		case "protocol":
			protocol, _ = strconv.Atoi(how)
		case "want":
			_ = f.channel.SendPieces(Certificates, 0, strings.Repeat(how, maxPiece))
		}
		_ = f.channel.Send(&Message{Kind: Join})
		<-f.knows
		_ = f.channel.Send(&Message{Kind: Loaded, Loaded: &Settled{Protocol: protocol, Grace: time.Minute}})
		return
	}
}

func (f *fake) obey() {
	for {
		m, files, err := f.channel.Receive()
		if err != nil {
			os.Exit(96)
		}
		switch m.Kind {
		case Listen:
			if m.Text == Instead {
				f.unlisten()
			}
			f.listen(files)
		case Retire, Stop:
			if behaviour, _ := os.ReadFile(f.folder + "/behaviour"); string(behaviour) == "deaf" {
				continue
			}
			for _, file := range files { // the successor hears what was heard here
				if to, err := ChannelOf(file); err == nil {
					_ = to.Send(&Message{Kind: Notice, Text: "subscribers of " + strconv.Itoa(os.Getpid()) + " "})
				}
			}
			f.unlisten()
			_ = f.channel.Send(&Message{Kind: Closed})
			os.Exit(0)
		case Quit:
			os.Exit(0)
		case Ask:
			switch m.Text {
			case "wear":
				_ = f.channel.Send(&Message{Kind: Recycle, Text: "is tired"})
			case "die":
				_ = f.channel.Send(&Message{Kind: Answer, ID: m.ID, Text: "the beginning", More: true})
				os.Exit(0)
			}
			what, about, _ := strings.Cut(m.Text, " ")
			switch what {
			case "publish", "flood":
				go f.publish(m.ID, what, about)
			case "heard":
				f.answer(m, f.heard.String())
			case "history":
				f.answer(m, fmt.Sprint(f.last))
			case "count":
				n, _ := strconv.Atoi(about)
				f.answers.Add(func() {
					_ = f.channel.SendCounts(map[string]int64{"news": int64(n), fmt.Sprint(os.Getpid()): 1})
				})
				f.answerLong(m)
			case "want":
				f.answers.Add(func() { _ = f.channel.SendPieces(Certificates, 0, strings.Repeat(about, maxPiece)) })
				f.answerLong(m)
			case "certificates":
				f.answer(m, f.got.String())
			case "counts":
				f.answer(m, fmt.Sprint(f.counts))
			default:
				f.answerLong(m)
			}
		case Events:
			if m.N == 0 {
				fmt.Fprintf(&f.heard, "%s-%d ", m.Text, m.ID)
				continue
			}
			if len(m.Raw) < 1000 {
				fmt.Fprintf(&f.heard, "%s-%d:%s ", m.Epoch, m.Seq, m.Raw)
			}
			f.heardAny = true
		case Counts:
			for name, n := range m.Counts {
				f.counts[name] = n
			}
		case Certificates, Renewed:
			text := m.Text
			if len(files) == 1 {
				shared, _ := ReadShared(files[0])
				text = string(shared)
			}
			CloseFiles(files)
			fmt.Fprintf(&f.got, "%s=%s ", m.Kind, text)
		case Take, Give:
			f.pass(m, files)
		}
	}
}

func (f *fake) answer(m *Message, text string) {
	f.answers.Add(func() { _ = f.channel.SendPieces(Answer, m.ID, text) })
}

// answerLong answers with more than a socket takes.
func (f *fake) answerLong(m *Message) { f.answer(m, strings.Repeat(m.Text, 50_000)) }

// publish sends so many events, each in a separate message, or as a flood so many
// of 100 KB.
func (f *fake) publish(id uint64, what, about string) {
	n, _ := strconv.Atoi(about)
	for i := range n {
		m := &Message{Kind: Publish, N: 1, Raw: make([]byte, 100_000)}
		if what == "publish" {
			m.Raw, m.ID = fmt.Appendf(nil, "%d/%d", os.Getpid(), i), uint64(i+1)
		}
		_ = f.channel.Send(m)
	}
	_ = f.channel.SendPieces(Answer, id, strings.Repeat(what+" "+about, 50_000))
}

// pass hands over the received events, as if they were history.
func (f *fake) pass(m *Message, files []*os.File) {
	if m.Text == History && m.Kind == Take {
		f.last = m.Seq
		defer close(f.knows)
	}
	if len(files) == 0 {
		return
	}
	c, err := ChannelOf(files[0])
	CloseFiles(files)
	if err != nil {
		os.Exit(94)
	}
	defer c.Close()
	if m.Kind == Give {
		_ = c.Send(&Message{Kind: Notice, Text: f.heard.String()})
		return
	}
	got, _, err := c.ReceiveWithin(patience)
	if err != nil {
		os.Exit(93)
	}
	if m.Text == History && f.heardAny {
		os.Exit(92) // it came too late
	}
	f.heard.WriteString(got.Text)
}

func (f *fake) listen(files []*os.File) {
	for _, file := range files {
		ln, err := net.FileListener(file)
		if err != nil {
			os.Exit(95)
		}
		f.listeners = append(f.listeners, ln)
		go answer(ln)
	}
}

func (f *fake) unlisten() {
	for _, ln := range f.listeners {
		ln.Close()
	}
	f.listeners = nil
}

func answer(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		fmt.Fprint(c, os.Getpid())
		c.Close()
	}
}

// house is a supervisor of fakes.
type house struct {
	*Pool
	t       *testing.T
	folder  string
	caught  *Signals
	address string
	ended   chan error // of Run

	mu  sync.Mutex
	log strings.Builder
}

// patience bounds the wait for events that should happen at once.
const patience = waittest.Patience

// start makes a supervisor and runs it. It has to have ended when the test
// idle are Options whose functions do nothing.
func idle() Options {
	return Options{
		Early:        func() []Address { return nil },
		Fits:         func(*Settled) string { return "" },
		Up:           func([]Address, bool) {},
		Attributes:   func() *syscall.SysProcAttr { return nil },
		Event:        func(Event) {},
		BeforeExec:   func() []*os.File { return nil },
		Certificates: func(string, bool) (*os.File, error) { return nil, os.ErrNotExist },
		Query:        func(string) string { return "answer" },
		LastWords:    func(int, string) {},
		Reopen:       func() {},
		Log:          func(logfile.Level, string) {},
	}
}

// ends.
func start(t *testing.T, behaviour string, change func(*Options)) *house {
	t.Helper()
	h := &house{t: t, folder: t.TempDir(), caught: &Signals{C: make(chan os.Signal, 16)}, ended: make(chan error, 1)}
	h.behave(behaviour)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := idle()
	o.Again = func(bool) *exec.Cmd { return exec.Command(program, h.folder) }
	o.Dir, o.Workers, o.LoadTimeout, o.Open, o.Log = h.folder, 2, patience, h.open, h.logged
	if change != nil {
		change(&o)
	}
	h.Pool = New(o)
	go func() { h.ended <- h.Run(h.caught, nil) }()
	t.Cleanup(func() {
		h.Stop()
		select {
		case <-h.over:
		case <-time.After(patience):
			t.Error("Run does not end")
		}
		if t.Failed() {
			t.Log(h.said())
		}
	})
	return h
}

// behave sets the behaviour of workers that are started from now on.
func (h *house) behave(text string) {
	h.t.Helper()
	// Whole or not at all, as one may be starting.
	if err := os.WriteFile(h.folder+"/next", []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(h.folder+"/next", h.folder+"/behaviour"); err != nil {
		h.t.Fatal(err)
	}
}

// open makes the socket of an address.
func (h *house) open(*Settled) ([]Address, error) {
	socket, err := conn.ListeningSocket("127.0.0.1:0", conn.DefaultListenOptions)
	if err != nil {
		return nil, err
	}
	ln, err := conn.ListenerFromFile(socket)
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.address = ln.Addr().String()
	return []Address{{Name: "here", Socket: socket}}, nil
}

func (h *house) logged(level logfile.Level, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fmt.Fprintln(&h.log, level, text)
}

func (h *house) said() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.String()
}

// says waits for a line in the log.
func (h *house) says(pattern string) {
	h.t.Helper()
	eventually(h.t, "it says "+pattern, func() bool { return regexp.MustCompile(pattern).MatchString(h.said()) })
}

// serving waits until n workers serve and no others live, and returns them.
func (h *house) serving(n int) (pids []int) {
	h.t.Helper()
	eventually(h.t, fmt.Sprint(n, " workers serve"), func() bool {
		pids = nil
		for _, w := range h.Status().Workers {
			if w.State != Serving {
				return false
			}
			pids = append(pids, w.Pid)
		}
		return len(pids) == n
	})
	return pids
}

// result waits for the end of Run.
func (h *house) result() error {
	h.t.Helper()
	select {
	case err := <-h.ended:
		return err
	case <-time.After(patience):
		h.t.Fatal("Run does not end")
		return nil
	}
}

func (h *house) kill(pid int, sig syscall.Signal) {
	h.t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		h.t.Fatal(err)
	}
}

// stop stops a worker: when it returns, no thread of it runs any more.
func (h *house) stop(pid int) {
	h.t.Helper()
	h.kill(pid, syscall.SIGSTOP)
	eventually(h.t, "a worker is stopped", func() bool {
		all, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, name := range all {
			text, _ := os.ReadFile(name)
			_, state, _ := strings.Cut(string(text), ") ")
			if !strings.HasPrefix(state, "T") {
				return false
			}
		}
		return err == nil && len(all) > 0
	})
}

var eventually = waittest.Eventually
