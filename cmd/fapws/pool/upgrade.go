package pool

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/logfile"
)

// handoverVariable is the variable of the environment by which a program knows
// that it takes the place of another one in the same process: its value is the
// descriptor of a file with a Handover.
const handoverVariable = "_FAPWS_HANDOVER"

// Handover is the state that a supervisor leaves to the program that takes its place: the process, its children and
// its descriptors are the same.
type Handover struct {
	Protocol  int
	Since     time.Time
	Want      int
	Adopted   int
	Deaths    int
	Recycled  int
	Settled   Settled
	Addresses []string // as Address.Name
	Workers   []handoverWorker
	Files     []int            // descriptors: of the addresses, of the channels of the workers, and of what Options.BeforeExec returned
	Ignored   []syscall.Signal // since the start
	Signals   []syscall.Signal // that came at the last moment
	State     []byte           // that Options.BeforeExec returned
	Epoch     string           // of the numbers of events; "": that program had no channels
	Seq       uint64           // the last number
	BrokerURL string           // of its broker
}

// Broker returns the epoch and the last number of events of the broker whose URL is url; "" if the program before had none, or another one. A
// nil Handover has none.
func (h *Handover) Broker(url string) (epoch string, last uint64) {
	if h == nil || h.BrokerURL != url {
		return "", 0
	}
	return h.Epoch, h.Seq
}

type handoverWorker struct {
	Pid     int
	State   State
	Started time.Time
	Listens bool
	Joined  bool
	Wants   string // certificates
	Counts  map[string]int64
	Parts   []byte // of a message that has not come to its end: see Channel.parts
}

// handover describes w for the next program, which inherits its channel.
func (w *worker) handover() handoverWorker {
	return handoverWorker{Pid: w.pid, State: w.state, Started: w.started, Listens: w.listens, Joined: w.joined, Wants: w.wants, Counts: w.counts, Parts: w.channel.parts}
}

// maxHandover bounds the state of a program, in bytes. Parts of events are most of it.
const maxHandover = 1 << 30

// Upgraded reports whether Inherited returns a Handover.
func Upgraded() bool { return os.Getenv(handoverVariable) != "" }

// Inherited returns the Handover that this program was started with, or nil.
func Inherited() (*Handover, error) {
	text := os.Getenv(handoverVariable)
	if text == "" {
		return nil, nil
	}
	os.Unsetenv(handoverVariable)
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("%s=%s: not a descriptor", handoverVariable, text)
	}
	f := os.NewFile(uintptr(fd), "handover")
	defer f.Close()
	h := new(Handover)
	if err := json.NewDecoder(io.NewSectionReader(f, 0, maxHandover)).Decode(h); err != nil {
		return nil, fmt.Errorf("state of the previous program: %w", err)
	}
	if h.Protocol != Protocol {
		return nil, fmt.Errorf("the previous program speaks protocol %d, this one %d", h.Protocol, Protocol)
	}
	return h, nil
}

// Left returns the files that Options.BeforeExec of the program before returned. It must be called once only.
func (h *Handover) Left() (files []*os.File) {
	for _, fd := range h.Files[len(h.Addresses)+len(h.Workers):] {
		unix.CloseOnExec(fd)
		files = append(files, os.NewFile(uintptr(fd), "left by the previous program"))
	}
	return files
}

// beginHandOver ends the readers of all channels, so that the next program gets all messages from now on.
func (p *Pool) beginHandOver() {
	p.handing = true
	for _, w := range p.workers {
		w.channel.interrupt()
	}
	p.maybeHandOver()
}

// handOverAgain is the pause after which the next program may be able to take over.
const handOverAgain = 20 * time.Millisecond

// maybeHandOver replaces this program by the next one, as soon as all channels are idle.
func (p *Pool) maybeHandOver() {
	if !p.handing || p.stopping {
		return
	}
	waits := p.o.Broker != nil && !p.o.Broker.Idle() // it may be away: events must not be lost
	for _, w := range p.workers {
		if !w.idle || w.reaped { // the next program could not wait for it
			return // it calls again
		}
		waits = waits || w.out.bytes.Load() > 0
	}
	if waits {
		time.AfterFunc(handOverAgain, func() { p.post(p.maybeHandOver) })
		return
	}
	err := p.handOver() // returns only if it fails
	p.o.Log(logfile.Error, fmt.Sprintf("cannot start the new version: %v; the new workers keep serving under the old program", err))
	p.handing = false
	for _, w := range p.workers {
		w.idle = false
		w.channel.resume()
		go w.receive()
	}
	p.level()
	p.maybeBegin()
}

