package main

import (
	"fapws/cmd/fapws/exit"
	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/backend"
	"fapws/runtime/static"
)

// The loop takes an interpreter for its handler without knowing it.
var _ interface {
	runtime.Receiver
	runtime.Pacer
} = (*pybridge.Handler)(nil)

// mountTable opens the document roots of PATHS, so that the loop can serve them
// without Python, and its folders of programs, which ran runs and add mounts. forks, if it
// is not nil, runs the handlers.
func mountTable(script string, threads int, mounts []pybridge.Mount, forks *forks, ran *programs, private *static.Private, add func(backend.Responder) (runtime.Handler, int)) ([]runtime.Mount, error) {
	table := make([]runtime.Mount, len(mounts))
	for i, m := range mounts {
		table[i].Prefix, table[i].Index = m.Prefix, m.Index
		table[i].Resolved = m.CGI == ""
		table[i].WebSocket = m.Kind == pybridge.WebSocket || m.Kind == pybridge.ASGI
		table[i].Raw = threads > 0 && m.Kind == pybridge.WSGI // inline, it would hold up the loop
		table[i].Streams = m.Kind == pybridge.ASGI
		if m.Cache != "" {
			rule, err := readRule(m.Cache)
			if err != nil {
				return nil, exit.NotStarted("%s: PATHS[%d], %q: %v", script, i, m.Prefix, err)
			}
			table[i].Cache = rule
		}
		if m.CGI != "" {
			program, err := ran.mounted(m.CGI)
			if err != nil {
				return nil, exit.NotStarted("%s: PATHS[%d], %q: %v", script, i, m.Prefix, err)
			}
			table[i].Handler, table[i].Index = add(program)
		}
		if m.Static == nil {
			if forks != nil && m.CGI == "" {
				table[i].Raw = false
				table[i].Handler, table[i].Index = add(forks.mount(&m))
			}
			continue
		}
		options, err := static.ParseOptions(m.Static.JSON)
		if err != nil {
			return nil, exit.NotStarted("%s: PATHS[%d], %q: %v", script, i, m.Prefix, err)
		}
		options.Private = private
		files, err := static.New(options)
		if err != nil {
			return nil, exit.NotStarted("%s: PATHS[%d], %q: %v", script, i, m.Prefix, err)
		}
		table[i].Static = files
	}
	return table, nil
}
