package main

import (
	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/static"
)

// The loop takes an interpreter for its handler without knowing it.
var _ runtime.Handler = (*pybridge.Handler)(nil)

// mountTable opens the document roots of PATHS, so that the loop can serve them
// without Python.
func mountTable(script string, mounts []pybridge.Mount) ([]runtime.Mount, error) {
	table := make([]runtime.Mount, len(mounts))
	for i, m := range mounts {
		table[i].Prefix = m.Prefix
		if m.Static == nil {
			continue
		}
		files, err := static.New(static.Options{
			Root:     m.Static.Root,
			Index:    m.Static.Index,
			Listing:  m.Static.Listing,
			MaxAge:   m.Static.MaxAge,
			DotFiles: m.Static.DotFiles,
		})
		if err != nil {
			return nil, notStarted("%s: PATHS[%d], %q: %v", script, i, m.Prefix, err)
		}
		table[i].Static = files
	}
	return table, nil
}