func (p *Pool) handOver() error {
	h := &Handover{Protocol: Protocol, Since: p.since, Want: p.want, Adopted: p.adopted, Deaths: p.deaths, Recycled: p.recycled, Settled: p.settled, Ignored: p.signals.ignored, Epoch: p.relay.epoch, Seq: p.relay.seq}
	if p.o.Broker != nil {
		h.BrokerURL = p.o.Broker.String()
	}
	defer func() { // they are duplicates, which exec does not close
		for _, fd := range h.Files {
			unix.Close(fd)
		}
	}()
	var pass []syscall.Conn
	for _, a := range p.addresses {
		h.Addresses, pass = append(h.Addresses, a.Name), append(pass, a.Socket)
	}
	for _, w := range p.workers {
		h.Workers, pass = append(h.Workers, w.handover()), append(pass, w.channel)
	}
	note, err := unix.MemfdCreate("fapws handover", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(note)
	if _, err := unix.FcntlInt(uintptr(note), unix.F_SETFD, 0); err != nil { // the next program inherits it
		return err
	}
	if err := os.Chdir(p.o.Dir); err != nil {
		return err
	}
	state, files := p.o.BeforeExec()
	h.State = state
	for _, c := range append(pass, files...) {
		fd, err := duplicate(c, unix.F_DUPFD)
		if err != nil {
			return err
		}
		h.Files = append(h.Files, fd)
	}
	defer block(controlSignals)()
	h.Signals = p.signals.pending()
	if p.next != nil {
		h.Signals = append(h.Signals, syscall.SIGHUP)
	}
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if _, err := unix.Pwrite(note, text, 0); err != nil {
		return err
	}
	cmd := process.Again(true, process.Arguments()...)
	if cmd.Err != nil {
		return cmd.Err
	}
	return syscall.Exec(cmd.Path, cmd.Args, append(cmd.Env, handoverVariable+"="+strconv.Itoa(note), settings.KeptVariable+"="+p.o.Kept))
}

// resume goes on where the program before has ended.
func (p *Pool) resume(h *Handover) {
	p.since, p.want, p.adopted, p.settled = h.Since, h.Want, h.Adopted, h.Settled
	p.deaths, p.recycled = h.Deaths, h.Recycled
	if h.Epoch != "" && p.o.Broker == nil {
		p.relay.epoch, p.relay.seq = h.Epoch, h.Seq
	}
	for i, name := range h.Addresses {
		unix.CloseOnExec(h.Files[i])
		p.addresses = append(p.addresses, Address{name, os.NewFile(uintptr(h.Files[i]), name)})
	}
	for i, one := range h.Workers {
		fd := h.Files[len(h.Addresses)+i]
		unix.CloseOnExec(fd)
		channel, err := NewChannel(fd)
		child, findErr := os.FindProcess(one.Pid)
		if err != nil || findErr != nil {
			p.o.Log(logfile.Error, fmt.Sprintf("worker %d is lost: %v %v", one.Pid, err, findErr))
			continue
		}
		w := p.newWorker(&exec.Cmd{Process: child}, channel)
		w.state, w.started, w.listens, w.wants = one.State, one.Started, one.Listens, one.Wants
		if w.state >= Retiring {
			w.closed = true
			w.within(p.settled.GracefulTimeout+endMargin, "does not end")
		}
		w.joined, w.channel.parts, w.confined, w.awakeSince = one.Joined, one.Parts, true, time.Now()
		p.watch(w)
		p.count(w, one.Counts)
		if w.state < Serving { // it was to replace one that died meanwhile
			w.end(Quit)
		}
	}
	p.o.Log(logfile.Info, "upgraded: "+Count(p.want, "worker"))
	p.o.Up(p.addresses, true)
	p.level()
	p.share()
	for _, sig := range h.Signals {
		p.signal(sig)
	}
}
