// Command bench compares fapws with other servers on the same machine, including a minimal gnet server.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

type settings struct {
	apps    string
	work    string
	rounds  int
	length  time.Duration // length of a measurement in whole seconds, as wrk requires
	filters []string      // names of workloads and servers; empty means all
	json    string
	typed   string
}

func parseSettings() settings {
	var s settings
	seconds := flag.Int("seconds", 3, "length of one measurement")
	flag.IntVar(&s.rounds, "rounds", 3, "measurements of each server for each workload")
	flag.StringVar(&s.apps, "apps", "bench/apps", "folder of app.py and asgi.py")
	flag.StringVar(&s.json, "json", "", "file for the results")
	flag.StringVar(&s.typed, "typed", "", "command for the results")
	flag.StringVar(&venv, "venv", "build/peers", "virtual environment with the servers and frameworks of PyPI")
	packages := flag.Bool("packages", false, "print the Debian packages that are missing, and nothing else")
	flag.Usage = func() {
		fmt.Fprintf(os.Stderr, "usage: bench [--rounds N] [--seconds S] [--json FILE] [quick] [WORKLOAD|SERVER ...]\n"+
			"workloads: %s; tls: those with TLS; frameworks, raw, web, device: those of docs/performance.md, "+
			"page: all of them\n"+
			"servers: %s\n", strings.Join(workloadNames(), " "), strings.Join(serverNames(), " "))
	}
	arguments, words := os.Args[1:], []string(nil)
	for {
		_ = flag.CommandLine.Parse(arguments)
		if flag.NArg() == 0 {
			break
		}
		words, arguments = append(words, flag.Arg(0)), flag.Args()[1:]
	}
	if *packages {
		for _, name := range missingPackages() {
			fmt.Println(name)
		}
		os.Exit(0)
	}
	if i := slices.Index(words, "quick"); i >= 0 {
		words = slices.Delete(words, i, i+1)
		s.rounds, *seconds = 1, 1
	}
	words = expand(words)
	known := append(workloadNames(), serverNames()...)
	for _, word := range words {
		if !slices.Contains(known, word) {
			fmt.Fprintf(os.Stderr, "bench: unknown word %q\n", word)
			flag.Usage()
			os.Exit(2)
		}
	}
	s.filters = words
	s.length = time.Duration(*seconds) * time.Second
	return s
}

// wants reports whether the command line selects name. kind lists all names of workloads, or all names of servers. If
// the command line contains no name of this kind, all names of the kind are selected.
func (s *settings) wants(name string, kind []string) bool {
	asked := false
	for _, word := range s.filters {
		if word == name {
			return true
		}
		asked = asked || slices.Contains(kind, word)
	}
	return !asked
}

func main() {
	s := parseSettings()
	if err := run(s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(s settings) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	s.work = filepath.Dir(self)
	if s.apps, err = filepath.Abs(s.apps); err != nil {
		return err
	}
	if venv, err = filepath.Abs(venv); err != nil {
		return err
	}
	if err := prepareFiles(s.work); err != nil {
		return err
	}
	if err := s.prepareCertificate(); err != nil {
		return err
	}
	if err := raiseFileLimit(); err != nil {
		return err
	}
	if err := chooseCPUs(); err != nil {
		return err
	}
	if err := pinSelf(clientCPU); err != nil {
		return err
	}
	b := &bench{settings: s, results: map[key][]sample{}}
	for _, server := range servers {
		if !s.wants(server.name, serverNames()) {
			continue
		}
		if why := server.missing(); why != "" {
			b.leave(server.name + ": " + why)
			continue
		}
		b.servers = append(b.servers, server)
	}
	restore, err := useCongestionControl()
	if err != nil {
		return err
	}
	cleanUp := func() {
		stopAll()
		removeControlGroup()
		restore()
	}
	// An interrupt must stop the servers and restore the congestion control.
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		cleanUp()
		os.Exit(1)
	}()
	defer cleanUp()

	if s.json != "" {
		if err := waitUntilQuiet(loadAverage, 5*time.Minute, 5*time.Second); err != nil {
			return err
		}
	}
	m := machine()
	printMachine(m)
	for _, w := range workloads {
		if s.wants(w.name, workloadNames()) {
			if err := b.measure(w); err != nil {
				return err
			}
		}
	}
	b.printTargets()
	if s.json == "" {
		return nil
	}
	r := b.export(m)
	for _, line := range r.Unsteady() {
		fmt.Fprintln(os.Stderr, "bench: not shown in docs/performance.md:", line)
	}
	return r.SaveInto(s.json)
}
