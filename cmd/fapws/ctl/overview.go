package ctl

import "fapws/runtime/metrics"

// Overview is all that "fapws ctl top" and the status page show.
type Overview struct {
	Report  Report           `json:"report"`
	Metrics []metrics.Family `json:"metrics"` // of all workers together
	Active  []Active         `json:"active"`  // the oldest first
}

// Active is a request that a handler has.
type Active struct {
	Worker  int     `json:"worker"`       // process number
	Request string  `json:"request"`      // method and path, without the query
	Handler string  `json:"handler"`      // its name
	Age     float64 `json:"age"`          // seconds
	State   string  `json:"state"`        // in words
	At      string  `json:"at,omitempty"` // where Python is, or ""
}

// Look returns the present Overview of a server.
func Look(s Server) *Overview {
	return &Overview{Report: s.Report(), Metrics: s.Metrics(), Active: s.Active()}
}
