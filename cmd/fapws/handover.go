package main

import (
	"os"
	"time"

	"fapws/cmd/fapws/supervisor"
	"fapws/runtime"
)

const holdFor = time.Minute

func takeHistory(s *runtime.Server, from *os.File) error { return nil }

func (r *relaying) give(files []*os.File) {}

func (r *relaying) take(what string, files []*os.File) {
	if what == supervisor.History {
		select {
		case r.history <- nil:
		default:
		}
	}
}

func (p *parent) inherit(files []*os.File) {}
const handsOver = false
