package pool

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/logfile"
)

// replacedKind is the kind of a supervisor for process.Replace.
const replacedKind = "supervisor"

// Handover is the state that a supervisor passes to the program that replaces it.
type Handover struct {
	Protocol  int
	Since     time.Time
	Want      int
	Adopted   int
	Deaths    int
	Recycled  int
	Settled   Settled
	Addresses []string
	Workers   []workerState
	// descriptors of the listening sockets, of the workers' channels, and of the files from Options.BeforeExec
	Files   []int
	Ignored []syscall.Signal
	Signals []syscall.Signal // signals that arrived but that the previous program has not handled
	State   []byte
	// epoch of the event numbers; empty if the program had no channels
	Epoch     string
	Seq       uint64
	BrokerURL string
	Rates     int // descriptor of Pool.rates, which is also in the field Files; 0 without a table
}

// Broker returns the epoch and the last event number of the previous program if that program used the broker with this
// URL. Otherwise epoch is ""; h may be nil.
func (h *Handover) Broker(url string) (epoch string, last uint64) {
	if h == nil || h.BrokerURL != url {
		return "", 0
	}
	return h.Epoch, h.Seq
}

// workerState is the part of a worker that an upgrade passes to the next program.
type workerState struct {
	Pid     int
	Role    Role // Start.Role; Plain when the application has loaded later
	State   State
	Exit    exit
	Belief  belief
	Started time.Time
	Listens bool
	Joined  bool
	Wants   string // the certificates that the worker has requested; "" if none
	Counts  map[string]int64
	Parts   []byte // the parts of an incomplete message (Channel.parts); set only for an upgrade
}

func Upgraded() bool { return process.HasReplaced(replacedKind) }

// Inherited returns the Handover from the previous program, or nil if this program has not replaced another program.
func Inherited() (*Handover, error) {
	h := new(Handover)
	switch found, err := process.Left(replacedKind, h); {
	case err != nil || !found:
		return nil, err
	case h.Protocol != Protocol:
		return nil, fmt.Errorf("the previous program speaks protocol %d, this one %d", h.Protocol, Protocol)
	}
	return h, nil
}

// Left returns the files that Options.BeforeExec of the previous program returned. Left must be called only once,
// because each call returns new files for the same descriptors.
func (h *Handover) Left() (files []*os.File) {
	for _, fd := range h.Files[len(h.Addresses)+len(h.Workers):] {
		unix.CloseOnExec(fd)
		if fd == h.Rates {
			continue
		}
		files = append(files, os.NewFile(uintptr(fd), "left by the previous program"))
	}
	return files
}

const handOverAgain = 20 * time.Millisecond

func handOver(p *Pool) error {
	h := &Handover{Protocol: Protocol, Since: p.since, Want: p.want, Adopted: p.adopted, Deaths: p.deaths,
		Recycled: p.recycled, Settled: p.settled, Ignored: p.signals.ignored, Epoch: p.relay.epoch, Seq: p.relay.seq}
	if p.o.Broker != nil {
		h.BrokerURL = p.o.Broker.String()
	}
	defer func() {
		for _, fd := range h.Files {
			unix.Close(fd)
		}
	}()
	var pass []syscall.Conn
	for _, a := range p.addresses {
		h.Addresses, pass = append(h.Addresses, a.Name), append(pass, a.Socket)
	}
	for _, w := range p.workers {
		w.Parts = w.channel.parts
		h.Workers, pass = append(h.Workers, w.workerState), append(pass, w.channel)
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
	if p.rates != nil {
		rates, err := duplicate(p.rates, unix.F_DUPFD)
		if err != nil {
			return err
		}
		h.Rates, h.Files = rates, append(h.Files, rates)
	}
	return process.Replace(replacedKind, append(os.Environ(), settings.KeptVariable+"="+p.o.Kept), func() any {
		h.Signals = p.signals.pending()
		if p.next != nil {
			h.Signals = append(h.Signals, syscall.SIGHUP)
		}
		return h
	})
}

func (h *Handover) resume(p *Pool) {
	p.since, p.want, p.adopted, p.settled = h.Since, h.Want, h.Adopted, h.Settled
	p.deaths, p.recycled = h.Deaths, h.Recycled
	if h.Epoch != "" && p.o.Broker == nil {
		p.relay.epoch, p.relay.seq = h.Epoch, h.Seq
	}
	for i, name := range h.Addresses {
		unix.CloseOnExec(h.Files[i])
		p.addresses = append(p.addresses, NamedSocket{name, os.NewFile(uintptr(h.Files[i]), name)})
	}
	if h.Rates > 0 {
		p.rates = os.NewFile(uintptr(h.Rates), "rate limits")
	} else { // the previous program has passed no table
		p.createRates()
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
		w := newWorker(p, &exec.Cmd{Process: child}, channel)
		w.workerState = one
		w.Counts = nil // until relay.count
		w.channel.parts, w.awakeSince = one.Parts, time.Now()
		w.watch()
		p.relay.count(w, one.Counts)
		switch {
		case w.State >= Retiring:
			w.setExit(closed)
			w.within(p.settled.GracefulTimeout+endMargin, "does not end")
		case w.Exit == leaves: // clients wait until it has loaded
			w.within(p.settled.GracefulTimeout+endMargin, "does not load")
		case w.State < Serving: // the worker was loading as the replacement of a worker that had died
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
